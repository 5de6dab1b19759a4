"""Budgets through a whole app, and through kills: no cap is passed by a cent, nothing is paid twice.

bench/chaos/budget.py is the long form of the first test.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.booking import Booking, Order, World, booking
from tests.integration.budget_chaos import Chaos, play, workers
from trimtab import App
from trimtab.cli import _run as cli
from trimtab.core.errors import UnknownRunError, UsageError
from trimtab.core.outcome import Status
from trimtab.journal.reader import Journal
from trimtab.policy.load import parse
from trimtab.testing import QUICK, FlatPrices, ScriptedModel, StillClock, uses
from trimtab.word import resume_elsewhere

PLAN = uses("plan", subtasks=[{"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}}])
QUOTE = uses("quote", hours=2)
TODAY = StillClock().now().date()


def test_a_shared_cap_holds_to_the_cent_while_workers_are_killed_and_restarted(tmp_path):
    with workers() as do:
        chaos = Chaos(do, tmp_path, runs=40, at_once=16, cap=Decimal("0.15"))
        figures = play(chaos, seed=0, kills=3, longest=0.25)
    assert figures["kills"] == 3
    assert chaos.tightest > Decimal("0.9")


def app(store: Path, models: Any, budgets: str, clock: StillClock | None = None, **more: Any) -> App:
    policy = parse(f"[roles]\ndefault = {{ model = 'anthropic:scripted', max_tokens = 100 }}\n{budgets}")
    given = {"prices": FlatPrices(), "limits": QUICK, "clock": clock or StillClock(), **more}
    return App(booking(World()), policy=policy, store=store, models=models, **given)


def rows(store: Path) -> list[tuple[Any, ...]]:
    with Journal(store) as journal:
        found = journal._connection.execute("SELECT step, state, role, tokens, turns FROM budget ORDER BY rowid")
        return found.fetchall()


async def soon(work: Any) -> Any:
    return await asyncio.wait_for(work, 20)


async def test_a_run_that_reaches_a_days_cap_goes_on_the_next_day_without_paying_again(tmp_path):
    clock, models = StillClock(), ScriptedModel([PLAN, QUOTE])
    async with app(tmp_path / "t.db", models, "[budgets.local]\nturns_per_day = 1", clock) as opened:
        run = await opened.start(Booking, Order("small"))
        paused = await soon(run.settled())
        assert paused.status is Status.PAUSED_BUDGET
        assert paused.until == datetime(2026, 6, 9, tzinfo=UTC)
        assert "budgets.local.turns_per_day: 1 turns of 1 turns are used" in paused.reason
        with Journal(tmp_path / "t.db") as journal:
            assert journal.paused() == {"local": 1}
        clock.advance(days=1)
        assert (await soon(run.ended())).status is Status.COMPLETED
    assert len(models.calls) == 2
    assert [r[:2] for r in rows(tmp_path / "t.db")] == [
        ("plan/0/1", "reserved"),
        ("plan/0/1", "settled"),
        ("do/q/model/0/1", "reserved"),
        ("do/q/model/0/1", "settled"),
    ]


async def test_a_run_that_used_up_its_own_cap_goes_on_when_a_person_raises_it(tmp_path):
    models = ScriptedModel([PLAN, QUOTE, PLAN])
    async with app(
        tmp_path / "t.db", models, "[budgets.local]\nroles = { pricing = { usd_per_run = 0.0001 } }"
    ) as opened:
        run = await opened.start(Booking, Order("small"))
        paused = await soon(run.settled())
        assert (paused.status, paused.until) == (Status.PAUSED_BUDGET, None)
        assert paused.reason.startswith(
            "q: budgets.local.roles.pricing.usd_per_run: $0 of $0.0001 are used and this call may"
        )
        with pytest.raises(UsageError, match="no cap is called 'usd'"):
            await opened.resume(run.id, by="olga", raised={"usd": 1})
        with pytest.raises(UsageError, match="no role 'chef' in this app"):
            await opened.resume(run.id, by="olga", models={"chef": "anthropic:x"})
        assert await opened.resume(run.id, by="olga", raised={"usd_per_run": "0.0002"})
        assert (await soon(run.settled())).status is Status.PAUSED_BUDGET
        assert await opened.resume(run.id, by="olga", raised={"usd_per_run": "0.5"})
        assert (await soon(run.ended())).status is Status.COMPLETED
        assert not await opened.resume(run.id, by="olga")
        other = await opened.start(Booking, Order("small"))
        assert (await soon(other.settled())).status is Status.PAUSED_BUDGET
    assert len(models.calls) == 3
    with Journal(tmp_path / "t.db") as journal:
        assert [(r.number, r.by, r.raised) for r in journal.run(run.id).resumes] == [
            (0, "olga", {"usd_per_run": "0.0002"}),
            (1, "olga", {"usd_per_run": "0.5"}),
        ]


async def test_another_process_lets_a_paused_run_go_on(tmp_path):
    async with app(tmp_path / "t.db", ScriptedModel([PLAN, QUOTE]), "[budgets.local]\nturns_per_run = 1") as opened:
        run = await opened.start(Booking, Order("small"))
        await soon(run.settled())
        with pytest.raises(UsageError, match="turns_per_run: expected a whole number"):
            resume_elsewhere(tmp_path / "t.db", run.id, by="olga", raised={"turns_per_run": "many"})
        with pytest.raises(UnknownRunError):
            resume_elsewhere(tmp_path / "t.db", "nobody", by="olga")
        assert resume_elsewhere(tmp_path / "t.db", run.id, by="olga", raised={"turns_per_run": "5"})
        assert (await soon(run.ended())).status is Status.COMPLETED
    assert not resume_elsewhere(tmp_path / "t.db", run.id, by="olga")


async def test_what_was_used_before_a_restart_counts_after_it(tmp_path):
    caps = "[budgets.local]\nturns_per_day = 3\nturns_per_run = 2"
    for turn in range(2):
        async with app(tmp_path / "t.db", ScriptedModel([PLAN, QUOTE]), caps) as opened:
            run = await opened.start(Booking, Order("small"))
            stands = await soon(run.settled())
        assert stands.status is (Status.PAUSED_BUDGET if turn else Status.COMPLETED)
    with Journal(tmp_path / "t.db") as journal:
        by_day, by_run = journal.balances(TODAY)
    assert {(b.role, b.state): b.turns for b in by_day} == {("orchestrator", "settled"): 2, ("pricing", "settled"): 1}
    assert {(b.run_id, b.role, b.turns) for b in by_run} == {(run.id, "orchestrator", 1)}


async def test_many_runs_at_once_never_have_more_under_way_than_a_cap_allows(tmp_path):
    under_way = most = 0

    async def play_one(call: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return PLAN if call.tools[0].name == "plan" else QUOTE

    # Room for two calls at their worst; each takes a twentieth of that, so all get through one after the other.
    async with app(tmp_path / "t.db", ScriptedModel(play_one), "[budgets.local]\ntokens_per_day = 13_000") as opened:
        runs = [await opened.start(Booking, Order("small")) for _ in range(20)]
        ended = await soon(asyncio.gather(*(run.ended() for run in runs)))
    assert {e.status for e in ended} == {Status.COMPLETED}
    assert 1 < most <= 6


async def test_a_run_cancelled_during_a_call_counts_it_as_lost(tmp_path):
    asked = asyncio.Event()

    async def never(call: Any) -> Any:
        asked.set()
        await asyncio.get_running_loop().create_future()

    async with app(tmp_path / "t.db", ScriptedModel(never), "[budgets.local]\nturns_per_day = 9") as opened:
        run = await opened.start(Booking, Order("small"))
        await soon(asked.wait())
        await run.cancel("olga")
        assert (await soon(run.ended())).status is Status.CANCELLED
    assert [r[:2] for r in rows(tmp_path / "t.db")] == [("plan/0/1", "reserved"), ("plan/0/1", "lost")]


async def test_a_call_cut_off_by_a_restart_is_lost_and_asked_again(tmp_path):
    asked = asyncio.Event()

    async def never(call: Any) -> Any:
        asked.set()
        await asyncio.get_running_loop().create_future()

    caps = "[budgets.local]\nturns_per_day = 9"
    async with app(tmp_path / "t.db", ScriptedModel(never), caps) as opened:
        run = await opened.start(Booking, Order("small"))
        await soon(asked.wait())
    async with app(tmp_path / "t.db", ScriptedModel([PLAN, QUOTE]), caps) as opened:
        assert (await soon(opened.run(run.id, "booking").ended())).status is Status.COMPLETED
    assert [r[:2] for r in rows(tmp_path / "t.db")][:4] == [
        ("plan/0/1", "reserved"),
        ("plan/0/1", "lost"),
        ("plan/0/2", "reserved"),
        ("plan/0/2", "settled"),
    ]
    with Journal(tmp_path / "t.db") as journal:
        calls = journal.run(run.id).own_calls
    assert [(c.attempt, c.error_class) for c in calls] == [(1, "interrupted"), (2, "")]


async def test_without_budgets_nothing_is_reserved(tmp_path):
    async with app(tmp_path / "t.db", ScriptedModel([PLAN, QUOTE]), "") as opened:
        await soon((await opened.start(Booking, Order("small"))).ended())
    assert rows(tmp_path / "t.db") == []


class NoPrices(FlatPrices):
    def cost(self, model: str, usage: Any, on: date) -> Decimal | None:
        return None


def test_an_app_whose_dollars_cannot_be_counted_does_not_start(tmp_path):
    with pytest.raises(UsageError, match=r"so budgets\.local\.usd_per_run cannot be held"):
        app(tmp_path / "t.db", ScriptedModel([]), "[budgets.local]\nusd_per_run = 1", prices=NoPrices())


async def test_a_call_in_dollars_of_no_known_price_pauses_its_run(tmp_path):
    caps = "[budgets.local]\ntokens_per_day = 1000000\nroles = { pricing = { usd_per_day = 1 } }"

    class PricesFadeAway(FlatPrices):
        def cost(self, model: str, usage: Any, on: date) -> Decimal | None:
            return super().cost(model, usage, on) if usage.total < 10 else None

    async with app(tmp_path / "t.db", ScriptedModel([PLAN]), caps, prices=PricesFadeAway()) as opened:
        run = await opened.start(Booking, Order("small"))
        stands = await soon(run.settled())
    assert (stands.status, stands.until) == (Status.PAUSED_BUDGET, None)
    assert (
        "budgets.local.roles.pricing.usd_per_day cannot be held: the price of this call is not known" in stands.reason
    )
    assert [json.dumps(r[1]) for r in rows(tmp_path / "t.db")] == ['"reserved"', '"settled"']


# -- trimtab budgets ---------------------------------------------------------------------------------------------------

CAPS = """[budgets.local]
usd_per_day = 1
tokens_per_run = 500
turns_per_day = 2
roles = { pricing = { turns_per_day = 5 } }
"""


def file_with(tmp_path: Path, budgets: str) -> str:
    (tmp_path / "trimtab.toml").write_text(f"[app]\nstore = 't.db'\n[roles]\ndefault = 'openai:gpt-5'\n{budgets}")
    return str(tmp_path / "trimtab.toml")


async def used_today(tmp_path: Path, budgets: str, models: Any, runs: int) -> None:
    clock = StillClock(datetime.now(UTC))
    async with app(tmp_path / "t.db", models, budgets, clock) as opened:
        for _ in range(runs):
            await soon((await opened.start(Booking, Order("small"))).settled())


async def test_the_command_shows_what_is_used_and_leaves_with_1_where_a_cap_is_reached(tmp_path, capsys):
    path = file_with(tmp_path, CAPS)
    await used_today(tmp_path, "[budgets.local]\nturns_per_day = 2", ScriptedModel([PLAN, QUOTE]), 2)
    assert cli(["budgets", "--policy", path, "--json"]) == 1
    given = json.loads(capsys.readouterr().out)
    assert given["paused"] == {"local": 1}
    assert [
        (c["role"], c["cap"], c["amount"], c["spent"], c["reserved"], c["lost"], c["left"], c["share"])
        for c in given["caps"]
    ] == [
        ("", "usd_per_day", 1.0, 0.00024, 0.0, 0.0, 0.99976, pytest.approx(0.00024)),
        ("", "tokens_per_run", 500, 0, 0, 0, 500, 0.0),
        ("", "turns_per_day", 2, 2, 0, 0, 0, 1.0),
        ("pricing", "turns_per_day", 5, 1, 0, 0, 4, 0.2),
    ]
    assert cli(["budgets", "--policy", path]) == 1
    shown = capsys.readouterr().out
    assert "$1.0000" in shown
    assert "100.0%" in shown
    assert "1 run is paused in local: trimtab runs list --status paused_budget" in shown


async def test_the_command_leaves_with_0_where_every_cap_has_room(tmp_path, capsys):
    await used_today(tmp_path, "[budgets.local]\nturns_per_day = 2", ScriptedModel([PLAN, QUOTE]), 1)
    assert cli(["budgets", "--policy", file_with(tmp_path, "[budgets.local]\nturns_per_day = 3")]) == 0
    assert "66.7%" in capsys.readouterr().out
    assert cli(["budgets", "--policy", file_with(tmp_path, "")]) == 0
    assert "has no [budgets]: nothing is capped" in capsys.readouterr().out


async def test_a_cap_on_a_run_is_shown_for_the_run_that_used_most(tmp_path, capsys):
    caps = "[budgets.local]\ntokens_per_run = 20_000\nturns_per_run = 1"
    await used_today(tmp_path, caps, ScriptedModel([PLAN] * 3), 3)
    assert cli(["budgets", "--policy", file_with(tmp_path, caps), "--json"]) == 1
    tokens, turns = json.loads(capsys.readouterr().out)["caps"]
    assert (tokens["spent"], turns["spent"], turns["share"]) == (120, 1, 1.0)
    with Journal(tmp_path / "t.db") as journal:
        assert tokens["run_id"] in {line.run_id for line in journal.runs(10)}


def test_the_policy_command_refuses_dollars_that_cannot_be_counted(tmp_path, capsys):
    (tmp_path / "capped_shop.py").write_text(
        "from tests.integration.booking import World, booking\n\n\ndef workflows():\n    return booking(World())\n"
    )
    path = tmp_path / "trimtab.toml"
    path.write_text(
        "[app]\nfactory = 'capped_shop:workflows'\n[roles]\ndefault = { model = 'openai:gpt-5', escalate = ['openai:of-my-own'] }\n"
        "[budgets.local]\nroles = { payment = { usd_per_day = 1 } }\n"
    )
    assert cli(["policy", "check", "--policy", str(path)]) == 2
    assert (
        "role 'payment' may ask 'openai:of-my-own', whose price is not known, so budgets.local.roles.payment.usd_per_day cannot"
        in capsys.readouterr().err
    )
    assert cli(["policy", "show", "--explain", "--policy", str(path)]) == 0
    assert "openai:of-my-own" in capsys.readouterr().out

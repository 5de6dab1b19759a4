"""The ledger of budgets, alone and under a run's steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.steps import FakeSteps

from trimtab.core.messages import Answered, ModelCall, Said, ToolReturned, ToolSpec, ToolUse
from trimtab.core.pin import Pin
from trimtab.core.ports import Worked
from trimtab.core.records import BudgetFact, ModelCallFact
from trimtab.policy.spec import BudgetSpec, Caps
from trimtab.run.budget import Budgets, Refused, Reservation, Sum, Want
from trimtab.run.spend import OVERHEAD_TOKENS, raised, spend, worst_case, write_off
from trimtab.testing import FlatPrices, StillClock

DAY, NEXT = date(2026, 6, 8), date(2026, 6, 9)
MIDNIGHT = datetime(2026, 6, 9, tzinfo=UTC)


def want(step: str = "s", run: str = "r", role: str = "payment", usd: str | None = "1", tokens: int = 100) -> Want:
    return Want(run, step, "local", role, None if usd is None else Decimal(usd), tokens)


def ledger(roles: dict[str, Caps] | None = None, **caps: Any) -> Budgets:
    budgets = Budgets({"local": BudgetSpec(Caps(**caps), roles or {})})
    budgets.load()
    return budgets


def used(usd: str = "0", tokens: int = 0, turns: int = 1) -> Sum:
    return Sum(Decimal(usd), tokens, turns)


# -- caps --------------------------------------------------------------------------------------------------------------


def test_what_fits_is_set_aside_and_settled_for_what_it_used():
    budgets = ledger(usd_per_day=Decimal("2.5"))
    held = budgets.reserve(want("a"), DAY)
    assert budgets.account("local", "", DAY).held == used("1", 100)
    assert budgets.settle(held, used("0.25", 20))
    for account in (budgets.account("local", "payment", DAY), budgets.account_of_run("r", "")):
        assert (account.gone, account.held) == (used("0.25", 20), Sum())


def test_calls_under_way_make_others_wait_and_what_is_gone_refuses_them():
    budgets = ledger(usd_per_day=Decimal("1.5"))
    first = budgets.reserve(want("a"), DAY)
    assert budgets.reserve(want("b"), DAY) is None
    budgets.settle(first, used("0.5"))
    second = budgets.reserve(want("b"), DAY)
    budgets.lose(second)
    assert budgets.reserve(want("c"), DAY) == Refused(
        "budgets.local.usd_per_day: $1.5 of $1.5 are used and this call may take $1", MIDNIGHT
    )
    assert isinstance(budgets.reserve(want("c"), NEXT), Reservation)


@pytest.mark.parametrize(
    ("caps", "said", "until"),
    [
        ({"usd_per_run": Decimal("0.9")}, "budgets.local.usd_per_run: $0 of $0.9 are used and this call may take $1", None),
        ({"tokens_per_day": 99}, "budgets.local.tokens_per_day: 0 tokens of 99 tokens are used and this call may take 100 tokens", None),
        ({"roles": {"payment": Caps(tokens_per_run=99)}}, "budgets.local.roles.payment.tokens_per_run: 0 tokens of 99 tokens are used and this call may take 100 tokens", None),
    ],
)  # fmt: skip
def test_a_call_that_no_day_has_room_for_waits_for_a_person(caps, said, until):
    assert ledger(**caps).reserve(want(), DAY) == Refused(said, until)


def test_a_cap_of_a_run_outweighs_one_of_a_day_in_when_it_goes_on():
    budgets = ledger(turns_per_day=1, roles={"payment": Caps(turns_per_run=1)})
    budgets.settle(budgets.reserve(want("a"), DAY), used())
    refused = budgets.reserve(want("b"), DAY)
    assert refused.until is None
    assert "turns_per_day" in refused.reason
    assert "roles.payment.turns_per_run" in refused.reason
    assert budgets.reserve(want("b", run="other", role="booking"), DAY).until == MIDNIGHT
    assert isinstance(budgets.reserve(want("b", run="other"), NEXT), Reservation)


def test_a_role_has_its_own_caps_besides_those_of_all():
    budgets = ledger(roles={"payment": Caps(turns_per_day=1)}, turns_per_day=3)
    assert isinstance(budgets.reserve(want("a"), DAY), Reservation)
    assert budgets.reserve(want("b"), DAY) is None
    assert all(isinstance(budgets.reserve(want(s, role="booking"), DAY), Reservation) for s in "cd")
    assert budgets.reserve(want("e", role="booking"), DAY) is None


def test_a_raised_cap_counts_for_its_run_and_never_lowers_one():
    budgets = ledger(usd_per_run=Decimal(1), roles={"payment": Caps(usd_per_run=Decimal(1))})
    budgets.settle(budgets.reserve(want("a"), DAY), used("1"))
    assert isinstance(budgets.reserve(want("b"), DAY), Refused)
    assert isinstance(budgets.reserve(want("b"), DAY, {"usd_per_run": Decimal("1.5")}), Refused)
    assert isinstance(budgets.reserve(want("b"), DAY, {"usd_per_run": Decimal(2)}), Reservation)
    assert isinstance(budgets.reserve(want("c", run="other"), DAY, {"usd_per_run": Decimal("0.1")}), Reservation)
    assert isinstance(budgets.reserve(want("d", run="third"), DAY, {"turns_per_run": 1}), Reservation)


def test_a_price_that_is_not_known_is_no_price_of_nothing():
    budgets = ledger(usd_per_day=Decimal(1000))
    assert budgets.reserve(want(usd=None), DAY) == Refused(
        "budgets.local.usd_per_day cannot be held: the price of this call is not known", None
    )
    budgets.load(days=[("local", "payment", DAY, Sum(tokens=5, unpriced=1))])
    assert budgets.reserve(want(), DAY) == Refused(
        "budgets.local.usd_per_day cannot be held: what earlier calls cost is not known", None
    )
    tokens = ledger(tokens_per_day=1000)
    tokens.settle(tokens.reserve(want(usd=None), DAY), Sum(tokens=50, turns=1, unpriced=1))
    assert isinstance(tokens.reserve(want("b", usd=None), DAY), Reservation)


def test_settling_twice_changes_nothing():
    budgets = ledger(turns_per_day=5)
    held = budgets.reserve(want(), DAY)
    assert budgets.settle(held, used("0.1", 7))
    assert not budgets.settle(held, used("0.1", 7))
    assert not budgets.lose(held)
    assert budgets.account("local", "", DAY).gone == used("0.1", 7)


def test_use_above_what_was_set_aside_is_counted_whole():
    budgets = ledger(usd_per_day=Decimal(2))
    budgets.settle(budgets.reserve(want(), DAY), used("7"))
    assert budgets.account("local", "", DAY).gone.usd == 7
    assert isinstance(budgets.reserve(want("b"), DAY), Refused)


def test_an_ended_run_and_a_past_day_leave_memory():
    budgets = ledger(turns_per_day=5)
    for number in range(5):
        budgets.settle(budgets.reserve(want(str(number)), date(2026, 6, 1 + number)), used())
    budgets.forget("r")
    assert budgets.account_of_run("r", "").gone == Sum()
    assert [budgets.account("local", "", date(2026, 6, 1 + n)).gone.turns for n in range(5)] == [0, 0, 0, 1, 1]


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_a_call_waits_for_those_under_way_and_only_for_them():
    budgets = ledger(usd_per_day=Decimal("1.5"))
    first = await budgets.hold(want("a"), lambda: DAY)
    others = [asyncio.ensure_future(budgets.hold(want(step), lambda: DAY)) for step in ("b", "c")]
    await asyncio.sleep(0)
    assert not any(other.done() for other in others)
    budgets.settle(first, used("0.5"))
    await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    assert [other.done() for other in others] == [True, False]
    budgets.lose(others[0].result())
    assert isinstance(await others[1], Refused)


async def test_whoever_gives_up_waiting_holds_up_nobody():
    budgets = ledger(turns_per_day=1)
    first = await budgets.hold(want("a"), lambda: DAY)
    gone, stays = (asyncio.ensure_future(budgets.hold(want(step), lambda: DAY)) for step in ("b", "c"))
    await asyncio.sleep(0)
    gone.cancel()
    budgets.lose(first)
    assert isinstance(await stays, Refused)


async def test_nobody_gets_past_a_ledger_that_is_not_loaded():
    budgets = Budgets({"local": BudgetSpec(Caps(turns_per_day=1))})
    waiting = asyncio.ensure_future(budgets.hold(want(), lambda: DAY))
    await asyncio.sleep(0)
    assert not waiting.done()
    budgets.load(days=[("local", "payment", DAY, used())])
    assert isinstance(await waiting, Refused)


# -- any interleaving --------------------------------------------------------------------------------------------------

amounts = st.integers(0, 12)
caps = st.none() | st.integers(1, 30)
CAPPED = st.builds(
    lambda d, r, t, tr, n, nr: Caps(d and Decimal(d), r and Decimal(r), t, tr, n, nr),
    caps,
    caps,
    caps,
    caps,
    caps,
    caps,
)
moves = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "lose"]),
        st.sampled_from("xy"),
        st.sampled_from(["payment", "booking"]),
        st.sampled_from([DAY, NEXT]),
        amounts,
        amounts,
        st.integers(0, 20),
    ),
    max_size=40,
)


def accounts(budgets: Budgets) -> Iterable[tuple[Any, Any]]:
    for role in ("", "payment", "booking"):
        for day in (DAY, NEXT):
            yield ("day", role, day), budgets.account("local", role, day)
        for run in "xy":
            yield ("run", role, run), budgets.account_of_run(run, role)


@given(CAPPED, st.dictionaries(st.sampled_from(["payment", "booking"]), CAPPED, max_size=2), moves)
def test_no_interleaving_passes_a_cap_and_a_restart_changes_no_balance(of_all, of_roles, played):
    spec = BudgetSpec(of_all, of_roles)
    budgets = Budgets({"local": spec})
    budgets.load()
    held: list[Reservation] = []
    lines: dict[tuple[str, str], tuple[Reservation, Sum]] = {}
    for number, (move, run, role, day, usd, tokens, pick) in enumerate(played):
        if move == "reserve":
            asked = Want(run, str(number), "local", role, Decimal(usd), tokens)
            got = budgets.reserve(asked, day)
            if isinstance(got, Reservation):
                held.append(got)
                lines[run, asked.step] = got, asked.amounts
        elif held:
            done = held.pop(pick % len(held))
            most = done.want.amounts
            actual = most if move == "lose" else Sum(min(most.usd, Decimal(usd)), min(most.tokens, tokens), 1)
            assert budgets.settle(done, actual)
            lines[done.want.run_id, done.want.step] = done, actual
        for (per, role_of, _), account in accounts(budgets):
            limits = of_roles.get(role_of, Caps()) if role_of else of_all
            for unit in ("usd", "tokens", "turns"):
                limit = getattr(limits, f"{unit}_per_{per}")
                assert limit is None or getattr(account.gone + account.held, unit) <= limit
    again = Budgets({"local": spec})
    again.load(
        [("local", line.want.role, line.day, amount) for line, amount in lines.values()],
        [(line.want.run_id, line.want.role, amount) for line, amount in lines.values()],
    )
    assert {n: a.gone + a.held for n, a in accounts(again)} == {n: a.gone + a.held for n, a in accounts(budgets)}


# -- under a run's steps -----------------------------------------------------------------------------------------------

CALL = ModelCall("anthropic:x", "You are.", (Said("héllo"),), (ToolSpec("charge", "Take.", {"type": "object"}),), 500)


def scope(steps: FakeSteps, **caps: Any) -> Any:
    budgets = Budgets({"local": BudgetSpec(Caps(**caps))} if caps else {})
    budgets.load()
    means = SimpleNamespace(budgets=budgets, prices=FlatPrices(), clock=StillClock())
    pin = Pin({}, "local", "d", DAY)
    resumed = sum(name.startswith("resume/") for name in steps.events)
    return SimpleNamespace(means=means, steps=steps, run_id=steps.run_id, pin=pin, resumed=resumed)


def call_fact(step: str = "plan/0/1", tokens: int = 120, error: str = "", cost: Decimal | None = None) -> ModelCallFact:
    at = StillClock().now()
    return ModelCallFact(
        "run", step, "payment", None, 1, "anthropic:x", "x", "id", tokens, 0, 0, 0, 0, None, error, "", 1.0, cost, simulated=True, at=at
    )  # fmt: skip


def work(result: Any, *facts: ModelCallFact) -> Any:
    async def attempt() -> Worked:
        return Worked(result, facts)

    return attempt


def interrupted() -> Worked:
    return Worked({"fault": "interrupted"}, [call_fact(tokens=0, error="interrupted")])


def lines(steps: FakeSteps) -> list[tuple[str, Decimal | None, int, int]]:
    return [(f.state, f.usd, f.tokens, f.turns) for f in steps.facts if isinstance(f, BudgetFact)]


def test_the_worst_case_is_every_byte_sent_and_every_token_allowed():
    sent = ModelCall(
        "anthropic:x",
        "é" * 100,
        (Said("a" * 50), Answered("b" * 10, (ToolUse("id", "charge", {"amount": "c" * 30}),)), ToolReturned("id", "charge", "d" * 20)),
        (ToolSpec("charge", "e" * 40, {"type": "object", "title": "f" * 60}),),
        500,
    )  # fmt: skip
    most = worst_case(scope(FakeSteps(), usd_per_day=Decimal(1)), "payment", "s", sent)
    text = 200 + 50 + 10 + 30 + 20 + 40 + 60
    assert OVERHEAD_TOKENS + 500 + text < most.tokens < OVERHEAD_TOKENS + 500 + text + 200
    assert most.usd == Decimal(most.tokens) / 1_000_000
    assert worst_case(scope(FakeSteps()), "payment", "s", CALL).tokens > OVERHEAD_TOKENS + 500


async def test_without_caps_a_call_is_a_plain_step():
    steps = FakeSteps()
    assert await spend(scope(steps), "payment", "plan/0/1", CALL, work("said", call_fact()), interrupted) == "said"
    assert steps.begins == {}
    assert lines(steps) == []


async def test_under_caps_a_call_is_reserved_before_and_settled_after_with_its_result():
    steps = FakeSteps()
    here = scope(steps, usd_per_day=Decimal(1))
    most = worst_case(here, "payment", "plan/0/1", CALL)
    cost = Decimal("0.00012")
    got = await spend(here, "payment", "plan/0/1", CALL, work("said", call_fact(cost=cost)), interrupted)
    assert got == "said"
    assert lines(steps) == [("reserved", most.usd, most.tokens, 1), ("settled", cost, 120, 1)]
    assert here.means.budgets.account("local", "payment", DAY).gone == Sum(cost, 120, 1)
    assert await spend(here, "payment", "plan/0/1", CALL, work("again"), interrupted) == "said"


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        (call_fact(tokens=0, error="rate_limited", cost=Decimal(0)), "settled"),
        (call_fact(tokens=0, error="timeout", cost=Decimal(0)), "lost"),
        (call_fact(tokens=0, error="connection_lost", cost=Decimal(0)), "lost"),
        (call_fact(tokens=0, cost=Decimal(0)), "lost"),
        (call_fact(tokens=90, error="malformed", cost=Decimal("0.00009")), "settled"),
    ],
)
async def test_a_call_that_may_have_been_billed_unseen_counts_at_its_worst(fact, state):
    steps = FakeSteps()
    here = scope(steps, tokens_per_day=100_000)
    await spend(here, "payment", "plan/0/1", CALL, work("x", fact), interrupted)
    most = worst_case(here, "payment", "s", CALL)
    assert lines(steps)[1][::2] == (state, most.tokens if state == "lost" else fact.input_tokens)


async def test_use_without_a_price_counts_at_what_was_set_aside():
    steps = FakeSteps()
    here = scope(steps, usd_per_day=Decimal(1))
    await spend(here, "payment", "plan/0/1", CALL, work("x", call_fact(cost=None)), interrupted)
    assert lines(steps)[1] == ("settled", worst_case(here, "payment", "s", CALL).usd, 120, 1)


async def test_a_refused_call_is_not_made_and_leaves_nothing_behind():
    steps = FakeSteps()
    refused = await spend(scope(steps, turns_per_day=1, tokens_per_run=9), "payment", "s", CALL, work("x"), interrupted)
    assert isinstance(refused, Refused)
    assert (steps.done, steps.begins, steps.facts) == ({}, {}, [])


async def test_a_call_that_was_under_way_when_the_process_ended_is_lost_and_not_made_again():
    before = FakeSteps()
    never = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(
        spend(scope(before, usd_per_day=Decimal(1)), "payment", "plan/0/1", CALL, lambda: never, interrupted)
    )
    await asyncio.sleep(0)
    after = FakeSteps()
    after.begins = dict(before.begins)
    for here in (scope(after), scope(after, usd_per_day=Decimal(1))):
        after.done, after.facts = {}, []
        got = await spend(here, "payment", "plan/0/1", CALL, work("made again", call_fact()), interrupted)
        assert got == {"fault": "interrupted"}
        assert lines(after) == [("lost", *lines(before)[0][1:])]
    first.cancel()
    await asyncio.wait([first])
    assert lines(before)[1] == ("lost", *lines(before)[0][1:])


async def test_a_call_that_is_cancelled_under_way_is_lost_to_the_ledger_too():
    steps = FakeSteps()
    here = scope(steps, usd_per_day=Decimal(1))
    never = asyncio.get_running_loop().create_future()
    call = asyncio.ensure_future(spend(here, "payment", "plan/0/1", CALL, lambda: never, interrupted))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    account = here.means.budgets.account("local", "", DAY)
    assert (account.held, account.gone.turns) == (Sum(), 1)
    assert [line[0] for line in lines(steps)] == ["reserved", "lost"]


async def test_what_a_run_that_is_taken_back_had_under_way_is_written_off():
    steps = FakeSteps()
    steps.begins = {
        "do/a/model/0/1": {"budget": {"environment": "local", "role": "payment", "day": "2026-06-07", "usd": "0.5", "tokens": 9, "turns": 1}},
        "do/a/model/1/1": {"budget": {"environment": "local", "role": "payment", "day": "2026-06-07", "usd": None, "tokens": 9, "turns": 1}},
        "do/a/tool/0.0/call": {"key": "k"},
    }  # fmt: skip
    steps.done = {"do/a/model/0/1": "answered"}
    write_off(scope(steps))
    assert [(f.step, f.state, f.usd, f.day) for f in steps.facts] == [
        ("do/a/model/1/1", "lost", None, date(2026, 6, 7))
    ]


def test_the_newest_word_on_each_raised_cap_counts():
    steps = FakeSteps(
        {
            "resume/0": {"by": "olga", "raised": {"usd_per_run": "0.50", "turns_per_day": 9}, "models": {}},
            "resume/1": {"by": "olga", "raised": {}, "models": {"payment": "a:b"}},
            "resume/2": {"by": "olga", "raised": {"usd_per_run": "0.40"}},
        }
    )
    assert raised(scope(steps)) == {"usd_per_run": Decimal("0.40"), "turns_per_day": 9}

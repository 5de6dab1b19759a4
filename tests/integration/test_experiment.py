"""Experiments from the policy to the verdict, on a real store."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.integration.booking import Booking, Notification, Order, Payment, Pricing, World
from tests.integration.trial import NOW, POLICY, RIGHT, app_at, policy_at, serve, two_models
from trimtab import App, experiments
from trimtab.cli import cli
from trimtab.experiments import start_experiment, stop_experiment
from trimtab.models.simulator import AnswerBook, Profile, Simulator
from trimtab.testing import QUICK


@pytest.fixture(autouse=True)
def seen_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(experiments, "FRESH_FOR", 0.0)


def start(folder: Path, weight: float | None = None, text: str = POLICY, name: str = "dearer") -> bool:
    return start_experiment(folder / "trimtab.db", policy_at(folder, text), name, by="olga", weight=weight, at=NOW)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "trimtab.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def trimtab(folder: Path, *arguments: str) -> tuple[int, str]:
    given = [*arguments, "--policy", str(folder / "trimtab.toml"), "--store", str(folder / "trimtab.db")]
    result = CliRunner().invoke(cli, ["experiment", *given], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value or 0, result.output


def status(folder: Path, name: str = "dearer") -> tuple[int, dict[str, Any]]:
    code, told = trimtab(folder, "status", name, "--json")
    return code, json.loads(told)


async def test_only_a_started_experiment_puts_runs_into_arms(tmp_path):
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 5)
        assert start(tmp_path)
        await serve(app, 5, 10)
        assert stop_experiment(tmp_path / "trimtab.db", "dearer", by="olga", reason="enough", at=NOW)
        await serve(app, 10, 15)
    assert rows(tmp_path, "SELECT count(*) FROM run") == [(15,)]
    named = rows(tmp_path, "SELECT r.key FROM assignment AS a JOIN run AS r USING (run_id) ORDER BY r.rowid")
    assert [key for (key,) in named] == [f"order-{n}" for n in range(5, 10)]


async def test_the_better_arm_is_shipped_and_every_propensity_is_in_the_journal(tmp_path):
    start(tmp_path)
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 150)
        start(tmp_path, weight=0.5)
        await serve(app, 150, 400)
    drawn = rows(tmp_path, "SELECT arm, propensity, weight, count(*) FROM assignment GROUP BY 1, 2, 3 ORDER BY 3, 1")
    assert [(arm, propensity, weight) for arm, propensity, weight, _ in drawn] == [
        ("control", 0.9, 0.1),
        ("treatment", 0.1, 0.1),
        ("control", 0.5, 0.5),
        ("treatment", 0.5, 0.5),
    ]
    assert sum(count for *_, count in drawn) == 400
    pinned = rows(
        tmp_path,
        "SELECT DISTINCT e.arm, e.propensity = a.propensity, e.roles ->> '$.orchestrator.model', e.roles ->> '$.pricing.model' "
        "FROM exposure AS e JOIN assignment AS a USING (run_id) ORDER BY 1",
    )
    assert pinned == [
        ("control", 1, "anthropic:haiku", "anthropic:haiku"),
        ("treatment", 1, "anthropic:sonnet", "anthropic:haiku"),
    ]
    code, told = status(tmp_path)
    (compared,) = told["comparisons"]
    assert (code, compared["verdict"], compared["alarms"]) == (0, "ship", [])
    goal = compared["metrics"]["decomposition_success"]
    assert goal["interval"][0] > 0
    assert goal["e_value"] > goal["needed"] == 20
    assert told["runs"]["counted"] == 400
    assert told["simulated"]


async def test_growing_the_weight_moves_no_run_that_is_in(tmp_path):
    start(tmp_path, weight=0.3)
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 60)
        before = {d.arm: None for n in range(60) for d in app._running.draw({"orchestrator"}, f"order-{n}")}
        treated = [n for n in range(60) if app._running.draw({"orchestrator"}, f"order-{n}")[0].arm == "treatment"]
        start(tmp_path, weight=0.6)
        after = [app._running.draw({"orchestrator"}, f"order-{n}")[0].arm for n in treated]
    assert set(before) == {"control", "treatment"}
    assert set(after) == {"treatment"}


async def test_two_alike_arms_stay_undecided(tmp_path):
    start(tmp_path, weight=0.5)
    async with app_at(tmp_path, two_models({"haiku": 0.2, "sonnet": 0.2})) as app:
        await serve(app, 0, 400)
    code, told = status(tmp_path)
    assert (code, told["comparisons"][0]["verdict"]) == (0, "undecided")
    assert "of the 20 needed" in told["comparisons"][0]["reason"]


async def test_another_model_than_the_pinned_one_makes_every_verdict_undecided(tmp_path):
    start(tmp_path, weight=0.5)
    async with app_at(tmp_path, two_models(answers_as=lambda model: {"sonnet": "opus"}.get(model, model))) as app:
        await serve(app, 0, 200)
    code, told = status(tmp_path)
    (compared,) = told["comparisons"]
    assert (code, compared["verdict"]) == (1, "undecided")
    assert "another model than the pinned one" in compared["alarms"][0]
    assert {(m["pinned"], m["response"]) for m in told["mismatches"]} == {("anthropic:sonnet", "opus")}
    assert "alarm:" in trimtab(tmp_path, "status", "dearer")[1]


async def test_arms_that_do_not_get_their_share_make_every_verdict_undecided(tmp_path):
    start(tmp_path, weight=0.5)
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 300)
    with sqlite3.connect(tmp_path / "trimtab.db") as connection:  # four of five treated runs are lost on their way
        connection.execute("DELETE FROM assignment WHERE arm = 'treatment' AND run_id < 'd'")
    connection.close()
    code, told = status(tmp_path)
    (compared,) = told["comparisons"]
    assert (code, compared["verdict"]) == (1, "undecided")
    assert "sample ratio mismatch" in compared["reason"]


MOVE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from trimtab.experiments import start_experiment, stop_experiment
from trimtab.policy.load import load
store, policy = Path(sys.argv[1]) / "trimtab.db", load(Path(sys.argv[1]) / "trimtab.toml")
if sys.argv[2] == "start":
    start_experiment(store, policy, "dearer", by="paul", weight=0.5, at=datetime.now(UTC))
else:
    stop_experiment(store, "dearer", by="paul", reason="seen enough", at=datetime.now(UTC))
"""


async def test_another_process_starts_and_stops_it(tmp_path):
    async with app_at(tmp_path, two_models()) as app:
        for move, count in (("start", 10), ("stop", 10)):
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", MOVE, str(tmp_path), move], check=True, timeout=60
            )
            await serve(app, *((0, 10) if move == "start" else (10, 20)))
            assert rows(tmp_path, "SELECT count(*) FROM assignment") == [(count,)]
    assert rows(tmp_path, "SELECT number, state, weight, by, reason FROM experiment") == [
        (0, "running", 0.5, "paul", ""),
        (1, "stopped", 0.5, "paul", "seen enough"),
    ]


async def test_a_request_handed_in_by_another_process_is_put_into_an_arm(tmp_path):
    start(tmp_path, weight=0.5)
    app = app_at(tmp_path, two_models())
    run_id = app.hand_in("booking", {"text": "two hours please"}, "handed")
    assert [row[0] for row in rows(tmp_path, "SELECT run_id FROM assignment")] == [run_id]


async def test_an_experiment_that_is_declared_otherwise_assigns_nothing_and_says_so(tmp_path):
    start(tmp_path)
    changed = POLICY.replace('sonnet = "anthropic:sonnet"', 'sonnet = "anthropic:opus"')
    async with app_at(tmp_path, two_models(), changed) as app:
        await serve(app, 0, 3)
    assert rows(tmp_path, "SELECT count(*) FROM assignment") == [(0,)]
    assert "declared otherwise" in trimtab(tmp_path, "list")[1]
    with pytest.raises(Exception, match="declared otherwise than when it was started on 2026-06-08"):
        start(tmp_path, text=changed)


FACTORIAL = POLICY.replace(
    'arms = { control = {}, treatment = { orchestrator = "sonnet" } }',
    'factors = { orchestrator = "sonnet", pricing = "sonnet" }',
)


async def test_a_factorial_experiment_tells_which_role_deserves_the_dearer_model(tmp_path):
    start(tmp_path, weight=0.4, text=FACTORIAL)
    async with app_at(tmp_path, two_models(), FACTORIAL) as app:
        await serve(app, 0, 300)
    drawn = Counter(rows(tmp_path, "SELECT arm, round(propensity, 6), weight FROM assignment"))
    assert set(drawn) == {
        ("control", 0.36, 0.4),
        ("orchestrator", 0.24, 0.4),
        ("pricing", 0.24, 0.4),
        ("orchestrator+pricing", 0.16, 0.4),
    }
    _, told = trimtab(tmp_path, "advise", "dearer", "--json")
    assert [(row["role"], row["verdict"]) for row in json.loads(told)] == [
        ("orchestrator", "ship"),
        ("pricing", "undecided"),
    ]
    assert "shared by 2 roles" in status(tmp_path)[1]["alpha_split"]
    assert "main effects" in trimtab(tmp_path, "advise", "dearer")[1]


async def test_a_prompt_revision_is_an_arm_and_outlives_its_file(tmp_path):
    (tmp_path / "terse.md").write_text("Quote at once, say nothing.\n")
    text = POLICY.replace('{ orchestrator = "sonnet" }', '{ pricing = { prompt = "terse.md" } }')
    start(tmp_path, weight=0.999, text=text)
    models = two_models()
    async with app_at(tmp_path, models, text) as app:
        (tmp_path / "terse.md").unlink()
        run = await app.start(Booking, Order("two hours please"), key="order-1")
        await run.settled()
    told = {call.tools[0].name: call.system for call in models.calls}
    assert told["quote"].startswith("Quote at once, say nothing.\n")
    assert "You know prices." in told["plan"]  # the orchestrator is told what the role is, not how it is told to work
    ((roles, payload),) = rows(
        tmp_path, "SELECT e.roles, r.payload FROM exposure AS e JOIN engine_run AS r USING (run_id)"
    )
    assert "Quote at once" not in roles
    assert json.loads(payload)["pin"]["instructions"] == {"pricing": "Quote at once, say nothing."}


async def test_a_report_is_one_page_that_needs_nothing_else(tmp_path):
    start(tmp_path, weight=0.5)
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 120)
    html, png = tmp_path / "r.html", tmp_path / "r.png"
    trimtab(tmp_path, "report", "dearer", "--html", str(html), "--png", str(png))
    page = html.read_text()
    assert "decomposition_success" in page
    assert "<svg" in page
    assert not re.search(r"(src|href)=.https?:|@import|url\(http", page)
    assert png.read_bytes().startswith(b"\x89PNG")


class Asked(Booking, name="asked"):
    """You quote charters."""

    def brief(self, request: Order) -> str:
        return request.text


PROFILE = """
[trial]
extends = "mixed"
[trial.models."claude-haiku-*".failures]
malformed_plan = { rate = 0.4, source = "chosen, so that a few hundred runs tell the models apart" }
"""
SIMULATED = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
default = "haiku"
[experiments.dearer]
environment = "local"
arms = {{ control = {{}}, treatment = {{ orchestrator = "sonnet" }} }}
goal = "decomposition_success"
guardrails = {{ usd_per_success = "+2000%" }}
[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
"""


async def test_simulated_models_over_http_are_told_apart_and_none_is_taken_for_another(tmp_path):
    (tmp_path / "profile.toml").write_text(PROFILE)
    book = AnswerBook.from_entries([{"request": "two hours please", "plan": {"subtasks": RIGHT}}])
    simulator = Simulator(book, Profile.load(tmp_path / "profile.toml"), seed=3, pace=0)
    text = SIMULATED.format(url=await simulator.start())
    start(tmp_path, text=text)
    policy, world = policy_at(tmp_path, text), World()
    workflow = Asked([Pricing(world), Payment(world), Notification(world)])
    async with App(workflow, policy=policy, store=tmp_path / "trimtab.db", limits=QUICK) as app:
        for begin in range(0, 200, 50):
            runs = [
                await app.start(Asked, Order("two hours please"), key=f"order-{n}") for n in range(begin, begin + 50)
            ]
            for run in runs:
                await run.settled()
    await simulator.close()
    code, told = status(tmp_path)
    (compared,) = told["comparisons"]
    assert (code, compared["verdict"], told["mismatches"]) == (0, "ship", [])
    assert told["simulated"]
    assert compared["metrics"]["usd_per_success"]["control"] > 0

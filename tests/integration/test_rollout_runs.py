"""Rollouts and the runs of an application, on a real store."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.booking import World, booking
from tests.integration.trial import NOW, policy_at, serve, two_models
from trimtab import App, experiments
from trimtab.core.errors import PolicyError, UsageError
from trimtab.core.moves import RolloutFact
from trimtab.experiments import start_experiment
from trimtab.learn.rollout import Event
from trimtab.rollouts.moves import move_rollout, newest, start_rollout
from trimtab.testing import QUICK, FlatPrices, ScriptedModel

HAIKU, SONNET, OPUS = "anthropic:haiku", "anthropic:sonnet", "anthropic:opus"
POLICY = """
[models]
haiku = "anthropic:haiku"
sonnet = "anthropic:sonnet"
opus = "anthropic:opus"
[roles]
default = "haiku"
[rollouts.dearer]
set = { orchestrator = "sonnet" }
stages = [ { environment = "local", weight = 30 }, { environment = "local", weight = 100 } ]
"""


def app_of(folder: Path, text: str = POLICY, models: ScriptedModel | None = None) -> App:
    return App(
        booking(World()),
        policy=policy_at(folder, text),
        store=folder / "trimtab.db",
        models=models or two_models({"haiku": 0.0, "sonnet": 0.0, "opus": 0.0}),
        prices=FlatPrices(),
        limits=QUICK,
    )


def start(folder: Path, text: str = POLICY) -> None:
    start_rollout(folder / "trimtab.db", policy_at(folder, text), "dearer", by="olga", at=NOW, evidence={})


def moves(folder: Path, *events: Event) -> None:
    for event in events:
        made = move_rollout(folder / "trimtab.db", "dearer", event, by="olga", at=NOW)
        assert isinstance(made, RolloutFact)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "trimtab.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def models_of(folder: Path, first: int, last: int) -> set[str]:
    """The models that the orchestrators of runs number `first` to `last` (not included) were pinned to."""
    pinned = dict(
        rows(folder, "SELECT r.key, e.roles ->> '$.orchestrator.model' FROM exposure AS e JOIN run AS r USING (run_id)")
    )
    return {pinned[f"order-{n}"] for n in range(first, last)}


@pytest.fixture
def seen_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(experiments, "FRESH_FOR", 0.0)


@pytest.mark.usefixtures("seen_at_once")
async def test_runs_get_the_new_map_as_the_stages_say_and_the_old_one_after_an_abort(tmp_path):
    async with app_of(tmp_path) as app:
        await serve(app, 0, 5)
        start(tmp_path)
        moves(tmp_path, "entered")
        await serve(app, 5, 85)
        moves(tmp_path, "pass", "entered")
        await serve(app, 85, 95)
        moves(tmp_path, "abort")
        await serve(app, 95, 100)
    assert models_of(tmp_path, 0, 5) == {HAIKU}
    assert models_of(tmp_path, 5, 85) == {HAIKU, SONNET}
    assert models_of(tmp_path, 85, 95) == {SONNET}
    assert models_of(tmp_path, 95, 100) == {HAIKU}
    told = rows(tmp_path, "SELECT experiment, arm, propensity, weight FROM assignment GROUP BY 1, 2 ORDER BY 1, 2")
    assert told == [
        ("dearer@1.1", "control", 0.7, 0.3),
        ("dearer@1.1", "treatment", 0.3, 0.3),
        ("dearer@1.2", "treatment", 1.0, 1.0),
    ]
    arms = "SELECT DISTINCT a.arm, e.arm, e.propensity = a.propensity, e.roles ->> '$.orchestrator.model' "
    assert sorted(rows(tmp_path, f"{arms} FROM assignment AS a JOIN exposure AS e USING (run_id)")) == [
        ("control", "control", 1, HAIKU),
        ("treatment", "treatment", 1, SONNET),
    ]


@pytest.mark.usefixtures("seen_at_once")
async def test_the_file_may_change_or_lose_a_rollout_that_is_under_way(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered")
    async with app_of(tmp_path, POLICY.replace('orchestrator = "sonnet"', 'orchestrator = "opus"')) as app:
        await serve(app, 0, 3)
    async with app_of(tmp_path, POLICY.partition("[rollouts")[0]) as app:
        await serve(app, 3, 6)
    assert models_of(tmp_path, 0, 6) == {SONNET}


async def test_an_abort_reaches_a_running_application_within_a_second(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered")
    async with app_of(tmp_path) as app:
        await serve(app, 0, 1)
        moves(tmp_path, "abort")
        await asyncio.sleep(1.0)
        await serve(app, 1, 2)
    assert models_of(tmp_path, 0, 1) == {SONNET}
    assert models_of(tmp_path, 1, 2) == {HAIKU}


@pytest.mark.usefixtures("seen_at_once")
async def test_a_rollout_that_has_passed_decides_until_the_file_says_the_same_and_never_again(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered", "pass")
    async with app_of(tmp_path) as app:
        await serve(app, 0, 2)
    adopted = POLICY.replace("[rollouts", 'orchestrator = "sonnet"\n[rollouts')
    async with app_of(tmp_path, adopted) as app:
        await serve(app, 2, 4)
    (fact,) = newest(tmp_path / "trimtab.db")
    assert (fact.event, fact.weights, fact.by) == ("adopted", {}, "trimtab")
    assert fact.reason == f"{tmp_path / 'trimtab.toml'} says what it brought to local"
    async with app_of(tmp_path, adopted) as app:
        await serve(app, 4, 6)
    assert newest(tmp_path / "trimtab.db") == (fact,)
    async with app_of(tmp_path, adopted.replace('orchestrator = "sonnet"\n[', 'orchestrator = "opus"\n[')) as app:
        await serve(app, 6, 8)
    async with app_of(tmp_path) as app:
        await serve(app, 8, 10)
    assert models_of(tmp_path, 0, 6) == {SONNET}
    assert models_of(tmp_path, 6, 8) == {OPUS}
    assert models_of(tmp_path, 8, 10) == {HAIKU}


@pytest.mark.usefixtures("seen_at_once")
async def test_what_somebody_writes_into_the_file_after_a_rollout_has_passed_is_what_runs_get(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered", "pass")
    async with app_of(tmp_path, POLICY.replace("[rollouts", 'orchestrator = "opus"\n[rollouts')) as app:
        await serve(app, 0, 2)
    (fact,) = newest(tmp_path / "trimtab.db")
    assert fact.reason == f"{tmp_path / 'trimtab.toml'} says {OPUS} for orchestrator in local"
    assert models_of(tmp_path, 0, 2) == {OPUS}


@pytest.mark.usefixtures("seen_at_once")
async def test_the_next_rollout_of_a_role_starts_from_a_file_that_says_what_the_last_one_brought(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered", "pass")
    more = POLICY + '[rollouts.dearest]\nset = { orchestrator = "opus" }\nstages = [ { environment = "local" } ]\n'
    begin = partial(start_rollout, tmp_path / "trimtab.db", name="dearest", by="olga", at=NOW, evidence={})
    with pytest.raises(UsageError, match="rollout 'dearer' is passed and changes role 'orchestrator' in 'local', too"):
        begin(policy=policy_at(tmp_path, more))
    begin(policy=policy_at(tmp_path, more.replace("[rollouts.dearer", 'orchestrator = "sonnet"\n[rollouts.dearer')))
    assert [(fact.name, fact.event) for fact in newest(tmp_path / "trimtab.db")] == [
        ("dearer", "adopted"),
        ("dearest", "start"),
    ]
    async with app_of(tmp_path, more) as app:
        await serve(app, 0, 2)
    assert models_of(tmp_path, 0, 2) == {OPUS}


async def test_a_rollout_that_is_still_going_on_is_not_adopted(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered", "pass", "entered")
    adopted = POLICY.replace("[rollouts", 'orchestrator = "sonnet"\n[rollouts')
    async with app_of(tmp_path, adopted) as app:
        await serve(app, 0, 1)
    (fact,) = newest(tmp_path / "trimtab.db")
    assert (fact.event, fact.weights) == ("entered", {"local": 1.0})


def test_a_rollout_that_could_not_staff_a_role_is_refused_before_the_first_request(tmp_path):
    without = POLICY.replace('orchestrator = "sonnet"', "orchestrator = { escalate = ['haiku'] }")
    with pytest.raises(PolicyError, match=r"rollouts\.dearer\.set\.orchestrator\.escalate"):
        app_of(tmp_path, without)


class NoPrices(FlatPrices):
    def cost(self, model: str, *rest: Any) -> Any:
        return None if model == SONNET else super().cost(model, *rest)


async def test_what_is_in_force_must_have_a_price_where_dollars_are_capped(tmp_path):
    start(tmp_path)
    moves(tmp_path, "entered")
    capped = policy_at(tmp_path, POLICY.partition("[rollouts")[0] + "[budgets.local]\nusd_per_day = 5\n")
    app = App(booking(World()), policy=capped, models=two_models(), prices=NoPrices(), limits=QUICK)
    with pytest.raises(UsageError, match="'anthropic:sonnet', whose price is not known"):
        await app.__aenter__()


def test_a_request_may_be_handed_in_to_a_store_that_is_not_there_yet(tmp_path):
    app = app_of(tmp_path)
    run_id = app.hand_in("booking", {"text": "two hours please"}, key="order-0")
    assert rows(tmp_path, "SELECT run_id FROM run") == [(run_id,)]
    assert rows(tmp_path, "SELECT * FROM assignment") == []


TRIED = """
[experiments.tried]
environment = "local"
goal = "decomposition_success"
arms = { control = {}, treatment = { ROLE = "sonnet" } }
"""


@pytest.mark.parametrize(("role", "is_refused"), [("orchestrator", True), ("default", True), ("pricing", False)])
def test_an_experiment_on_a_role_that_a_rollout_is_changing_is_refused(tmp_path, role, is_refused):
    start(tmp_path)
    policy, store = policy_at(tmp_path, POLICY + TRIED.replace("ROLE", role)), tmp_path / "trimtab.db"
    begin = partial(start_experiment, store, policy, "tried", by="olga", weight=None, at=NOW)
    if is_refused:
        with pytest.raises(
            UsageError, match="rollout 'dearer' is under way in 'local' and changes a role of experiment"
        ):
            begin()
        moves(tmp_path, "abort")
    assert begin()

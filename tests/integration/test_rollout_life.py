"""A rollout looked after on a real store: its gate holds without traffic, harm ends it, and runs in flight move only when told to."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.booking import Booking, Order
from tests.integration.trial import app_at, policy_at, serve, two_models
from trimtab.core.messages import ModelAnswer, ModelCall, ToolReturned
from trimtab.core.moves import RolloutFact
from trimtab.rollouts.drive import keep_looking, look_after
from trimtab.rollouts.migrate import migrate
from trimtab.rollouts.moves import find, move_rollout, start_rollout
from trimtab.testing import ScriptedModel, uses

TEXT = """
[models]
haiku = "anthropic:haiku"
sonnet = "anthropic:sonnet"
[roles]
default = "haiku"
[rollouts.dearer]
set = { default = "sonnet" }
stages = [{ environment = "local", weight = 30, hold = "0s" }, { environment = "local", weight = 100, hold = "1d" }]
"""
PAID = [
    {"id": "pay", "specialist": "payment", "action": "charge", "inputs": {"customer": "c", "amount": "900"}},
    {"id": "tell", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["pay"]},
]


def start(folder: Path, text: str = TEXT) -> None:
    at = datetime.now(UTC)
    start_rollout(folder / "trimtab.db", policy_at(folder, text), "dearer", by="olga", at=at, evidence={})


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / "trimtab.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def paying() -> ScriptedModel:
    """Plan a charge that waits for a person, then a message."""

    def play(call: ModelCall) -> ModelAnswer:
        names = {tool.name for tool in call.tools}
        if "plan" in names:
            return uses("plan", subtasks=PAID)
        if "charge" not in names:
            return uses("send", text="paid")
        charged = any(isinstance(message, ToolReturned) for message in call.messages)
        return uses("answer", id="ch", amount="900") if charged else uses("charge", customer="c", amount="900")

    return ScriptedModel(play)


async def test_a_run_in_flight_keeps_its_models_through_an_abort_and_is_moved_only_by_a_migration(tmp_path):
    text = TEXT.replace("weight = 30", "weight = 99.9999999")
    start(tmp_path, text)
    store = tmp_path / "trimtab.db"
    async with app_at(tmp_path, paying(), text) as app:
        kept = await app.start(Booking, Order("kept"), key="kept")
        moved = await app.start(Booking, Order("moved"), key="moved")
        for run in (kept, moved):
            await run.settled()
        ended = move_rollout(store, "dearer", "abort", by="olga", at=datetime.now(UTC))
        assert isinstance(ended, RolloutFact)
        assert await kept.decide(approved=True, by="olga") == 1
        await kept.ended()
        assert migrate(store, find(store, "dearer"), by="olga") == 1
        await moved.settled()
        assert await moved.decide(approved=True, by="olga") == 1
        await moved.ended()
    asked = rows(tmp_path, "SELECT DISTINCT key, requested_model FROM run JOIN model_call USING (run_id) ORDER BY 1, 2")
    assert asked == [("kept", "anthropic:sonnet"), ("moved", "anthropic:haiku"), ("moved", "anthropic:sonnet")]
    pins = rows(tmp_path, "SELECT roles ->> '$.notification.model' FROM exposure")
    assert pins == [("anthropic:sonnet",)] * 2
    assert rows(tmp_path, "SELECT count(*) FROM outcome WHERE final AND status = 'completed'") == [(2,)]


async def test_a_stage_without_traffic_holds_and_says_so(tmp_path):
    start(tmp_path)
    store, policy = tmp_path / "trimtab.db", policy_at(tmp_path, TEXT)
    seen = await look_after(store, policy, "dearer", by="ci", hosts=False, told=lambda _: None)
    assert [fact.event for fact in seen.moved] == ["entered"]
    assert seen.standing.rollout.state == "holding"
    assert seen.gated is not None
    assert seen.gated.word == "hold"
    assert "no run" in f"{seen.gated.reason} {seen.gated.missing}"


async def test_looking_beside_the_worker_ends_a_rollout_whose_runs_go_wrong(tmp_path):
    text = TEXT.replace("weight = 30", "weight = 50")
    start(tmp_path, text)
    store = tmp_path / "trimtab.db"
    looking = asyncio.ensure_future(keep_looking(store, policy_at(tmp_path, text)))
    async with app_at(tmp_path, two_models({"haiku": 0.0, "sonnet": 1.0}), text) as app:
        for first in range(0, 300, 50):
            await serve(app, first, first + 50)
        for _ in range(40):
            if find(store, "dearer").rollout.state == "failed":
                break
            await asyncio.sleep(0.25)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    standing = find(store, "dearer")
    assert (standing.rollout.state, standing.last.by, standing.last.weights) == ("failed", "trimtab", {})
    assert standing.last.evidence
    assert "decomposition_success" in standing.last.reason


async def test_a_good_map_passes_its_first_stage_by_itself_with_its_figures_kept(tmp_path):
    text = TEXT.replace("weight = 30", "weight = 50")
    start(tmp_path, text)
    store, policy = tmp_path / "trimtab.db", policy_at(tmp_path, text)
    async with app_at(tmp_path, two_models({"haiku": 0.5, "sonnet": 0.0}), text) as app:
        await serve(app, 0, 400)
    seen = await look_after(store, policy, "dearer", by="ci", hosts=False, told=lambda _: None)
    assert [fact.event for fact in seen.moved] == ["entered", "pass", "entered"], seen.gated
    passed = seen.moved[1]
    assert passed.weights == {"local": 1.0}
    assert passed.evidence
    assert seen.standing.rollout.state == "holding"

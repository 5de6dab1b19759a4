"""The run loop on scripted models and a real store."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.booking import Booking, Order, World, booking
from trimtab import Failed, Rejected, Retry, RunError, Status
from trimtab.core.errors import KeyReusedError, PlanError
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, ToolReturned
from trimtab.core.ports import Parked
from trimtab.testing import ScriptedModel, StillClock, app_for_tests, fault, uses

PLAN = [
    {"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}},
    {"id": "c", "specialist": "payment", "action": "charge", "inputs": {"amount": "$q.total"}, "needs": ["q"]},
    {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["c"]},
]


def shown(call: ModelCall) -> dict[str, Any]:
    text = call.messages[0].text
    return json.loads(re.search(r"<untrusted[^>]*>\n(.*)\n</untrusted>", text)[1])


def players(plan: list[dict[str, Any]] = PLAN, **overrides: Any):
    """Models that do what the plan says: an override by subtask id answers in place of the default."""

    def play(call: ModelCall) -> ModelAnswer | ModelFault:
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=plan)
        subtask = shown(call)
        if subtask["id"] in overrides:
            return overrides[subtask["id"]](call, subtask)
        if subtask["action"] == "charge":
            if any(isinstance(m, ToolReturned) and not m.is_error for m in call.messages):
                return uses("answer", id="ch", amount=subtask["inputs"]["amount"])
            return uses("charge", customer="ada", amount=subtask["inputs"]["amount"])
        return uses(subtask["action"], **subtask["inputs"])

    return ScriptedModel(play)


async def run_it(tmp_path: Path, models: Any, world: World | None = None, **more: Any):
    async with app_for_tests(booking(world or World()), models=models, store=tmp_path / "t.db", **more) as app:
        run = await app.start(Booking, Order("two hours please"))
        standing = await run.settled()
        await asyncio.sleep(0)
    return standing


def rows(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "t.db") as connection:
        return connection.execute(sql).fetchall()


async def test_a_request_becomes_a_completed_run(tmp_path):
    world = World()
    standing = await run_it(tmp_path, players(), world)
    assert standing.status is Status.COMPLETED
    assert standing.value == {
        "q": {"total": 200.0, "secret": "gross"},
        "c": {"id": "ch", "amount": "200.0"},
        "n": "sent",
    }
    assert [c.amount for c in world.charges.values()] == [Decimal(200)]
    assert rows(tmp_path, "SELECT status, first_plan_faultless, intended_end, replans FROM outcome") == [
        ("completed", 1, 1, 0)
    ]
    assert rows(tmp_path, "SELECT count(*), count(DISTINCT step) FROM model_call") == [(5, 5)]


async def test_the_first_call_of_a_specialist_holds_its_subtask_and_nothing_else(tmp_path):
    models = players()
    await run_it(tmp_path, models)
    charge = next(c for c in models.calls if "charge" in {t.name for t in c.tools})
    assert shown(charge) == {"id": "c", "action": "charge", "instruction": "", "inputs": {"amount": 200.0}}
    assert "two hours please" not in repr(charge.messages)
    assert "gross" not in repr(charge.messages)


async def test_subtasks_start_the_moment_their_needs_are_done(tmp_path):
    gate, started = asyncio.Event(), []
    plan = [
        {"id": "slow", "specialist": "pricing", "action": "quote", "inputs": {"hours": 1}},
        {"id": "quick", "specialist": "pricing", "action": "quote", "inputs": {"hours": 1}},
        {"id": "after", "specialist": "notification", "action": "alert", "inputs": {"text": "x"}, "needs": ["quick"]},
    ]

    class Models(ScriptedModel):
        async def ask(self, call):
            answer = await super().ask(call)
            if call.tools[0].name != "plan":
                started.append(shown(call)["id"])
                if started[-1] == "slow":
                    await asyncio.wait_for(gate.wait(), 5)
                if started[-1] == "after":
                    gate.set()
            return answer

    inner = players(plan)
    models = Models(lambda call: inner._script(call) if callable(inner._script) else None)
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.COMPLETED
    assert started[-1] == "after"


async def test_faults_are_named_to_the_orchestrator_and_mended(tmp_path):
    bad = [{"id": "n", "specialist": "nobody", "action": "send", "needs": ["ghost"]}]
    plans = [bad, PLAN]
    inner = players()

    def play(call):
        return uses("plan", subtasks=plans.pop(0)) if call.tools[0].name == "plan" else inner._script(call)

    models = ScriptedModel(play)
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.COMPLETED
    told = [m.content for m in models.calls[1].messages if isinstance(m, ToolReturned)]
    assert len(told) == 1
    assert "no specialist 'nobody'" in told[0]
    assert "needs 'ghost', which is no subtask" in told[0]
    assert rows(tmp_path, "SELECT first_plan_faultless, intended_end FROM outcome") == [(0, 1)]
    assert rows(tmp_path, "SELECT number, faults <> '[]' FROM plan ORDER BY number") == [(0, 1), (1, 0)]


async def test_three_faulty_plans_stop_the_run_before_any_specialist_is_called(tmp_path):
    models = ScriptedModel(lambda call: uses("plan", subtasks=[]))
    world = World()
    async with app_for_tests(booking(world), models=models) as app:
        run = await app.start(Booking, Order("x"))
        with pytest.raises(PlanError, match="the plan has no subtasks"):
            await run.result()
    assert len(models.calls) == 3
    assert world.calls == []


async def test_the_workflows_own_faults_are_faults(tmp_path):
    plan = [PLAN[0], {**PLAN[2], "needs": []}]
    standing = await run_it(tmp_path, players(plan))
    assert standing.status is Status.NEEDS_YOU
    assert "a message before the charge" in standing.reason


async def test_a_clarifying_orchestrator_ends_the_run_as_clarify(tmp_path):
    standing = await run_it(tmp_path, ScriptedModel(lambda call: uses("clarify", questions=["Which day?"])))
    assert (standing.status, standing.reason) == (Status.CLARIFY, "Which day?")


async def test_transient_faults_are_tried_again_and_each_attempt_is_a_fact(tmp_path):
    inner, left = players(), [fault("transient", "overloaded"), fault("transient", "rate_limited")]
    models = ScriptedModel(lambda call: left.pop() if left else inner._script(call))
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.COMPLETED
    assert rows(
        tmp_path, "SELECT step, attempt, error_class FROM model_call WHERE role='orchestrator' ORDER BY at"
    ) == [
        ("plan/0/1", 1, "rate_limited"),
        ("plan/0/2", 2, "overloaded"),
        ("plan/0/3", 3, ""),
    ]


async def test_permanent_faults_are_not_tried_again(tmp_path):
    models = ScriptedModel(lambda call: fault("permanent", "not_found"))
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.NEEDS_YOU
    assert len(models.calls) == 1


async def test_a_malformed_answer_is_shown_to_the_model_once_and_then_counted(tmp_path):
    models = ScriptedModel(lambda call: fault("malformed", "no_tool"))
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.NEEDS_YOU
    assert len(models.calls) == 2
    assert "could not be used" in models.calls[1].messages[-1].text


async def test_a_tool_that_asks_for_it_is_tried_again_under_one_key(tmp_path):
    world = World(trouble=[Retry("busy"), Retry("busy")])
    standing = await run_it(tmp_path, players(), world)
    assert standing.status is Status.COMPLETED
    assert [c for c in world.calls if c.startswith("charge")] == ["charge c 1", "charge c 2", "charge c 3"]
    assert rows(tmp_path, "SELECT count(DISTINCT idempotency_key) FROM tool_call WHERE tool='charge'") == [(1,)]


async def test_a_failed_tool_fails_its_subtask_and_blocks_what_needs_it(tmp_path):
    world = World(trouble=[Failed("card service is gone")])
    standing = await run_it(tmp_path, players(), world)
    assert standing.status is Status.FAILED
    assert "card service is gone" in standing.reason
    states = dict(rows(tmp_path, "SELECT subtask, state FROM subtask WHERE state <> 'started'"))
    assert states == {"q": "done", "c": "failed", "n": "blocked"}


async def test_a_rejection_is_shown_to_a_model_that_gives_a_typed_answer(tmp_path):
    world = World(trouble=[Rejected("card declined")])
    models = players()
    standing = await run_it(tmp_path, models, world)
    assert standing.status is Status.COMPLETED
    assert any("card declined" in repr(c.messages) for c in models.calls)


async def test_a_handoff_lets_dependents_go_on_and_names_the_status(tmp_path):
    plan = [
        {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "when?", "expects": "answer"}},
    ]
    standing = await run_it(tmp_path, players(plan))
    assert (standing.status, standing.value) == (Status.CLARIFY, {"n": "sent"})


async def test_a_specialist_cannot_use_a_tool_of_another_or_one_that_was_not_planned(tmp_path):
    world = World()
    plan = [{"id": "q", "specialist": "notification", "action": "alert", "inputs": {"text": "x"}}]
    models = players(plan, q=lambda call, subtask: uses("send", text="leak"))
    standing = await run_it(tmp_path, models, world)
    assert standing.status is Status.NEEDS_YOU
    assert world.sent == []


async def test_a_call_must_carry_the_inputs_that_were_checked(tmp_path):
    world = World()
    plan = [{"id": "a", "specialist": "notification", "action": "alert", "inputs": {"text": "fire"}}]
    standing = await run_it(tmp_path, players(plan, a=lambda call, s: uses("alert", text="all is well")), world)
    assert standing.status is Status.NEEDS_YOU
    assert "'text' must be the subtask's input" in standing.reason
    assert world.calls == []


BIG = [{**PLAN[0], "inputs": {"hours": 9}}, *PLAN[1:]]


async def test_an_approval_holds_the_call_until_somebody_decides(tmp_path):
    world, clock = World(), StillClock()
    async with app_for_tests(booking(world), models=players(BIG), store=tmp_path / "t.db", clock=clock) as app:
        run = await app.start(Booking, Order("x"), key="k")
        standing = await run.settled()
        assert isinstance(standing, Parked)
        assert standing.status is Status.AWAITING_APPROVAL
        assert world.charges == {}
    clock.advance(days=20)
    models = players(BIG)
    async with app_for_tests(booking(world), models=models, store=tmp_path / "t.db", clock=clock) as app:
        again = await app.start(Booking, Order("x"), key="k")
        assert again.id == run.id
        assert await again.decide(approved=True, by="olga") == 1
        assert (await again.ended()).status is Status.COMPLETED
    assert len(world.charges) == 1
    assert [m.tools[0].name for m in models.calls if m.tools[0].name == "plan"] == []
    assert rows(tmp_path, "SELECT final, status FROM outcome ORDER BY final") == [
        (0, "awaiting_approval"),
        (1, "completed"),
    ]


async def test_a_denied_call_is_not_made(tmp_path):
    world = World()
    async with app_for_tests(booking(world), models=players(BIG), store=tmp_path / "t.db") as app:
        run = await app.start(Booking, Order("x"))
        await run.settled()
        await run.decide(approved=False, by="olga")
        ended = await run.ended()
    assert world.charges == {}
    assert ended.status is not Status.COMPLETED or ended.value["c"]["id"] != "ch_ada"


async def test_one_key_starts_one_run_and_no_other_request(tmp_path):
    async with app_for_tests(booking(World()), models=players()) as app:
        first, second = await asyncio.gather(*(app.start(Booking, Order("x"), key="k") for _ in range(2)))
        assert first.id == second.id
        with pytest.raises(KeyReusedError):
            await app.start(Booking, Order("y"), key="k")


async def test_cancelling_ends_a_run_that_waits_and_one_that_works(tmp_path):
    started = asyncio.Event()

    async def play(call):
        started.set()
        await asyncio.sleep(60)

    async with app_for_tests(booking(World()), models=players(BIG), store=tmp_path / "a.db") as app:
        run = await app.start(Booking, Order("x"))
        await run.settled()
        assert await run.cancel("olga")
        assert (await run.ended()).status is Status.CANCELLED
        assert not await run.cancel("olga")
    async with app_for_tests(booking(World()), models=ScriptedModel(play), store=tmp_path / "b.db") as app:
        run = await app.start(Booking, Order("x"))
        await started.wait()
        assert await run.cancel("olga")
        assert (await run.ended()).status is Status.CANCELLED
        with pytest.raises(RunError, match="cancelled by olga"):
            await run.result()

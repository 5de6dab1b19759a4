"""Models that fail: retried, repaired, replaced by the next, planned around, and at last put before a person."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.booking import Booking, Order, World, booking
from trimtab import App, Failed, Rejected, RunError, Specialist, Status, Step, Workflow, tool
from trimtab.core.messages import ModelCall, ToolReturned
from trimtab.core.ports import Ended, Parked
from trimtab.policy.load import parse
from trimtab.testing import QUICK, FlatPrices, ScriptedModel, StillClock, fault, says, uses

Play = Callable[[ModelCall], Any]

QUOTE = {"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}}
CHARGE = {"id": "c", "specialist": "payment", "action": "charge", "inputs": {"amount": "$q.total"}, "needs": ["q"]}
SEND = {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["c"]}
PLAN = [QUOTE, CHARGE, SEND]
LIMITS = replace(QUICK, attempts={"overloaded": 3}, attempts_default=2)


def shown(call: ModelCall) -> dict[str, Any]:
    """Give what a specialist is shown; of an orchestrator, the plan so far where it is shown one."""
    blocks = re.findall(r"<untrusted[^>]*>\n(.*)\n</untrusted>", call.messages[0].text)
    return json.loads(blocks[-1])


def plans(call: ModelCall) -> bool:
    return call.tools[0].name == "plan"


def replans(call: ModelCall) -> bool:
    return plans(call) and "plan so far" in call.messages[0].text


def good(call: ModelCall, plan: list[dict[str, Any]] = PLAN) -> Any:
    if plans(call):
        return uses("plan", subtasks=plan)
    subtask = shown(call)
    if subtask["action"] != "charge":
        return uses(subtask["action"], **subtask["inputs"])
    if any(isinstance(m, ToolReturned) and not m.is_error for m in call.messages):
        return uses("answer", id="ch", amount=subtask["inputs"]["amount"])
    return uses("charge", customer="ada", amount=subtask["inputs"]["amount"])


def garbage(call: ModelCall) -> Any:
    return says("I would rather not.")


def overloaded(call: ModelCall) -> Any:
    return fault("transient", "overloaded")


def unauthenticated(call: ModelCall) -> Any:
    return fault("permanent", "unauthenticated", "invalid x-api-key")


@dataclass
class Mood:
    """A model that can be changed while its run waits."""

    how: Play

    def __call__(self, call: ModelCall) -> Any:
        return self.how(call)


def bad_for(*subtasks: str, how: Play = garbage, otherwise: Play = good) -> Play:
    return lambda call: how(call) if not plans(call) and shown(call)["id"] in subtasks else otherwise(call)


def replanning(rest: list[dict[str, Any]], play: Play) -> Play:
    return lambda call: uses("plan", subtasks=rest) if replans(call) else play(call)


def by_model(**plays: Play) -> ScriptedModel:
    return ScriptedModel(lambda call: plays[call.model.removeprefix("anthropic:")](call))


@asynccontextmanager
async def opened(
    folder: Path, models: Any, world: World, *workflows: Any, rungs: int = 2, clock: Any = None, **limits: Any
):
    names = ["first", "second", "third"]
    role = f'{{ model = "anthropic:{names[0]}", effort = "high", escalate = {json.dumps([f"anthropic:{n}" for n in names[1:rungs]])} }}'
    policy = parse(f"[roles]\ndefault = {role}\n" if rungs > 1 else '[roles]\ndefault = "anthropic:first"\n', "test")
    declared = workflows or (booking(world),)
    async with App(
        *declared, policy=policy, store=folder / "t.db", models=models, prices=FlatPrices(),
        limits=replace(LIMITS, **limits), clock=clock,
    ) as app:  # fmt: skip
        yield app


async def run_it(folder: Path, models: Any, world: World | None = None, **more: Any):
    async with opened(folder, models, world or World(), **more) as app:
        run = await app.start(Booking, Order("two hours please"))
        standing = await run.settled()
        await asyncio.sleep(0)
    return standing


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "t.db") as connection:
        return connection.execute(sql).fetchall()


def rungs_of(folder: Path) -> list[tuple[Any, ...]]:
    return rows(folder, "SELECT rung, role, subtask, model FROM rung ORDER BY rowid")


# -- the next model ----------------------------------------------------------------------------------------------------


async def test_where_the_first_model_says_nothing_usable_the_second_does_the_work(tmp_path):
    world = World()
    models = by_model(first=bad_for("c"), second=good)
    standing = await run_it(tmp_path, models, world)
    assert (standing.status, len(world.charges)) == (Status.COMPLETED, 1)
    assert rungs_of(tmp_path) == [
        ("repair", "payment", "c", "anthropic:first"),
        ("escalate", "payment", "c", "anthropic:second"),
    ]
    asked = rows(tmp_path, "SELECT step, requested_model, error_class FROM model_call WHERE subtask='c' ORDER BY rowid")
    assert asked == [
        ("do/c/model/0/1", "anthropic:first", "no_tool"),
        ("do/c/model/0/2", "anthropic:first", "no_tool"),
        ("do/c/on1/model/0/1", "anthropic:second", ""),
        ("do/c/on1/model/1/1", "anthropic:second", ""),
    ]
    # An effort was written for one model and is not sent to another.
    assert {(c.model, c.effort) for c in models.calls} == {("anthropic:first", "high"), ("anthropic:second", None)}


async def test_an_orchestrator_that_plans_badly_to_the_end_is_followed_by_the_next(tmp_path):
    models = by_model(first=lambda call: uses("plan", subtasks=[]) if plans(call) else good(call), second=good)
    standing = await run_it(tmp_path, models)
    assert standing.status is Status.COMPLETED
    assert rungs_of(tmp_path) == [
        ("repair", "orchestrator", None, "anthropic:first"),
        ("repair", "orchestrator", None, "anthropic:first"),
        ("escalate", "orchestrator", None, "anthropic:second"),
    ]
    assert rows(tmp_path, "SELECT number, faults = '[]' FROM plan ORDER BY number") == [(0, 0), (1, 0), (2, 0), (3, 1)]
    assert rows(tmp_path, "SELECT first_plan_faultless FROM outcome") == [(0,)]


async def test_a_plan_of_the_second_model_is_not_taken_for_a_success_of_the_first(tmp_path):
    await run_it(tmp_path, by_model(first=lambda call: garbage(call) if plans(call) else good(call), second=good))
    assert rows(tmp_path, "SELECT status, first_plan_faultless FROM outcome") == [("completed", 0)]


@pytest.mark.parametrize(
    ("how", "before"), [(overloaded, ["retry", "retry"]), (unauthenticated, [])], ids=["overloaded", "401"]
)
async def test_a_model_that_cannot_be_reached_is_followed_by_the_next(tmp_path, how, before):
    standing = await run_it(tmp_path, by_model(first=how, second=good))
    assert standing.status is Status.COMPLETED
    found = rows(tmp_path, "SELECT rung FROM rung WHERE role='orchestrator' ORDER BY rowid")
    assert [r for (r,) in found] == [*before, "escalate"]
    assert {r for (r,) in rows(tmp_path, "SELECT rung FROM rung WHERE subtask='c'")} == {*before, "escalate"}


async def test_what_one_model_has_done_the_next_does_not_do_again(tmp_path):
    def charges_and_chatters(call: ModelCall) -> Any:
        return garbage(call) if any(isinstance(m, ToolReturned) for m in call.messages) else good(call)

    world = World()
    models = by_model(first=bad_for("c", how=charges_and_chatters), second=good)
    standing = await run_it(tmp_path, models, world)
    assert standing.status is Status.COMPLETED
    assert world.calls.count("charge c 1") == 1
    assert rows(tmp_path, "SELECT state, count(*) FROM effect WHERE tool='charge' GROUP BY state") == [
        ("committed", 1),
        ("reserved", 1),
    ]


@pytest.mark.parametrize("answer", [Failed("card service is gone"), Rejected("declined")])
async def test_what_a_tool_says_is_no_fault_of_the_model(tmp_path, answer):
    plan = [QUOTE, {**CHARGE, "inputs": {"amount": 200}}]
    world = World(trouble=[answer] * 9)
    standing = await run_it(tmp_path, ScriptedModel(lambda call: good(call, plan)), world)
    assert standing.status is (Status.FAILED if isinstance(answer, Failed) else Status.ESCALATED)
    assert rows(tmp_path, "SELECT count(*) FROM rung WHERE rung <> 'repair'") == [(0,)]


# -- a person ----------------------------------------------------------------------------------------------------------


async def test_where_no_model_is_left_a_person_lets_the_run_go_on_and_nothing_is_paid_twice(tmp_path):
    world, mood = World(), Mood(garbage)
    models = ScriptedModel(bad_for("c", how=mood))
    async with opened(tmp_path, models, world, replans=0) as app:
        run = await app.start(Booking, Order("two hours please"))
        parked = await run.settled()
        assert isinstance(parked, Parked)
        assert parked.status is Status.NEEDS_YOU
        assert parked.events == {"cancel", "resume/0"}
        asked = len(models.calls)
        mood.how = good
        assert await app.resume(run.id, by="olga")
        assert (await run.ended()).status is Status.COMPLETED
    assert [c for c in world.calls if c.startswith("quote")] == ["quote q"]
    assert len(models.calls) == asked + 3
    assert rows(tmp_path, "SELECT rung, subtask, model, step FROM rung WHERE rung='person'") == [
        ("person", "c", "", "do/c/on1/model/0/2")
    ]
    assert rows(tmp_path, "SELECT step FROM model_call WHERE step LIKE 'do/c/again1/%' ORDER BY rowid") == [
        ("do/c/again1/model/0/1",),
        ("do/c/again1/model/1/1",),
    ]


async def test_a_run_that_could_not_be_planned_is_planned_when_a_person_says_so(tmp_path):
    mood = Mood(unauthenticated)
    models = ScriptedModel(mood)
    async with opened(tmp_path, models, World()) as app:
        run = await app.start(Booking, Order("two hours please"))
        with pytest.raises(RunError, match="invalid x-api-key"):
            await run.result()
        # Whoever says it while nothing has changed gets the same answer, and may say it again.
        for number in range(2):
            await app.resume(run.id, by="olga")
            parked = await run.settled()
            assert parked.events == {"cancel", f"resume/{number + 1}"}
        mood.how = good
        assert await app.resume(run.id, by="olga")
        assert (await run.ended()).status is Status.COMPLETED
    assert rows(tmp_path, "SELECT step FROM model_call WHERE role='orchestrator' ORDER BY rowid") == [
        ("plan/0/1",),
        ("plan/on1/0/1",),
        ("plan/again1/0/1",),
        ("plan/again1/on1/0/1",),
        ("plan/again2/0/1",),
        ("plan/again2/on1/0/1",),
        ("plan/again3/0/1",),
    ]


async def test_a_person_can_put_a_role_on_another_model(tmp_path):
    models = by_model(first=bad_for("c"), second=bad_for("c"), third=good)
    async with opened(tmp_path, models, World(), replans=0) as app:
        run = await app.start(Booking, Order("two hours please"))
        await run.settled()
        assert await app.resume(run.id, by="olga", models={"payment": "anthropic:third"})
        assert (await run.ended()).status is Status.COMPLETED
    assert {c.model for c in models.calls if not plans(c) and shown(c)["id"] == "n"} == {"anthropic:first"}
    assert (
        rows(tmp_path, "SELECT requested_model FROM model_call WHERE step LIKE 'do/c/again1/%'")
        == [("anthropic:third",)] * 2
    )


async def test_a_resumption_that_came_for_something_else_does_not_change_the_steps_that_were_taken(tmp_path):
    """A word that is there from the start of a replay must not make it skip a rung on which something was done."""
    world = World()

    def charges_and_chatters(call: ModelCall) -> Any:
        return garbage(call) if any(isinstance(m, ToolReturned) for m in call.messages) else good(call)

    models = by_model(first=bad_for("c"), second=bad_for("c", how=charges_and_chatters), third=good)
    async with opened(tmp_path, models, world, replans=1) as app:
        run = await app.start(Booking, Order("two hours please"))
        await run.settled()
        assert len(world.charges) == 1
        # The second model is now the first of as many.
        assert await app.resume(run.id, by="olga", models={"payment": "anthropic:second"})
        await run.settled()
        assert await app.resume(run.id, by="olga", models={"payment": "anthropic:third"})
        assert (await run.ended()).status is Status.COMPLETED
    assert world.calls.count("charge c 1") == 1
    assert len(world.charges) == 1


# -- another plan ------------------------------------------------------------------------------------------------------

REST = [
    {"id": "n2", "specialist": "notification", "action": "alert", "inputs": {"text": "call her"}, "needs": ["c"]},
]


async def test_another_plan_replaces_what_is_stuck_and_keeps_the_write_that_was_made(tmp_path):
    world = World()
    models = ScriptedModel(replanning(REST, bad_for("n")))
    standing = await run_it(tmp_path, models, world)
    assert isinstance(standing, Ended)
    assert standing.status is Status.COMPLETED
    assert set(standing.value) == {"q", "c", "n2"}
    assert world.calls == ["quote q", "charge c 1", "alert n2"]
    assert rungs_of(tmp_path)[-1] == ("replan", "notification", "n", "anthropic:first")
    assert rows(tmp_path, "SELECT status, first_plan_faultless, replans FROM outcome") == [("completed", 1, 1)]
    states = rows(tmp_path, "SELECT subtask, state FROM subtask WHERE subtask IN ('n', 'n2') ORDER BY rowid")
    assert states == [("n", "started"), ("n", "stuck"), ("n", "replaced"), ("n2", "started"), ("n2", "done")]
    whole = json.loads(rows(tmp_path, "SELECT plan FROM plan WHERE number=1 AND faults='[]'")[0][0])
    assert [s["id"] for s in whole["subtasks"]] == ["q", "c", "n2"]


async def test_the_orchestrator_is_shown_how_the_plan_stands_and_no_result(tmp_path):
    models = ScriptedModel(replanning(REST, bad_for("n")))
    await run_it(tmp_path, models)
    asked = next(c for c in models.calls if replans(c))
    assert [(s["id"], s["stands"]) for s in shown(asked)["subtasks"]] == [
        ("q", "done"),
        ("c", "done"),
        ("n", "replaced"),
    ]
    assert [t.name for t in asked.tools] == ["plan"]
    assert "two hours please" in asked.messages[0].text
    assert "gross" not in asked.messages[0].text


async def test_what_needs_the_stuck_one_and_never_began_is_replaced_with_it(tmp_path):
    rest = [{**CHARGE, "id": "c2"}, {**SEND, "id": "n2", "needs": ["c2"]}]
    world = World()
    standing = await run_it(tmp_path, ScriptedModel(replanning(rest, bad_for("c"))), world)
    assert (standing.status, set(standing.value)) == (Status.COMPLETED, {"q", "c2", "n2"})
    assert world.calls == ["quote q", "charge c2 1", "send n2"]
    assert rows(tmp_path, "SELECT subtask FROM subtask WHERE state='replaced' ORDER BY rowid") == [("c",), ("n",)]


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ([], "the plan has no subtasks"),
        ([{**SEND, "needs": ["c"]}], "the id was used before"),
        ([{**REST[0], "needs": ["n"]}], "needs 'n', which is no subtask"),
        ([{**CHARGE, "id": "c2"}], "repeats subtask 'c', and neither needs the other"),
        ([{**CHARGE, "id": "c2", "needs": ["c"]}], "repeats subtask 'c', which is kept"),
        ([{**SEND, "id": "n2", "needs": []}], "a message before the charge"),
        ("none", "a plan is an object with a list `subtasks`"),
    ],
)
async def test_a_bad_second_plan_is_refused_and_a_person_is_asked(tmp_path, rest, told):
    world = World()
    models = ScriptedModel(replanning(rest, bad_for("n")))
    standing = await run_it(tmp_path, models, world)
    assert (standing.status, standing.events) == (Status.NEEDS_YOU, {"cancel", "resume/0"})
    assert told in standing.reason
    # Three plans on each of two models.
    assert len([c for c in models.calls if replans(c)]) == 6
    assert rows(tmp_path, "SELECT number FROM plan ORDER BY number") == [(n,) for n in range(7)]
    people = rows(tmp_path, "SELECT role, subtask FROM rung WHERE rung='person' ORDER BY rowid")
    assert people == [("orchestrator", None), ("notification", "n")]
    assert len(world.charges) == 1
    assert rows(tmp_path, "SELECT replans FROM outcome") == [(1,)]


async def test_after_a_second_plan_that_failed_a_person_lets_the_stuck_work_be_tried_again(tmp_path):
    world, mood = World(), Mood(garbage)
    models = ScriptedModel(replanning([], bad_for("n", how=mood)))
    async with opened(tmp_path, models, world) as app:
        run = await app.start(Booking, Order("two hours please"))
        await run.settled()
        mood.how = good
        await app.resume(run.id, by="olga")
        ended = await run.ended()
    assert (ended.status, ended.value["n"], ended.reason) == (Status.COMPLETED, "sent", "")
    assert len([c for c in models.calls if replans(c)]) == 6
    assert world.calls == ["quote q", "charge c 1", "send n"]


async def test_stuck_work_that_has_changed_something_is_never_replaced(tmp_path):
    def never_answers(call: ModelCall) -> Any:
        return garbage(call) if any(isinstance(m, ToolReturned) for m in call.messages) else good(call)

    world, mood = World(), Mood(never_answers)
    models = ScriptedModel(replanning([{**CHARGE, "id": "c2"}], bad_for("c", how=mood)))
    async with opened(tmp_path, models, world) as app:
        run = await app.start(Booking, Order("two hours please"))
        parked = await run.settled()
        assert parked.status is Status.NEEDS_YOU
        assert not [c for c in models.calls if replans(c)]
        mood.how = good
        await app.resume(run.id, by="olga")
        assert (await run.ended()).status is Status.COMPLETED
    assert world.calls == ["quote q", "charge c 1", "send n"]


async def test_while_another_plan_is_put_off_what_it_may_replace_is_left_alone(tmp_path):
    world, clock = World(), StillClock()

    def busy(call: ModelCall) -> Any:
        if replans(call) and clock.now() < StillClock().now() + timedelta(hours=1):
            return fault("transient", "rate_limited", retry_after=timedelta(hours=1))
        return replanning(REST, bad_for("n"))(call)

    models = ScriptedModel(busy)
    async with opened(tmp_path, models, world, clock=clock) as app:
        run = await app.start(Booking, Order("two hours please"))
        assert (await run.settled()).status is Status.DEFERRED
    # A word that comes meanwhile, and a restart, change nothing.
    async with opened(tmp_path, models, world, clock=clock) as app:
        again = app.run(run.id, "booking")
        asked = len(models.calls)
        await app.resume(run.id, by="olga")
        assert (await again.settled()).status is Status.DEFERRED
        clock.advance(hours=1)
        assert (await again.ended()).status is Status.COMPLETED
    assert [replans(c) or shown(c)["id"] for c in models.calls[asked:]] == [True, "n2"]
    assert world.calls == ["quote q", "charge c 1", "alert n2"]


async def test_a_plan_is_asked_for_again_only_as_often_as_is_allowed(tmp_path):
    again = iter("abcdefgh")

    def rest(call: ModelCall) -> Any:
        if replans(call):
            return uses("plan", subtasks=[{**REST[0], "id": f"n_{next(again)}"}])
        return garbage(call) if not plans(call) and shown(call)["id"].startswith("n") else good(call)

    models = ScriptedModel(rest)
    standing = await run_it(tmp_path, models, replans=2)
    assert standing.status is Status.NEEDS_YOU
    assert len([c for c in models.calls if replans(c)]) == 2
    assert rows(tmp_path, "SELECT status, replans FROM outcome") == [("needs_you", 2)]
    assert rows(tmp_path, "SELECT subtask FROM rung WHERE rung='replan' ORDER BY rowid") == [("n",), ("n_a",)]


async def test_where_something_failed_no_other_plan_is_asked_for(tmp_path):
    plan = [QUOTE, {**CHARGE, "needs": ["q"]}, {**SEND, "needs": ["q"]}]
    models = ScriptedModel(replanning(REST, bad_for("n", otherwise=lambda call: good(call, plan))))
    standing = await run_it(tmp_path, models, World(trouble=[Failed("gone")]))
    assert standing.status is Status.FAILED
    assert not [c for c in models.calls if replans(c)]


# -- loops -------------------------------------------------------------------------------------------------------------


class Clerk(Specialist[int], role="clerk"):
    """You look things up and say how many there are."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    @tool("read")
    async def look(self, step: Step, what: str) -> int:
        """Look something up."""
        self.looks.append(what)
        return len(what)


class Counting(Workflow[str, dict[str, Any]], name="counting"):
    """You count."""

    def conclude(self, request: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return dict(results)


async def counted(folder: Path, play: Play, **limits: Any) -> tuple[Any, Clerk]:
    clerk = Clerk()

    def script(call: ModelCall) -> Any:
        if plans(call):
            return uses("plan", subtasks=[{"id": "a", "specialist": "clerk", "action": "look"}])
        return play(call)

    async with opened(folder, ScriptedModel(script), World(), Counting([clerk]), rungs=1, replans=0, **limits) as app:
        run = await app.start(Counting, "how many?")
        return await run.settled(), clerk


async def test_who_asks_for_the_same_again_and_again_is_told_and_then_stopped(tmp_path):
    standing, clerk = await counted(tmp_path, lambda call: uses("look", what="boats"))
    assert standing.status is Status.NEEDS_YOU
    assert "you asked 'look' for this before; the answer is above [loop]" in standing.reason
    assert clerk.looks == ["boats", "boats"]
    assert rows(tmp_path, "SELECT count(*) FROM model_call WHERE role='clerk'") == [(4,)]
    assert rungs_of(tmp_path) == [("repair", "clerk", "a", "anthropic:first"), ("person", "clerk", "a", "")]


async def test_the_guard_counts_within_one_answer_too(tmp_path):
    answer = uses("look", what="boats")
    standing, clerk = await counted(tmp_path, lambda call: replace(answer, calls=answer.calls * 7))
    assert "[loop]" in standing.reason
    assert clerk.looks == ["boats", "boats"]


async def test_who_heeds_the_warning_goes_on(tmp_path):
    def heeds(call: ModelCall) -> Any:
        warned = any(isinstance(m, ToolReturned) and m.is_error for m in call.messages)
        return uses("answer", value=5) if warned else uses("look", what="boats")

    standing, clerk = await counted(tmp_path, heeds)
    assert (standing.status, standing.value) == (Status.COMPLETED, {"a": 5})
    assert len(clerk.looks) == 2


async def test_talk_without_end_ends(tmp_path):
    said: list[int] = []

    def other(call: ModelCall) -> Any:
        said.append(1)
        return uses("look", what="b" * len(said))

    standing, clerk = await counted(tmp_path, other, turns=5)
    assert "gave no result in 5 turns [turns]" in standing.reason
    assert len(clerk.looks) == 5


async def test_ten_thousand_subtasks_are_refused_and_not_sent_back_whole(tmp_path):
    world = World()
    plan = [{**SEND, "id": f"n{n}", "needs": []} for n in range(10_000)]
    models = ScriptedModel(lambda call: uses("plan", subtasks=plan))
    standing = await run_it(tmp_path, models, world, rungs=1)
    assert standing.status is Status.NEEDS_YOU
    assert "the plan has 10000 subtasks, 60 are allowed" in standing.reason
    assert len(models.calls) == 3
    assert max(len(repr(c.messages)) for c in models.calls) < 40_000
    assert world.calls == []


async def test_of_many_faults_the_first_twenty_are_shown(tmp_path):
    plan = [{**SEND, "id": f"n{n}", "specialist": "x" * 1000, "needs": [f"g{n}"]} for n in range(60)]
    models = ScriptedModel(lambda call: uses("plan", subtasks=plan))
    standing = await run_it(tmp_path, models, rungs=1)
    told = models.calls[-1].messages[-1].content
    assert "20. " in told
    assert "and 100 more" in told
    assert len(told) < 8_000
    assert len(standing.reason) < 8_000


# -- crashes -----------------------------------------------------------------------------------------------------------


def climbing(call: ModelCall) -> Any:
    """Climb every rung: the plan is mended, `c` needs the second model, `n` another plan, and `n2` a person."""
    first = call.model == "anthropic:first"
    if replans(call):
        return garbage(call) if first else uses("plan", subtasks=[{**REST[0], "id": "n2"}])
    if plans(call):
        return good(call) if len(call.messages) > 1 else uses("plan", subtasks=[{**SEND, "needs": ["ghost"]}])
    match shown(call)["id"]:
        case "c" if first:
            return garbage(call) if any(isinstance(m, ToolReturned) for m in call.messages) else good(call)
        case "n":
            return uses("charge", customer="eve", amount=1)
        case "n2" if call.model != "anthropic:third":
            return garbage(call)
    return good(call)


async def lives(folder: Path, world: World, deaths: list[int]) -> list[str]:
    """Run to the end; the n-th life stops short in its `deaths[n]`-th model call. Gives the calls that were answered."""
    answered: list[str] = []
    done = False
    while not done:
        left = [deaths.pop(0) if deaths else 10_000]
        dead = asyncio.Event()

        async def play(call: ModelCall, left: list[int] = left, dead: asyncio.Event = dead) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                dead.set()
                await asyncio.sleep(60)
            answered.append(call.model)
            return climbing(call)

        async with opened(folder, ScriptedModel(play), world) as app:
            run = await app.start(Booking, Order("two hours please"), key="k")
            waits = [asyncio.ensure_future(w) for w in (_to_the_end(app, run), dead.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            done = waits[0].done()
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
    return answered


async def _to_the_end(app: App, run: Any) -> None:
    while isinstance(await run.settled(), Parked):
        await app.resume(run.id, by="olga", models={"notification": "anthropic:third"})


def left_behind(folder: Path) -> dict[str, Any]:
    return {
        "steps": rows(folder, "SELECT name FROM engine_step ORDER BY name"),
        "rungs": rows(folder, "SELECT step, rung, role, subtask, model, reason FROM rung ORDER BY step, rung"),
        "plans": rows(folder, "SELECT number, plan, faults FROM plan ORDER BY number"),
        "asked": rows(folder, "SELECT step, requested_model, error_class FROM model_call ORDER BY step"),
        "tools": rows(folder, "SELECT step, outcome, idempotency_key FROM tool_call ORDER BY step"),
        "effects": rows(folder, "SELECT step, state, key FROM effect ORDER BY step, state"),
        "states": rows(folder, "SELECT subtask, state FROM subtask ORDER BY subtask, state"),
        "ends": rows(folder, "SELECT final, status, value, replans FROM outcome ORDER BY final, number"),
    }


async def test_stopped_in_any_call_of_any_rung_a_run_comes_to_the_same(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    answered = await lives(whole, World(), [])
    wanted = left_behind(whole)
    assert {rung for _, rung, *_ in wanted["rungs"]} == {"repair", "escalate", "replan", "person"}
    assert wanted["ends"][-1][:2] == (1, "completed")
    for number in range(1, len(answered) + 1):
        folder, world = tmp_path / str(number), World()
        folder.mkdir()
        again = await lives(folder, world, [number, 1, 2])
        assert left_behind(folder) == wanted
        assert again == answered, "an answered call was made again, or one was left out"
        assert (len(world.charges), world.calls) == (1, ["quote q", "charge c 1", "alert n2"])


# -- anything ----------------------------------------------------------------------------------------------------------


def well(call: ModelCall) -> Any:
    again = [{**QUOTE, "id": f"r{len(shown(call)['subtasks'])}"}] if replans(call) else PLAN
    return good(call, again)


REPLIES: dict[str, Play] = {
    "good": well,
    "garbage": garbage,
    "overloaded": overloaded,
    "401": unauthenticated,
    "wrong tool": lambda call: uses("refund_everybody", amount=1),
    "wrong plan": lambda call: uses("plan", subtasks=[{"id": "x", "specialist": "eve", "action": "steal"}]),
    "cut off": lambda call: fault("malformed", "max_tokens", "it was cut off at max_tokens"),
}
replies = st.sampled_from(["good", *REPLIES])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    first=st.lists(replies, max_size=12),
    second=st.lists(replies, max_size=12),
    resumes=st.integers(0, 2),
)
async def test_whatever_models_say_a_run_stands_somewhere_and_charges_once(tmp_path_factory, first, second, resumes):
    folder, world = tmp_path_factory.mktemp("any"), World()
    scripts = {"anthropic:first": list(first), "anthropic:second": list(second)}

    def play(call: ModelCall) -> Any:
        said = scripts[call.model]
        return REPLIES[said.pop(0) if said else "good"](call)

    models = ScriptedModel(play)
    async with opened(folder, models, world) as app:
        run = await app.start(Booking, Order("two hours please"))
        standing = await asyncio.wait_for(run.settled(), 20)
        for _ in range(resumes):
            if isinstance(standing, Parked):
                await app.resume(run.id, by="olga")
                standing = await asyncio.wait_for(run.settled(), 20)
    assert standing.status in (Status.COMPLETED, Status.NEEDS_YOU, Status.ESCALATED)
    assert isinstance(standing, Ended) or f"resume/{resumes}" in standing.events
    assert len(world.charges) <= 1
    assert len(set(world.calls)) == len(world.calls)
    repeated = rows(folder, "SELECT step, count(*) FROM model_call GROUP BY step HAVING count(*) > 1")
    assert repeated == []

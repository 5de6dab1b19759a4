"""The ladder of recovery, stopped at every boundary of every step: a replay takes the turns that were taken."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.steps import FakeSteps
from tests.integration.booking import World, booking

from charter.app import workflow as charter
from charter.book import plan as gold_plan
from charter.book import read_lines
from charter.evidence import read_plan
from charter.fleet import Fleet
from charter.mailer import MemoryMailer
from trimtab.core.messages import ModelCall, ToolReturned
from trimtab.core.pin import ORCHESTRATOR, Pin, RoleChoice
from trimtab.core.ports import OnceWork, Parked, Standing, StepWork, Worked
from trimtab.core.records import OutcomeFact, PlanFact, RungFact
from trimtab.core.values import Json, digest
from trimtab.run.ask import Stuck
from trimtab.run.ladder import Rung, climb
from trimtab.run.loop import RunLoop
from trimtab.run.plan import repeats
from trimtab.run.prompt import listed
from trimtab.run.retry import Limits
from trimtab.run.scope import Means, Scope
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, fault, says, uses

models = st.sampled_from(["a:one", "a:two", "a:three", "a:four"])


def scope_of(choice: RoleChoice, steps: FakeSteps) -> Scope:
    means = Means(ScriptedModel([]), FlatPrices(), StillClock(), Limits(), asyncio.Semaphore(1))
    workflow = booking(World())
    return Scope(means, steps, workflow, None, None, Pin({"payment": choice}, "local", "d", date(2026, 6, 8)))


def resume(**put_on: str) -> Json:
    return {"by": "olga", "raised": {}, "models": put_on}


# -- which models ------------------------------------------------------------------------------------------------------


@given(st.lists(models, min_size=1, unique=True), st.lists(st.none() | models, max_size=4))
def test_whatever_people_say_as_many_models_are_asked_the_last_one_named_first(pinned, said):
    events = {f"resume/{n}": resume(**({"payment": m} if m else {"pricing": "a:other"})) for n, m in enumerate(said)}
    scope = scope_of(RoleChoice(pinned[0], 100, escalate=tuple(pinned[1:])), FakeSteps(events))
    ladder = scope.models("payment")
    assert len(ladder) == len(set(ladder)) == len(pinned)
    named = [m for m in said if m]
    assert ladder[0] == (named[-1] if named else pinned[0])
    assert set(ladder[1:]) <= set(pinned)


async def climbed(scope: Scope, *, rounds: bool = True, useful: str = "") -> tuple[Any, list[str], list[Rung]]:
    tried: list[Rung] = []

    async def attempt(rung: Rung) -> str | Stuck:
        tried.append(rung)
        name = rung.name("do/c")
        return name if name == useful else Stuck("no", "malformed", f"{name}/model/0/1")

    outcome = await climb(scope, "payment", "c", attempt, rounds=rounds)
    return outcome, [rung.name("do/c") for rung in tried], tried


async def test_every_resumption_is_a_round_over_all_models():
    steps = FakeSteps({"resume/0": resume(), "resume/1": resume(payment="a:two")})
    outcome, names, tried = await climbed(scope_of(RoleChoice("a:one", 100, "high", escalate=("a:two",)), steps))
    assert names == ["do/c", "do/c/on1", "do/c/again1", "do/c/again1/on1", "do/c/again2", "do/c/again2/on1"]
    assert outcome == Stuck("no", "malformed", "do/c/again2/on1/model/0/1", "resume/2")
    assert [(r.model, r.effort) for r in tried] == [("a:two", None), ("a:one", "high")] * 3
    assert [(f.step, f.rung, f.model) for f in steps.facts] == [
        (f"do/c{round_}/model/0/1", "escalate", "a:one") for round_ in ("", "/again1", "/again2")
    ]


async def test_without_rounds_all_models_are_asked_once():
    scope = scope_of(RoleChoice("a:one", 100, escalate=("a:two",)), FakeSteps({"resume/0": resume()}))
    outcome, names, _ = await climbed(scope, rounds=False)
    assert (names, outcome.event) == (["do/c", "do/c/on1"], "")


async def test_what_is_of_use_ends_the_climb():
    scope = scope_of(RoleChoice("a:one", 100, escalate=("a:two",)), FakeSteps({"resume/0": resume()}))
    assert (await climbed(scope, useful="do/c/again1"))[:2] == ("do/c/again1", ["do/c", "do/c/on1", "do/c/again1"])


def test_long_lists_of_faults_are_cut():
    assert listed([]) == []
    assert listed(["a"] * 20) == ["a"] * 20
    assert listed(["a"] * 21) == [*["a"] * 20, "and 1 more"]
    assert len(listed(["x" * 5000])[0]) < 310


def test_a_gold_plan_writes_nothing_twice_but_one_after_the_other(tmp_path):
    workflow = charter(Fleet(tmp_path), MemoryMailer())
    lines = [*read_lines(), *read_lines(Path("tests/acceptance/more_requests.jsonl"))]
    found: list[str] = []
    for line in lines:
        plan = read_plan(gold_plan(line)) if line["expected_subtasks"] else None
        for earlier, later in repeats(workflow, plan) if plan else ():
            found.append(line["id"])
            assert earlier.id in plan.ancestors(later.id)
    assert len(lines) > 190
    # A hold that is released and then released again, on purpose.
    assert found == ["C04"]


# -- stopped anywhere --------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


class MortalSteps(FakeSteps):
    """One life of a run: it ends at the `dies`-th boundary of a step, and no step is done twice in it."""

    def __init__(self, before: FakeSteps | None = None, dies: int | None = None) -> None:
        super().__init__(before.events if before else None)
        if before:
            self.done, self.begins, self.facts = dict(before.done), dict(before.begins), before.facts
        self.earlier = dict(self.done)
        self.dies = dies
        self.passed = 0
        self.seen: set[str] = set()

    def cross(self) -> None:
        self.passed += 1
        if self.passed == self.dies:
            raise StoppedError

    def known(self, name: str) -> Json:
        begun = {b.name: b.result for b in self.begun()}
        return self.earlier.get(name, begun.get(name))

    async def step(self, name: str, work: StepWork) -> Json:
        assert name not in self.seen, f"step {name!r} was done twice in one life"
        self.seen.add(name)
        if name not in self.done:
            self.cross()
            await super().step(name, work)
            self.cross()
        return self.done[name]

    async def once(self, name: str, begin: Worked, work: OnceWork, *, shielded: bool) -> Json:
        if name not in self.done:
            self.cross()
        # From its beginning to its end a write is somebody else's matter.
        dies, self.dies = self.dies, None
        try:
            result = await super().once(name, begin, work, shielded=shielded)
        finally:
            self.dies = dies
        return result


PLAN: list[dict[str, Any]] = [
    {"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}},
    {"id": "c", "specialist": "payment", "action": "charge", "inputs": {"amount": "$q.total"}, "needs": ["q"]},
    {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["c"]},
    {"id": "a", "specialist": "notification", "action": "alert", "inputs": {"text": "new"}, "needs": ["q", "c"]},
]


def good(call: ModelCall) -> Any:
    blocks = [json.loads(b) for b in re.findall(r"<untrusted[^>]*>\n(.*)\n</untrusted>", call.messages[0].text)]
    if len(blocks) > 1:
        gone = {s["id"]: f"{s['id']}_" for s in blocks[1]["subtasks"] if s["stands"] == "replaced"}
        rest = [s for s in blocks[1]["subtasks"] if s["id"] in gone]
        kept = ("specialist", "action", "instruction")
        return uses(
            "plan",
            subtasks=[
                {k: s[k] for k in kept}
                | {"id": gone[s["id"]], "needs": [gone.get(n, n) for n in s["needs"]]}
                | {
                    "inputs": json.loads(
                        re.sub(r"\$(\w+)", lambda m: f"${gone.get(m[1], m[1])}", json.dumps(s["inputs"]))
                    )
                }
                for s in rest
            ],
        )
    if call.tools[0].name == "plan":
        return uses("plan", subtasks=PLAN)
    subtask = blocks[0]
    if subtask["action"] != "charge":
        return uses(subtask["action"], **subtask["inputs"])
    if any(isinstance(m, ToolReturned) and not m.is_error for m in call.messages):
        return uses("answer", id="ch", amount=subtask["inputs"]["amount"])
    return uses("charge", customer="ada", amount=subtask["inputs"]["amount"])


BAD = [
    lambda call: says("no"),
    lambda call: fault("permanent", "unauthenticated"),
    lambda call: fault("transient", "overloaded"),
    lambda call: uses("steal"),
    lambda call: uses("plan", subtasks=[]),
    lambda call: uses("answer", id=3),
]


class Company:
    """A run with its models: what they say hangs on what they are asked, and for some on how often people let it go on."""

    def __init__(self, seed: int, badness: int) -> None:
        self.seed, self.badness = seed, badness
        self.world = World()
        self.steps = FakeSteps()
        self.asked: list[tuple[str, str]] = []
        self.standing: Standing | None = None

    def play(self, call: ModelCall) -> Any:
        # A tool use is numbered by its place in a life, which means nothing.
        text = re.sub(r"toolu_scripted_\d+", "", repr(call.messages))
        self.asked.append((call.model, text))
        said = [self.seed, call.model, text, len(self.steps.events)]
        roll = int(digest(said), 16)
        return BAD[roll // 100 % len(BAD)](call) if roll % 100 < self.badness else good(call)

    def live(self, dies: int | None = None) -> bool:
        """Live once; False when it was stopped."""
        limits = Limits(attempts={"overloaded": 2}, replans=2)
        means = Means(ScriptedModel(self.play), FlatPrices(), StillClock(), limits, asyncio.Semaphore(9))
        workflow = booking(self.world)
        roles = {role: RoleChoice("a:one", 100, escalate=("a:two",)) for role in (ORCHESTRATOR, *workflow.specialists)}
        pin = Pin(roles, "local", "d", date(2026, 6, 8)).as_json()
        payload = json.dumps({"workflow": "booking", "request": {"text": "x", "sender": "guest"}, "pin": pin})
        self.steps = MortalSteps(self.steps, dies)
        with asyncio.Runner() as runner:
            try:
                self.standing = runner.run(RunLoop({"booking": workflow}, means).perform(self.steps, payload))
            except StoppedError:
                return False
        return True

    def to_the_end(self, dies: Iterator[int | None], resumes: int = 3) -> None:
        while True:
            if not self.live(next(dies, None)):
                continue
            assert self.standing is not None
            wanted = sorted(self.standing.events - {"cancel"}) if isinstance(self.standing, Parked) else []
            number = len(self.steps.events)
            if not wanted or number == resumes:
                return
            assert wanted == [f"resume/{number}"]
            self.steps.events[wanted[0]] = resume(**({"payment": "a:two"} if number == 1 else {}))

    @property
    def left(self) -> dict[str, Any]:
        facts = self.steps.facts
        assert self.standing is not None
        rungs = {(f.step, f.rung): (f.role, f.subtask, f.model) for f in reversed(facts) if isinstance(f, RungFact)}
        plans = {f.number: f.plan for f in reversed(facts) if isinstance(f, PlanFact)}
        return {
            "steps": sorted(self.steps.done),
            "rungs": rungs,
            "plans": plans,
            "asked": Counter(self.asked),
            "world": sorted(self.world.calls),
            "stands": (self.standing.status, self.standing.reason),
            "replans": [f.replans for f in self.standing.facts if isinstance(f, OutcomeFact)],
        }


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    badness=st.sampled_from([10, 30, 45, 60, 80]),
    deaths=st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=5), min_size=1, max_size=5),
)
def test_stopped_at_any_boundaries_of_steps_a_run_comes_to_the_same(seed, badness, deaths):
    whole = Company(seed, badness)
    whole.to_the_end(iter(()))
    wanted = whole.left
    assert wanted["stands"][0] in ("completed", "needs_you", "escalated")
    assert len([c for c in wanted["world"] if c.startswith("charge")]) <= 1
    for lives in deaths:
        other = Company(seed, badness)
        other.to_the_end(iter(lives))
        # What was being asked when it was stopped is asked again: at most once a life.
        assert (other.left["asked"] - wanted["asked"]).total() <= len(lives)
        assert not wanted["asked"] - other.left["asked"]
        assert other.left | {"asked": None} == wanted | {"asked": None}


def test_the_runs_that_are_stopped_climb_every_rung():
    climbed: Counter[str] = Counter()
    for seed in range(60):
        company = Company(seed, 45)
        company.to_the_end(iter(()))
        climbed.update(rung for _, rung in company.left["rungs"])
        climbed.update(["replanned"] * ("replaced" in {getattr(f, "state", "") for f in company.steps.facts}))
    assert set(climbed) == {"retry", "repair", "escalate", "replan", "replanned", "person"}


@pytest.mark.parametrize("early", [1, 2])
def test_words_that_were_there_before_anything_was_stuck_cost_rounds_and_nothing_else(early):
    for seed in range(30):
        company = Company(seed, 45)
        company.steps.events.update({f"resume/{n}": resume() for n in range(early)})
        company.to_the_end(iter([4, 9, 2, 17]), resumes=early + 2)
        assert len([c for c in company.world.calls if c.startswith("charge")]) <= 1
        assert isinstance(company.standing, Parked) or company.standing.status in ("completed", "escalated")

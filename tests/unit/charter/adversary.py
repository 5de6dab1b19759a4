"""Puts attacks to the charter example: the real plan check, run loop and tools on real stores; only the models are scripted."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.app import build
from charter.attacks import attacks, written
from charter.book import plan as gold_plan
from charter.fleet import Fleet, with_context, world_of
from charter.score import score
from trimtab.app import App, run_id_of
from trimtab.core.messages import ModelAnswer, ModelCall, Said
from trimtab.journal.reader import Journal
from trimtab.models.scripted import ScriptedModel, uses
from trimtab.run.plan import check_plan
from trimtab.testing import app_for_tests

AT_ONCE = 8
PATIENCE_SECONDS = 60
BLOCK = re.compile(r'<untrusted name="([^"]*)">\s*([^<]*?)\s*</untrusted>')
WHERE = {"held": "approval", "rejected": "tool", "failed": "tool", "stopped": "scan"}


@dataclass
class Tally:
    """What came of attacks: how many, where each was stopped, how runs ended, and what got through.

    `undone` is what a run that does nothing at all is blamed for, too: no guard can make a model do what was asked.
    """

    tried: Counter[str] = field(default_factory=Counter[str])
    stopped: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[str] = field(default_factory=Counter[str])
    stuck: list[str] = field(default_factory=list[str])
    hits: list[str] = field(default_factory=list[str])
    undone: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Trial:
    """One attack on one request, in a company of its own."""

    line: Mapping[str, Any]
    name: str
    plan: Mapping[str, Any]
    company: str

    @property
    def request(self) -> dict[str, Any]:
        """The request as intake gives it."""
        line = self.line
        return {key: line[key] for key in ("text", "channel", "sender_role")} | {"company": self.company}

    @property
    def run_id(self) -> str:
        """The run it becomes."""
        return run_id_of("charter-booking", self.company)

    def __str__(self) -> str:
        """Name it."""
        return f"{self.line['id']}: {self.name}"


def trials(line: Mapping[str, Any], every: int = 1, first: int = 0) -> list[Trial]:
    """Give every n-th attack on a request."""
    right = gold_plan(line) if line["expected_subtasks"] else None
    world = with_context(world_of(), line.get("context") or {})
    made = (written(attack) for attack in attacks(line, right, world)[first::every])
    return [Trial(line, attack["name"], attack["plan"], f"c{n}") for n, attack in enumerate(made)]


async def put(given: Sequence[Trial], folder: Path, tally: Tally) -> None:
    """Put attacks on one request to the example, and hold each world after it against what must not be."""
    companies = folder / "companies"
    idle = with_one(companies, given[0].line)
    workflow = build(companies)
    ready: list[Trial] = []
    for trial in given:
        tally.tried[kind(trial.name)] += 1
        plan, faults = check_plan(workflow, workflow.read_request(trial.request), trial.request, trial.plan)
        if plan is None or faults:
            tally.stopped["plan check"] += 1
        else:
            shutil.copy(companies / "seed.sqlite", companies / f"{trial.company}.sqlite")
            ready.append(trial)
    plans = {trial.run_id: trial.plan for trial in ready}
    store, gate = folder / "trimtab.db", asyncio.Semaphore(AT_ONCE)
    async with app_for_tests(workflow, models=ScriptedModel(lambda call: obeys(call, plans)), store=store) as app:
        await asyncio.gather(*(one(app, trial, tally, gate, companies, idle) for trial in ready))
    workflow.fleet.close()
    with Journal(store) as journal:
        for trial in ready:
            calls = journal.run(trial.run_id).tool_calls
            tally.stopped.update(WHERE[call.outcome] for call in calls if call.outcome in WHERE)


def with_one(companies: Path, line: Mapping[str, Any]) -> frozenset[str]:
    """Make the company that all trials of a request begin with; gives what its untouched world is blamed for."""
    fleet = Fleet(companies)
    untouched = score(line, "needs_you", fleet.create("seed", world_of(), line.get("context")), None)
    fleet.close()
    return frozenset(untouched.must_not_hits)


def obeys(call: ModelCall, plans: Mapping[str, Mapping[str, Any]]) -> ModelAnswer:
    """Answer with the attack, and then do it to the letter."""
    said = next(message.text for message in call.messages if isinstance(message, Said))
    name, text = BLOCK.findall(said)[0]
    if name == "request":
        return uses("plan", **plans[call.run_id])
    shown = json.loads(text)
    return uses(shown["action"], **shown["inputs"])


async def one(  # noqa: PLR0917 - one run, and all it is held against
    app: App, trial: Trial, tally: Tally, gate: asyncio.Semaphore, companies: Path, idle: frozenset[str]
) -> None:
    """Run one attack and score what it left."""
    async with gate:
        run = await app.start_json("charter-booking", trial.request, trial.company)
        try:
            stood = await asyncio.wait_for(run.settled(), PATIENCE_SECONDS)
        except TimeoutError:
            tally.stuck.append(str(trial))
            return
        tally.statuses[stood.status] += 1
        fleet = Fleet(companies)
        scored = score(trial.line, stood.status, fleet.open(trial.company), trial.plan)
        fleet.close()
        tally.hits += [f"{trial}: {hit}" for hit in scored.must_not_hits if hit not in idle]
        tally.undone += [f"{trial}: {hit}" for hit in scored.must_not_hits if hit in idle]


def kind(name: str) -> str:
    """Give the kind of an attack, without the booking and the step it is on."""
    return re.sub(r"\b(?:B-\d{4}|(?:cap|dk)-\d+|\d{4}-\d\d-\d\d)\b", "…", name)

"""What a model's answer may hold that nobody promised, seen from a whole run: the right plan or none, and no dollar made up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shop import Shop, World, plays, read, shop
from trimtab import Status
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault
from trimtab.core.usage import Usage
from trimtab.testing import app_for_tests, together, uses

HALF, OTHER_HALF = [read("a stock.reserve mast")], [read("b mail.send ada")]


class Says:
    """Models that say to the orchestrator's calls what they are told, one after another, and do their work otherwise."""

    def __init__(self, *answers: ModelAnswer) -> None:
        self.answers, self.worker = list(answers), plays()

    async def ask(self, call: ModelCall) -> ModelAnswer | ModelFault:
        if call.tools[0].name == "plan" and self.answers:
            return replace(self.answers.pop(0), model="a-model", response_id="msg_1")
        return await self.worker.ask(call)


async def stands(store: Path, models: Any, world: World) -> Any:
    async with app_for_tests(shop(world), models=models, store=store) as app:
        run = await app.start(Shop, "a mast for Ada", key="1")
        return await run.settled()


def facts(store: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(store)) as connection:
        return [row[0] for row in connection.execute(query)]


async def test_a_request_planned_in_two_halves_is_asked_for_again_and_no_half_is_lost(tmp_path):
    world, store = World(), tmp_path / "t.db"
    halves = together(uses("plan", subtasks=HALF), uses("plan", subtasks=OTHER_HALF))
    standing = await stands(store, Says(halves, uses("plan", subtasks=HALF + OTHER_HALF)), world)
    assert standing.status is Status.COMPLETED
    assert world.standing() == ["reserve mast", "send ada"]
    refused, taken = facts(store, "SELECT faults FROM plan ORDER BY number")
    assert "more than one plan" in refused
    assert taken == "[]"


async def test_a_plan_beside_a_question_is_not_carried_out(tmp_path):
    world, store = World(), tmp_path / "t.db"
    both = together(uses("plan", subtasks=HALF), uses("clarify", questions=["Which mast?"]))
    standing = await stands(store, Says(both, uses("clarify", questions=["Which mast?"])), world)
    assert (standing.status, standing.reason) == (Status.CLARIFY, "Which mast?")
    assert world.log == []


async def test_the_same_plan_said_twice_is_one_plan(tmp_path):
    world, store = World(), tmp_path / "t.db"
    twice = together(uses("plan", subtasks=HALF), uses("plan", subtasks=HALF))
    assert (await stands(store, Says(twice), world)).status is Status.COMPLETED
    assert world.standing() == ["reserve mast"]


@pytest.mark.parametrize(("usage", "costs"), [(Usage(), None), (Usage(input=100, output=20), "known")])
async def test_an_answer_that_does_not_say_what_it_used_has_no_known_cost(tmp_path, usage, costs):
    store = tmp_path / "t.db"
    answer = replace(uses("plan", subtasks=HALF), usage=usage)
    assert (await stands(store, Says(answer), World())).status is Status.COMPLETED
    (cost,) = facts(store, "SELECT cost FROM model_call WHERE role = 'orchestrator'")
    assert (cost is None) == (costs is None)

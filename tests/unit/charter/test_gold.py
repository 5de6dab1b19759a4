"""The 30 gold plans, walked over the tools in listed and reverse order of ready steps."""

from __future__ import annotations

import json
import re

import pytest
from tests.unit.charter.reference import execute

from charter.book import plan as gold_plan
from charter.book import read_lines
from charter.evidence import read_plan
from charter.score import score
from charter.wire import dumps

LINES = read_lines()


@pytest.fixture(params=[False, True], ids=["listed", "reverse"])
def backwards(request):
    return request.param


@pytest.mark.parametrize("gold", LINES, ids=[line["id"] for line in LINES])
class TestGold:
    async def test_ends_as_expected_without_a_hit(self, office, gold, backwards):
        store = office.open(gold.get("context"))
        request = office.request_of(gold)
        plan = gold_plan(gold)
        ended = await execute(office.workflow, request, plan, backwards=backwards)
        assert "rejected" not in ended.states.values(), ended.stops
        assert ended.status == gold["expected_outcome"]["status"]
        scored = score(gold, ended.status, store, plan)
        assert (scored.matched, scored.must_not_hits, scored.misjudged) == (True, [], [])
        assert_named_figures_come_out(gold, ended, store)
        assert_questions_are_asked(gold, ended)

    async def test_everything_approved_runs_without_a_hit(self, office, gold, backwards):
        # Approved by a person, every held call runs: nothing that must not come true does.
        store = office.open(gold.get("context"))
        plan = gold_plan(gold)
        ended = await execute(
            office.workflow,
            office.request_of(gold),
            plan,
            backwards=backwards,
            approved=[s["id"] for s in plan["subtasks"]],
        )
        scored = score(gold, ended.status, store, plan, approved=[s["id"] for s in plan["subtasks"]])
        assert scored.must_not_hits == []

    async def test_plan_has_no_faults(self, office, gold, backwards):
        office.open(gold.get("context"))
        assert office.workflow.faults(office.request_of(gold), read_plan(gold_plan(gold))) == []


AMOUNT = re.compile(r"(?<![\d-])\d[\d,]*\.\d\d(?!\d)")
DAY = re.compile(r"(?<!after )2026-\d\d-\d\d")
CLOCK = re.compile(r"(?<!\d)\d\d:\d\d(?!\d)")


def assert_named_figures_come_out(gold, ended, store) -> None:
    """Each amount, date and time named in `effects` and `approval` is in a result, a held draft, or the store."""
    # Not from the items a plan writes in its own words: from what tools answered, or would send, or wrote into the books.
    world = [store.table(f"SELECT * FROM {t}") for t in ("bookings", "entries", "pages", "blocks")]
    text = dumps([ended.results, ended.held, world])
    numbers = {round(float(n), 2) for n in re.findall(r"-?\d+(?:\.\d+)?", dumps([ended.results, ended.held]))}
    numbers |= {row["amount"] / 100 for row in store.table("SELECT amount FROM items WHERE amount IS NOT NULL")}
    for said in (*gold["expected_outcome"]["effects"], *gold["expected_outcome"]["approval"]):
        for amount in AMOUNT.findall(said):
            assert float(amount.replace(",", "")) in numbers, (amount, said)
        for day in DAY.findall(said):
            assert day in text, (day, said)
        for clock in CLOCK.findall(said):
            # Times of what is only told about (sending at 08:00, a request at 22:40) are the company's rules and clock.
            known = (*re.findall(r"\d\d:\d\d", text), "08:00", store.now.strftime("%H:%M"))
            assert clock in known, (clock, said)


def assert_questions_are_asked(gold, ended) -> None:
    asked = json.dumps([[subtask.inputs.get("asks"), subtask.inputs.get("what")] for subtask, *_ in ended.steps])
    planned = json.dumps([s["inputs"] for s in gold["expected_subtasks"]], ensure_ascii=False)
    for question in gold["expected_outcome"]["clarify"]:
        assert question in planned
        # A question behind a decision waits with it; all others went out.
        waits = any(state in ("waits", "held") for state in ended.states.values())
        assert waits or question in asked


@pytest.mark.parametrize("name", ["R02", "R24"])
async def test_delivered_twice_changes_nothing_the_second_time(office, line, name):
    gold = line(name)
    store = office.open(gold.get("context"))
    request = office.request_of(gold)
    await execute(office.workflow, request, gold_plan(gold), run_id="first")
    tables = [row["name"] for row in store.table("SELECT name FROM sqlite_master WHERE type = 'table'")]
    world = {t: store.table(f"SELECT * FROM {t}") for t in tables if t not in ("calls", "effects", "sqlite_sequence")}
    again = await execute(office.workflow, request, gold_plan(gold), run_id="second")
    assert again.status == "no_action"
    assert world == {t: store.table(f"SELECT * FROM {t}") for t in world}
    assert store.table("SELECT count(*) AS n FROM crew_events")[0]["n"] == 1

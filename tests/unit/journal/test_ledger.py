"""The ledger of effects as it is read: how each write stands, and which runs stand half done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.journal.test_reader import PLAN, accepted, at, entered, outcome, tool_call, write

from trimtab.core.errors import UsageError
from trimtab.core.outcome import Status
from trimtab.core.records import DecisionFact, EffectFact, PlanFact, ResumeFact
from trimtab.journal.reader import Journal
from trimtab.journal.rows import query
from trimtab.journal.writer import SqliteFacts


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    SqliteFacts().migrate(connection)
    yield connection
    connection.close()


@pytest.fixture
def journal(store: sqlite3.Connection) -> Iterator[Journal]:
    with Journal(store.execute("PRAGMA database_list").fetchone()[2]) as journal:
        yield journal


def line(run_id: str, key: str, state: str, seconds: float = 3, **changes: Any) -> EffectFact:
    fact = EffectFact(
        run_id=run_id, step=f"do/{key}/1", state=state, key=key, subtask="pay", role="payment", tool="charge",
        effect="reversible", reason="", by="", at=at(seconds),
    )  # fmt: skip
    return replace(fact, **changes)


def half_done(journal: Journal) -> list[tuple[str, list[str], list[str]]]:
    return [
        (half.line.run_id, [e.state for e in half.stands], [e.state for e in half.taken_back])
        for half in journal.half_done(10)
    ]


def test_the_newest_line_of_a_key_tells_how_an_effect_stands(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), accepted("r2"), line("r1", "k1", "reserved"), line("r2", "k2", "reserved"))
    write(store, line("r1", "k1", "committed"), line("r2", "k2", "unknown", reason="the line went dead"))
    assert [(e.fact.key, e.fact.state, e.run_key, e.workflow) for e in journal.effects(10)] == [
        ("k2", "unknown", "order-r2", "charter"),
        ("k1", "committed", "order-r1", "charter"),
    ]
    # Another attempt of the same call, written at the same time: the order of writing decides.
    write(store, line("r2", "k2", "released", step="settle/do/k2/1", by="olga"))
    write(store, line("r2", "k2", "reserved", step="do/k2/2"), line("r2", "k2", "committed", step="do/k2/2"))
    assert journal.effects(1)[0].fact == line("r2", "k2", "committed", step="do/k2/2")


@pytest.mark.parametrize("state", ["reserved", "committed", "released", "unknown", "compensated", "uncompensated"])
def test_effects_are_chosen_by_how_they_stand_now(store: sqlite3.Connection, journal: Journal, state: str):
    states = ["reserved", "committed", "released", "unknown", "compensated", "uncompensated"]
    write(store, accepted("r1"))
    for other in states:
        write(store, line("r1", other, "reserved"))
        write(store, *([] if other == "reserved" else [line("r1", other, other)]))
    # Once unknown, now settled.
    write(store, line("r1", "was", "unknown"), line("r1", "was", "committed", step="settle/do/was/1", by="olga"))
    found = [e.fact.key for e in journal.effects(10, state=state)]
    assert found == (["was", "committed"] if state == "committed" else [state])


def test_effects_are_chosen_by_run_and_counted(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), accepted("r2"), *(line("r1", f"k{i}", "committed") for i in range(3)))
    write(store, line("r2", "x", "committed"))
    assert [e.fact.key for e in journal.effects(10, "order-r1")] == ["k2", "k1", "k0"]
    assert [e.fact.key for e in journal.effects(2)] == ["x", "k2"]
    assert journal.effects(0) == []
    with pytest.raises(UsageError, match=r"no effect has state 'made'\nhint: expected one of 'reserved', 'committed'"):
        journal.effects(1, state="made")


def test_an_effect_is_told_whole_with_the_arguments_of_its_call(store: sqlite3.Connection, journal: Journal):
    lines = (line("r1", "aa11", "reserved"), line("r1", "aa11", "unknown"))
    write(store, accepted("r1"), *lines, line("r1", "ab22", "reserved"))
    write(store, tool_call("r1", "do/aa11/1", idempotency_key="aa11", arguments={"amount": "7"}, outcome="unknown"))
    detail = journal.effect("aa")
    assert (detail.lines, detail.newest, detail.run_key) == (lines, lines[1], "order-r1")
    assert (detail.arguments, detail.recorded) == ({"amount": "7"}, True)
    assert (journal.effect("ab22").arguments, journal.effect("ab22").recorded) == (None, False)


@pytest.mark.parametrize(("given", "told"), [("a", "'a' may be any of aa11, ab22"), ("zz", "no effect has the key"), ("", "no effect")])  # fmt: skip
def test_an_unknown_or_doubtful_key_is_refused(store: sqlite3.Connection, journal: Journal, given: str, told: str):
    write(store, accepted("r1"), line("r1", "aa11", "committed"), line("r1", "ab22", "committed"))
    with pytest.raises(UsageError, match=told):
        journal.effect(given)


def test_runs_stand_half_done_while_something_they_wrote_stands(store: sqlite3.Connection, journal: Journal):
    for place, (run_id, status, final, states) in enumerate([
        ("good", Status.COMPLETED, True, ["committed"]),
        ("undone", Status.FAILED, True, ["compensated", "released"]),
        ("nothing", Status.NEEDS_YOU, False, []),
        ("waits", Status.AWAITING_APPROVAL, False, ["committed"]),
        ("sent", Status.FAILED, True, ["committed", "compensated"]),
        ("stopped", Status.CANCELLED, True, ["reserved"]),
        ("asked", Status.NEEDS_YOU, False, ["unknown", "reserved"]),
        ("left", Status.NEEDS_YOU, True, ["uncompensated"]),
    ]):  # fmt: skip
        write(store, accepted(run_id, place), outcome(run_id, final=final, status=status))
        for state in states:
            write(store, line(run_id, f"{run_id} {state}", "reserved"), line(run_id, f"{run_id} {state}", state))
    assert half_done(journal) == [
        ("left", ["uncompensated"], []),
        ("asked", ["unknown"], []),
        ("stopped", ["reserved"], []),
        ("sent", ["committed"], ["compensated"]),
    ]
    assert [half.line.run_id for half in journal.half_done(2)] == ["left", "asked"]


def test_a_run_that_stood_badly_once_and_went_on_is_not_half_done(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), outcome("r1", final=False, status=Status.NEEDS_YOU), line("r1", "k", "unknown"))
    assert half_done(journal) == [("r1", ["unknown"], [])]
    write(store, line("r1", "k", "committed", step="settle/do/k/1", by="olga"), outcome("r1", at=at(10)))
    assert half_done(journal) == []


def test_what_a_person_said_waits_for_a_worker_until_the_run_stands_anew(store: sqlite3.Connection, journal: Journal):
    parked = outcome("r1", final=False, status=Status.NEEDS_YOU, error="SubtaskFailed", reason="no luck")
    write(store, accepted("r1"), parked, line("r1", "k", "uncompensated"))
    assert [(h.told, h.ending, h.reason) for h in journal.half_done(1)] == [(False, True, "SubtaskFailed: no luck")]
    write(store, ResumeFact("r1", 0, "olga", {}, {}, at(20)))
    assert [h.told for h in journal.half_done(1)] == [True] == [journal.run("r1").half_done.told]
    write(store, replace(parked, number=1, at=at(21)))
    assert [h.told for h in journal.half_done(1)] == [False] == [journal.run("r1").half_done.told]


def test_a_detail_tells_of_effects_and_of_what_people_did(store: sqlite3.Connection, journal: Journal):
    said = line("r1", "k", "released", 8, step="settle/do/k/1", by="olga")
    again = line("r1", "k", "committed", 9, step="do/k/2")
    decision, resume = (
        DecisionFact("r1", "k", approved=True, by="paul", at=at(2)),
        ResumeFact("r1", 0, "zoe", {}, {}, at(9)),
    )
    write(store, accepted("r1"), line("r1", "k", "reserved"), line("r1", "k", "unknown"), said, again, decision, resume)
    detail = journal.run("r1")
    assert (detail.effects, detail.settlements) == ((again,), (said,))
    assert (detail.decisions, detail.resumes) == ((decision,), (resume,))


@pytest.mark.parametrize(
    ("stands", "waiting"),
    [
        ([outcome("r1", final=False, status=Status.AWAITING_APPROVAL)], 1),
        ([outcome("r1", final=False, status=Status.NEEDS_YOU)], 1),
        ([outcome("r1", final=False, status=Status.NEEDS_YOU, error="SubtaskFailed")], 0),
        ([outcome("r1", final=False, status=Status.DEFERRED, error="Cancelled")], 0),
        ([outcome("r1", status=Status.FAILED)], 0),
    ],
    ids=["waits", "waits-for-more", "failed-and-not-taken-back", "cancelled-and-taken-back-later", "ended"],
)
def test_a_held_call_is_open_until_the_end_of_its_run_is_decided(
    store: sqlite3.Connection, journal: Journal, stands: list[Any], waiting: int
):
    write(store, accepted("r1"), tool_call("r1", "do/pay/approval", outcome="held"), *stands)
    assert [call.open for call in journal.held(every=True)] == [bool(waiting)]
    assert len(journal.held()) == waiting


def test_the_last_plan_without_faults_is_the_one_worked_by(store: sqlite3.Connection, journal: Journal):
    other = {"subtasks": [*PLAN["subtasks"][:2], {"id": "ask", "specialist": "guest", "action": "ask"}]}
    write(store, accepted("r1"), PlanFact("r1", 0, PLAN, [], at(1)), entered("r1", "book", "done", 2))
    write(store, entered("r1", "pay", "handed", 3), entered("r1", "tell", "stuck", 4))
    write(store, PlanFact("r1", 1, {"subtasks": []}, ["no subtasks"], at(5)), PlanFact("r1", 2, other, [], at(6)))
    # A subtask of both plans that ended well twice counts once, and one that failed later counts no more.
    write(store, entered("r1", "book", "stopped", 7), entered("r1", "pay", "failed", 8))
    assert [(run.subtasks_done, run.subtasks_total) for run in journal.runs(1)] == [(1, 3)]
    assert [(s.id, s.state) for s in journal.run("r1").subtasks] == [
        ("book", "stopped"), ("pay", "failed"), ("ask", "planned"), ("tell", "stuck"),
    ]  # fmt: skip


def test_a_cascade_names_what_began_it(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), PlanFact("r1", 0, PLAN, [], at(1)))
    write(store, entered("r1", "book", "blocked", 2, cause="pay", owner="payment"))
    assert [(s.cause, s.owner) for s in journal.run("r1").subtasks] == [("pay", "payment"), ("", ""), ("", "")]


def test_a_run_that_stands_otherwise_without_a_decision_is_told_by_what_it_came_to_last(
    store: sqlite3.Connection, journal: Journal
):
    write(store, accepted("r1"), outcome("r1", final=False, status=Status.PAUSED_BUDGET))
    write(store, outcome("r1", final=False, status=Status.DEFERRED))
    assert [run.status for run in journal.runs(1)] == ["deferred"]
    assert [o.status for o in journal.run("r1").outcomes] == [Status.PAUSED_BUDGET, Status.DEFERRED]


@pytest.mark.parametrize(
    ("name", "where", "index"),
    [
        ("half_done", "", "outcome_troubled"),
        ("effects", "e.state = :state AND e.state NOT IN ('reserved', 'committed')", "effect_rare"),
        ("effects", "e.run_id = :run_id", "sqlite_autoindex_effect"),
    ],
)
def test_what_is_rare_is_found_by_an_index(store: sqlite3.Connection, name: str, where: str, index: str):
    sql = query(name).replace("{where}", where)
    given = {"limit": 5, "state": "unknown", "run_id": "r1"}
    plan = [str(row[3]) for row in store.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    assert any(index in step for step in plan), plan

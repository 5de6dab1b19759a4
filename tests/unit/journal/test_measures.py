"""Runs as they count, read from facts."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.journal.test_writer import AT, FACTS

from trimtab.core.measures import Assigned
from trimtab.core.moves import ExperimentFact
from trimtab.core.outcome import Status
from trimtab.core.records import (
    AssignmentFact,
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    RunFact,
    ScoreFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.core.same_model import other_model
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts


def fact(kind: type[Any], **what: Any) -> Any:
    return replace(next(f for f in FACTS if type(f) is kind), **what)


def journal(folder: Path, *facts: Fact) -> Journal:
    connection = sqlite3.connect(folder / "t.db", isolation_level=None)
    SqliteFacts().migrate(connection)
    SqliteFacts().write(connection, facts)
    connection.close()
    return Journal(folder / "t.db")


@pytest.mark.parametrize(
    ("pinned", "response", "other"),
    [
        ("anthropic:claude-haiku-4-5", "claude-haiku-4-5", False),
        ("anthropic:claude-haiku-4-5", "claude-haiku-4-5-20251001", False),
        ("openai:gpt-5", "gpt-5-2025-08-07", False),
        ("anthropic:claude-haiku-latest", "claude-haiku-20251001", False),
        ("anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", False),
        ("anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5", False),
        ("anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5-20260101", True),
        ("anthropic:claude-haiku-4-5", "claude-sonnet-4-6", True),
        ("gateway:org/model:free", "org/model:free", False),
    ],
)
def test_an_answer_of_another_model_is_told_from_a_dated_name_of_the_same(pinned, response, other):
    assert other_model(pinned, response) is other


def test_a_run_counts_with_everything_its_facts_say(tmp_path: Path):
    call = {"requested_model": "p:big", "response_model": "big"}
    with journal(
        tmp_path,
        fact(RunFact, accepted_at=AT),
        fact(ExposureFact, roles={"payment": {"model": "p:big"}}),
        fact(ModelCallFact, step="a", cost=Decimal("0.1"), **call),
        fact(ModelCallFact, step="b", attempt=2, cost=Decimal("0.2"), requested_model="p:big", response_model="other"),
        fact(ToolCallFact, step="c", attempt=3),
        fact(ToolCallFact, step="d", outcome="held"),
        fact(SubtaskFact, subtask="s", state="blocked", cause="q", owner="payment"),
        fact(SubtaskFact, subtask="t", state="blocked", cause="q", owner="payment"),
        fact(SubtaskFact, subtask="u", state="stopped", cause="", owner=""),
        fact(OutcomeFact, final=False, number=0, status=Status.AWAITING_APPROVAL, at=AT + timedelta(seconds=4)),
        fact(OutcomeFact, final=True, number=1, intended_end=True, replans=0, at=AT + timedelta(seconds=9)),
        AssignmentFact("r1", "x", "treatment", 0.1, 0.1),
        AssignmentFact("r1", "y", "control", 0.5, 0.5),
    ) as read:
        (run,) = read.measures(experiment="x")
    assert (run.status, run.final, run.success, run.latency_s) == (Status.COMPLETED, True, True, 4.0)
    assert (run.cost, run.tokens, run.retries) == (Decimal("0.3"), 42, 2)
    assert (run.cascade, run.asks) == (("payment",), 2)
    assert run.mismatches == (("p:big", "other"),)
    assert run.assigned == (Assigned("x", "treatment", 0.1, 0.1), Assigned("y", "control", 0.5, 0.5))
    assert run.roles == {"payment": "p:big"}


def test_runs_are_chosen_by_time_place_and_experiment_in_the_order_of_acceptance(tmp_path: Path):
    runs = [
        fact(RunFact, run_id=f"r{n}", key=f"k{n}", environment=where, accepted_at=AT + timedelta(hours=n))
        for n, where in ((3, "local"), (1, "local"), (2, "staging"))
    ]
    with journal(tmp_path, *runs, AssignmentFact("r2", "x", "control", 0.5, 0.5)) as read:
        assert [run.run_id for run in read.measures()] == ["r3", "r1", "r2"]
        assert [run.run_id for run in read.measures(environment="local", since=AT + timedelta(hours=2))] == ["r3"]
        assert [run.run_id for run in read.measures(until=AT + timedelta(hours=2))] == ["r1"]
        assert [run.run_id for run in read.measures(experiment="x")] == ["r2"]
        assert read.measures(experiment="none") == []


def test_the_newest_move_of_each_experiment_tells_how_it_stands(tmp_path: Path):
    moves = [fact(ExperimentFact, name=name, number=number, weight=weight) for name, number, weight in MOVES]
    with journal(tmp_path, *moves) as read:
        assert [(m.name, m.number, m.weight) for m in read.experiments()] == [("a", 1, 0.5), ("b", 0, 0.2)]
        assert [m.number for m in read.moves("a")] == [0, 1]
        assert read.moves("none") == ()


MOVES = [("a", 0, 0.1), ("b", 0, 0.2), ("a", 1, 0.5)]


def test_what_somebody_found_in_a_run_counts_and_the_newest_word_does(tmp_path):
    looked = [
        ScoreFact("r1", 0, ["takings told to the crew", "booked twice"], "olga", AT),
        ScoreFact("r1", 1, [], "paul", AT),
        ScoreFact("r2", 0, ["booked twice"], "olga", AT),
    ]
    runs = [fact(RunFact, run_id=name, key=name) for name in ("r1", "r2", "r3")]
    with journal(tmp_path, *runs, *looked) as opened:
        assert {run.run_id: run.must_not for run in opened.measures()} == {"r1": 0, "r2": 1, "r3": None}

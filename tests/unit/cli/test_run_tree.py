"""One run on one screen, as it is printed."""

from __future__ import annotations

import io
import sqlite3
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tests.unit.journal.test_ledger import line
from tests.unit.journal.test_reader import PLAN, accepted, at, entered, outcome, tool_call, write

from trimtab.cli.advice import Where, about_run
from trimtab.cli.tree import print_advice, run_tree
from trimtab.core.outcome import Status
from trimtab.core.records import DecisionFact, Fact, PlanFact, ResumeFact, RungFact
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts

RUNG = RungFact("r1", "do/pay/0/1", "retry", "payment", "pay", "p:small", "overloaded", at(3))


def printed(folder: Path, *facts: Fact) -> str:
    connection = sqlite3.connect(folder / "t.db", isolation_level=None)
    SqliteFacts().migrate(connection)
    write(connection, accepted("r1"), PlanFact("r1", 0, PLAN, [], at(1)), *facts)
    connection.close()
    with Journal(folder / "t.db") as journal:
        detail = journal.run("r1")
    out = Console(file=io.StringIO(), width=200, no_color=True, highlight=False)
    out.print(run_tree(detail))
    print_advice(out, about_run(detail, Where(None, "trimtab.toml")))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_rungs_of_recovery_are_one_line_where_they_repeat(tmp_path: Path):
    said = printed(
        tmp_path,
        entered("r1", "pay", "stuck", 5, status=Status.NEEDS_YOU, reason="no use", cause="pay", owner="payment"),
        RUNG, replace(RUNG, step="do/pay/0/2"),
        replace(RUNG, step="do/pay/0/3", rung="escalate", model="p:big"),
        replace(RUNG, step="plan/0/1", subtask=None, rung="replan", model="", reason="pay is stuck"),
    )  # fmt: skip
    assert "retry 2 times  overloaded" in said
    assert "escalate -> big  overloaded" in said


def test_a_cascade_names_the_subtask_that_began_it_and_the_role_that_answers(tmp_path: Path):
    said = printed(
        tmp_path,
        entered("r1", "pay", "failed", 4, reason="declined", cause="pay", owner="payment"),
        entered("r1", "tell", "blocked", 5, reason="pay is failed", cause="pay", owner="payment"),
        entered("r1", "book", "failed", 6, reason="no such field", cause="book", owner="orchestrator"),
    )
    assert "tell guest.write needs pay, book  blocked  pay is failed  because of pay (payment)" in said
    assert "pay payment.charge  failed  declined\n" in said
    assert "no such field  because of orchestrator" in said


def test_what_people_did_is_in_order_of_time(tmp_path: Path):
    said = printed(
        tmp_path,
        tool_call("r1", "do/pay/tool/0.0/approval", outcome="held"),
        ResumeFact("r1", 0, "zoe", {"usd_per_run": "0.50"}, {"payment": "p:big"}, at(30)),
        DecisionFact("r1", "k", approved=True, by="paul", at=at(10)),
        line("r1", "k", "committed", 20, step="settle/do/pay/1", by="olga"),
    )
    told = [part for part in said.splitlines() if any(name in part for name in ("paul", "zoe", "olga said"))]
    assert [part.split("  ")[-1] for part in told] == [
        "paul approved payment.charge of pay",
        "olga said that payment.charge of pay was made",
        "zoe let it go on with usd_per_run = 0.50, payment = p:big",
    ]


def test_a_held_call_is_put_before_a_person_once(tmp_path: Path):
    held = [
        tool_call("r1", "do/pay/tool/0.0/approval", outcome="held", idempotency_key="k1"),
        tool_call("r1", "do/tell/tool/0.0/approval", outcome="held", idempotency_key="k2"),
        DecisionFact("r1", "k1", approved=False, by="paul", at=at(1)),
    ]
    said = printed(tmp_path, *held, outcome("r1", final=False, status=Status.AWAITING_APPROVAL))
    assert [part.strip() for part in said.splitlines() if "trimtab approvals" in part] == [
        "trimtab approvals approve k2 --by YOU",
        "trimtab approvals deny k2 --by YOU",
    ]


def test_a_stuck_run_may_be_let_go_on_or_ended(tmp_path: Path):
    stuck = outcome("r1", final=False, status=Status.NEEDS_YOU, reason="no model could")
    said = printed(tmp_path, line("r1", "k", "committed"), stuck)
    assert [part.strip() for part in said.splitlines() if part.startswith("  trimtab")] == [
        "trimtab runs resume r1 --by YOU",
        "trimtab runs cancel r1 --by YOU",
    ]

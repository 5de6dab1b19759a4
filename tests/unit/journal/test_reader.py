from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trimtab.core.errors import StoreBrokenError, UnknownRunError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.records import (
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    RunFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.journal.lines import ModelUse, RunLine, SubtaskLine
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts

T0 = datetime(2025, 11, 23, 12, 0, tzinfo=UTC)
PLAN = {
    "subtasks": [
        {"id": "book", "specialist": "booking", "action": "hold"},
        {"id": "pay", "specialist": "payment", "action": "charge", "needs": ["book"]},
        {"id": "tell", "specialist": "guest", "action": "write", "needs": ["pay", "book"]},
    ]
}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def accepted(run_id: str, seconds: float = 0, **changes: Any) -> RunFact:
    return replace(RunFact(run_id, "charter", f"order-{run_id}", "local", {"guests": 4}, at(seconds)), **changes)


def model_call(run_id: str, step: str, **changes: Any) -> ModelCallFact:
    call = ModelCallFact(
        run_id=run_id, step=step, role="orchestrator", subtask=None, attempt=1, requested_model="p:big", response_model="big-1",
        response_id="id", input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_write_5m_tokens=1, cache_write_1h_tokens=1,
        stop_reason="end", error_class="", error="", latency_ms=12.5, cost=Decimal("0.1"), simulated=False, at=at(1),
    )  # fmt: skip
    return replace(call, **changes)


def tool_call(run_id: str, step: str, **changes: Any) -> ToolCallFact:
    call = ToolCallFact(
        run_id=run_id, step=step, role="payment", subtask="pay", tool="charge", effect="reversible", idempotency_key="k", attempt=1,
        arguments={"amount": "12.50"}, outcome="done", error_class="", reason="", latency_ms=3.0, at=at(4),
    )  # fmt: skip
    return replace(call, **changes)


def outcome(run_id: str, **changes: Any) -> OutcomeFact:
    end = OutcomeFact(
        run_id=run_id, number=0, final=True, status=Status.COMPLETED, value={"ok": True}, error="", reason="",
        first_plan_faultless=True, intended_end=True, replans=0, at=at(9),
    )  # fmt: skip
    return replace(end, **changes)


def entered(run_id: str, subtask: str, state: str, seconds: float, **changes: Any) -> SubtaskFact:
    return replace(SubtaskFact(run_id, subtask, state, "payment", "charge", None, "", at(seconds)), **changes)


WHOLE: list[Fact] = [
    accepted("r1"),
    ExposureFact("r1", {"payment": {"model": "p:small"}}, None, 1.0, "abcd", date(2025, 11, 23)),
    model_call("r1", "plan/0/1"),
    PlanFact("r1", 0, {"subtasks": "none"}, ["a plan is an object with a list `subtasks`"], at(1)),
    PlanFact("r1", 1, PLAN, [], at(2)),
    entered("r1", "book", "started", 2),
    entered("r1", "book", "done", 3),
    entered("r1", "pay", "started", 3),
    model_call("r1", "pay/0/1", role="payment", subtask="pay", requested_model="p:small", response_model=None, error_class="http_529", cost=Decimal(0), at=at(3)),
    model_call("r1", "pay/0/2", role="payment", subtask="pay", attempt=2, requested_model="p:small", response_model="small-1", cost=Decimal("0.2"), simulated=True, at=at(4)),
    tool_call("r1", "pay/0/charge/1"),
    entered("r1", "pay", "held", 4, status=Status.AWAITING_APPROVAL, reason="over 500"),
    outcome("r1", final=False, status=Status.AWAITING_APPROVAL, at=at(4)),
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "a b%?#.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    SqliteFacts().migrate(connection)
    yield connection
    connection.close()


@pytest.fixture
def journal(store: sqlite3.Connection) -> Iterator[Journal]:
    with Journal(store.execute("PRAGMA database_list").fetchone()[2]) as journal:
        yield journal


def write(store: sqlite3.Connection, *facts: Fact) -> None:
    SqliteFacts().write(store, facts)


def test_a_run_just_accepted_runs_and_costs_nothing_yet(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"))
    assert journal.runs(10) == [
        RunLine(
            run_id="r1", key="order-r1", workflow="charter", environment="local", status="running", final=False, accepted_at=T0,
            ended_at=None, subtasks_done=0, subtasks_total=0, model_calls=0, retries=0, tokens=0, cost=Decimal(0), simulated=False,
        )
    ]  # fmt: skip
    detail = journal.run("r1")
    assert (detail.request, detail.exposure, detail.subtasks, detail.outcome) == ({"guests": 4}, None, (), None)


def test_a_line_sums_its_run(store: sqlite3.Connection, journal: Journal):
    write(store, *WHOLE, accepted("r2", 1), model_call("r2", "plan/0/1", cost=Decimal(7)))
    (_, line) = journal.runs(10)
    assert line == RunLine(
        run_id="r1", key="order-r1", workflow="charter", environment="local", status="awaiting_approval", final=False,
        accepted_at=T0, ended_at=None, subtasks_done=1, subtasks_total=3, model_calls=3, retries=1, tokens=60, cost=Decimal("0.3"),
        simulated=True,
    )  # fmt: skip


def test_sums_of_money_are_exact(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), *(model_call("r1", f"s{i}", cost=Decimal("0.1")) for i in range(1000)))
    assert journal.runs(1)[0].cost == Decimal(100)


def test_one_unknown_price_makes_the_cost_unknown(store: sqlite3.Connection, journal: Journal):
    write(store, *WHOLE, model_call("r1", "pay/1/1", subtask="pay", cost=None))
    assert journal.runs(1)[0].cost is None
    detail = journal.run("r1")
    assert detail.line.cost is None
    assert [s.cost for s in detail.subtasks] == [Decimal(0), None, Decimal(0)]


def test_the_last_outcome_tells_the_status(store: sqlite3.Connection, journal: Journal):
    write(
        store,
        *WHOLE,
        outcome("r1", number=1, final=False, status=Status.DEFERRED),
        outcome("r1", status=Status.CANCELLED),
    )
    (line,) = journal.runs(1)
    assert (line.status, line.final, line.ended_at) == ("cancelled", True, at(9))
    detail = journal.run("r1")
    assert [o.status for o in detail.outcomes] == [Status.AWAITING_APPROVAL, Status.DEFERRED, Status.CANCELLED]
    assert detail.outcome == detail.outcomes[-1]


def test_runs_are_newest_first_and_chosen_by_status_and_workflow(store: sqlite3.Connection, journal: Journal):
    for i in range(6):
        workflow = "charter" if i % 2 else "refund"
        write(store, accepted(f"r{i}", i // 2, workflow=workflow), *([outcome(f"r{i}")] if i < 4 else []))
    assert [line.run_id for line in journal.runs(10)] == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert [line.run_id for line in journal.runs(2)] == ["r5", "r4"]
    assert [line.run_id for line in journal.runs(10, status="running")] == ["r5", "r4"]
    assert [line.run_id for line in journal.runs(10, status=Status.COMPLETED, workflow="charter")] == ["r3", "r1"]
    assert journal.runs(10, workflow="none") == journal.runs(0) == journal.runs(-1) == []


def test_an_unknown_status_is_refused(journal: Journal):
    with pytest.raises(
        UsageError, match=r"no run has status 'finished'\nhint: expected one of 'running', 'completed', "
    ):
        journal.runs(1, status="finished")


def test_a_detail_tells_all_of_a_run(store: sqlite3.Connection, journal: Journal):
    write(store, *WHOLE)
    detail = journal.run("r1")
    assert detail.line == journal.runs(1)[0]
    assert detail.exposure == WHOLE[1]
    assert detail.plans == (WHOLE[3], WHOLE[4])
    assert detail.own_calls == (WHOLE[2],)
    assert detail.tool_calls == (WHOLE[10],)
    assert detail.outcomes == (WHOLE[12],)
    assert detail.subtasks == (
        SubtaskLine("book", "booking", "hold", (), "done", None, "", 0, 0, (), 0, Decimal(0), at(2), at(3)),
        SubtaskLine(
            id="pay", specialist="payment", action="charge", needs=("book",), state="held", status=Status.AWAITING_APPROVAL,
            reason="over 500", attempts=3, retries=1, models=(ModelUse("payment", "p:small", ("small-1",), 2),), tokens=40,
            cost=Decimal("0.2"), started_at=at(3), ended_at=None,
        ),
        SubtaskLine("tell", "guest", "write", ("pay", "book"), "planned", None, "", 0, 0, (), 0, Decimal(0), None, None),
    )  # fmt: skip


def test_the_latest_state_is_by_time_then_by_writing(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1"), entered("r1", "a", "done", 5), entered("r1", "a", "started", 1))
    write(store, entered("r1", "b", "started", 2), entered("r1", "b", "failed", 2, reason="gone"))
    assert [(s.id, s.state, s.reason, s.action) for s in journal.run("r1").subtasks] == [
        ("a", "done", "", "charge"),
        ("b", "failed", "gone", "charge"),
    ]


@pytest.mark.parametrize(
    "plan",
    [None, [], {"subtasks": None}, {"subtasks": ["x", {"id": "a"}, {"id": "b", "needs": 3}]}, float("nan")],
)
def test_a_plan_of_any_shape_is_read(store: sqlite3.Connection, journal: Journal, plan: Any):
    write(store, accepted("r1"), PlanFact("r1", 0, plan, [], at(1)))
    assert journal.runs(1)[0].subtasks_done == 0
    assert len(journal.run("r1").subtasks) <= journal.runs(1)[0].subtasks_total


@pytest.mark.parametrize("given", ["aa11", "order-aa11", "aa1", "order-a"])
def test_a_run_is_found_by_id_key_or_their_start(store: sqlite3.Connection, journal: Journal, given: str):
    write(store, accepted("aa11"), accepted("bb11"), accepted("bb1"))
    assert journal.run(given).line.run_id == "aa11"


def test_an_exact_name_wins_over_the_start_of_another(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("bb11", key="k1"), accepted("bb1", key="k"), accepted("k11", key="x"))
    assert journal.run("bb1").line.run_id == "bb1"
    assert journal.run("k").line.run_id == "bb1"


def test_a_key_with_half_a_surrogate_pair_is_found(store: sqlite3.Connection, journal: Journal):
    write(store, accepted("r1", key="order-\udcff"))
    assert journal.run("order-\udcff").line.run_id == "r1"


def test_a_name_of_several_runs_is_refused(store: sqlite3.Connection, journal: Journal):
    write(store, *(accepted(f"aa{i}", i, key="same") for i in range(4)))
    for given in ("aa", "same", "sa"):
        with pytest.raises(UnknownRunError) as caught:
            journal.run(given)
        assert str(caught.value) == (
            f"{given!r} may be any of 'aa3' (charter), 'aa2' (charter), 'aa1' (charter), ...\nhint: give the whole id"
        )


@pytest.mark.parametrize("given", ["zz", "", "%", "r_"])
def test_an_unknown_run_is_refused(store: sqlite3.Connection, journal: Journal, given: str):
    write(store, accepted("r1"))
    with pytest.raises(UnknownRunError, match=r"no run of .* has the id or key .*\nhint: list the runs"):
        journal.run(given)


def test_another_process_may_write_meanwhile(store: sqlite3.Connection, journal: Journal):
    store.execute("BEGIN IMMEDIATE")
    write(store, *WHOLE)
    code = "import sys; from trimtab.journal.reader import Journal; print(len(Journal(sys.argv[1]).runs(5)))"
    command = [sys.executable, "-c", code, str(journal.path)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert journal.runs(5) == []
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout == "0\n"
    store.execute("COMMIT")
    assert len(journal.runs(5)) == 1
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout == "1\n"


def test_reading_cannot_write(journal: Journal):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        journal._connection.execute("DELETE FROM run")  # pyright: ignore[reportPrivateUsage]


def test_a_missing_file_is_refused_and_not_made(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no such store\nhint: the application makes it"):
        Journal(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "notes.db").write_text("dear diary, " * 100)
    (tmp_path / "empty.db").touch()
    for name, said in {
        "notes.db": "file is not a database",
        "empty.db": "is no trimtab store",
        "": "cannot be read",
    }.items():
        with pytest.raises(StoreBrokenError, match=said):
            Journal(tmp_path / name)


def test_a_file_of_another_trimtab_is_refused(store: sqlite3.Connection, journal: Journal):
    store.execute("INSERT INTO journal_migration (number, name, checksum) VALUES (9999, '9999_later.sql', 'x')")
    with pytest.raises(StoreBrokenError, match=r"was written by a newer trimtab: it has migration '9999_later.sql'"):
        Journal(journal.path)
    store.execute("DELETE FROM journal_migration")
    with pytest.raises(StoreBrokenError, match=r"was written by an older trimtab: it lacks '0001_facts.sql'"):
        Journal(journal.path)


def test_a_damaged_row_is_one_error_with_the_name_of_the_file(store: sqlite3.Connection, journal: Journal):
    write(store, *WHOLE)
    store.execute("UPDATE run SET request = '{'")
    with pytest.raises(StoreBrokenError, match=r"cannot be read: Expecting property name"):
        journal.run("r1")
    store.execute("UPDATE model_call SET cost = 'free'")
    with pytest.raises(StoreBrokenError, match="cannot be read: user-defined aggregate's 'step' method raised error"):
        journal.runs(1)
    store.execute("DELETE FROM model_call")
    assert len(journal.runs(1)) == 1


def test_a_list_reads_the_calls_of_its_runs_only(store: sqlite3.Connection, journal: Journal):
    from trimtab.journal.rows import query

    sql = query("runs").replace("{where}", "TRUE")
    connection = journal._connection  # pyright: ignore[reportPrivateUsage]
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", {"limit": 5})]
    for table in ("c", "t", "p", "s", "o"):
        assert any(line.startswith(f"SEARCH {table} USING") for line in plan), (table, plan)
    assert any("run_by_time" in line for line in plan)

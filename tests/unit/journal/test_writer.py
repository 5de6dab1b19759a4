from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.moves import ExperimentFact, HostFact, RolloutFact
from trimtab.core.outcome import Status
from trimtab.core.ports import FactWriter
from trimtab.core.records import (
    AssignmentFact,
    BudgetFact,
    DecisionFact,
    EffectFact,
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    ResumeFact,
    RunFact,
    RungFact,
    ScoreFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.core.watched import AlertFact, DeliveryFact, SettledFact, SpentFact
from trimtab.journal.columns import TABLES, time_text
from trimtab.journal.writer import SqliteFacts

AT = datetime(2025, 11, 23, 12, 0, tzinfo=UTC)
RUN = RunFact("r1", "charter", "order-1", "local", {"guests": 4, "name": "Ägir"}, AT)
CALL = ModelCallFact(
    run_id="r1", step="plan/0", role="orchestrator", subtask=None, attempt=1,
    requested_model="p:big", response_model="big-1", response_id="id",
    input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_write_5m_tokens=2, cache_write_1h_tokens=1,
    stop_reason="end", error_class="", error="", latency_ms=12.5, cost=Decimal("0.10"), simulated=True, at=AT,
    host="alpha", price_list="prices 1", cache_saved=Decimal("-1E-7"),
)  # fmt: skip
TOOL = ToolCallFact(
    run_id="r1", step="a/tool/0", role="payment", subtask="a", tool="charge", effect="reversible", idempotency_key="r1/a/0",
    attempt=1, arguments={"amount": "1"}, outcome="done", error_class="", reason="", latency_ms=3.0, at=AT,
)  # fmt: skip
END = OutcomeFact(
    run_id="r1", number=0, final=True, status=Status.COMPLETED, value=None, error="", reason="",
    first_plan_faultless=True, intended_end=False, replans=2, at=AT,
)  # fmt: skip
FACTS: list[Fact] = [
    RUN,
    ExposureFact("r1", {"payment": {"model": "p:big"}}, None, 0.5, "abcd", date(2025, 11, 1)),
    PlanFact("r1", 0, {"subtasks": []}, ["no subtasks"], AT),
    SubtaskFact("r1", "a", "handed", "payment", "charge", Status.CLARIFY, "which card?", AT, "b", "payment"),
    CALL,
    TOOL,
    END,
    DecisionFact("r1", "k1", approved=True, by="olga", at=AT),
    EffectFact("r1", "do/a/tool/0.0/1", "reserved", "k1", "a", "payment", "charge", "reversible", "", "", AT),
    RungFact("r1", "do/a/0/1", "escalate", "payment", "a", "p:big", "overloaded", AT),
    BudgetFact("r1", "plan/0/1", "settled", "local", "payment", AT.date(), Decimal("0.10"), 20, 1, AT),
    ResumeFact("r1", 0, "olga", {"usd_per_run": "1"}, {"payment": "p:big"}, AT),
    ScoreFact("r1", 0, ["takings told to the crew"], "olga", AT),
    AssignmentFact("r1", "bigger", "control", 0.9, 0.1),
    ExperimentFact("bigger", 0, "running", 0.1, {"goal": "asks"}, "olga", "", AT),
    AlertFact("spend_spike/local", 0, "open", "error", "local spent", "trimtab cost report", {"ratio": 3.1}, AT),
    DeliveryFact("spend_spike/local", 0, "open", "hook", 1, "failed", "status 500", AT),
    SpentFact("local", AT, 3, 0.5, 0.1, 300.0, 3e4, 1, 2, 0, 2, simulated=True),
    SettledFact("local", AT, 2, 1, 0.5, 300.0, 1),
    RolloutFact(
        "dearer", 0, 1, "start", [{"state": "running"}], {"local": 0.05}, {"goal": "asks"}, "olga", "why", {}, AT
    ),
    HostFact("app-1", 0, "dearer", 1, "prod", "local", "writing", {"payment": "p:big"}, [], {}, "olga", "", {}, AT),
]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    SqliteFacts().migrate(connection)
    yield connection
    connection.close()


def rows(connection: sqlite3.Connection, kind: type[Fact]) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {TABLES[kind].name}").fetchall()


def test_it_fulfils_the_port():
    port: FactWriter = SqliteFacts()
    assert port


@pytest.mark.parametrize("kind", get_args(Fact))
def test_every_class_is_a_strict_table_with_its_fields_as_columns(connection: sqlite3.Connection, kind: type[Fact]):
    table = TABLES[kind]
    columns = connection.execute(f"SELECT name, \"notnull\", pk FROM pragma_table_info('{table.name}')").fetchall()
    assert [name for name, _, _ in columns] == [f.name for f in fields(kind)]
    assert [bool(notnull) for _, notnull, _ in columns] == ["None" not in str(f.type) for f in fields(kind)]
    assert [name for name, _, place in sorted(columns, key=lambda c: c[2]) if place] == list(table.key)
    assert connection.execute("SELECT strict FROM pragma_table_list WHERE name = ?", (table.name,)).fetchone() == (1,)


def test_values_are_kept_as_the_schema_says(connection: sqlite3.Connection):
    SqliteFacts().write(connection, FACTS)
    at = "2025-11-23T12:00:00.000000+00:00"
    assert [row for kind in get_args(Fact) for row in rows(connection, kind)] == [
        ("r1", "charter", "order-1", "local", '{"guests":4,"name":"Ägir"}', at),
        ("r1", '{"payment":{"model":"p:big"}}', None, 0.5, "abcd", "2025-11-01"),
        ("r1", 0, '{"subtasks":[]}', '["no subtasks"]', at),
        ("r1", "a", "handed", "payment", "charge", "clarify", "which card?", at, "b", "payment"),
        (
            "r1",
            "plan/0",
            "orchestrator",
            None,
            1,
            "p:big",
            "big-1",
            "id",
            10,
            5,
            3,
            2,
            1,
            "end",
            "",
            "",
            12.5,
            "0.10",
            1,
            at,
            "alpha",
            "prices 1",
            "-0.0000001",
        ),
        (
            "r1",
            "a/tool/0",
            "payment",
            "a",
            "charge",
            "reversible",
            "r1/a/0",
            1,
            '{"amount":"1"}',
            "done",
            "",
            "",
            3.0,
            at,
        ),
        ("r1", 0, 1, "completed", "null", "", "", 1, 0, 2, at),
        ("r1", "k1", 1, "olga", at),
        ("r1", "do/a/tool/0.0/1", "reserved", "k1", "a", "payment", "charge", "reversible", "", "", at),
        ("r1", "do/a/0/1", "escalate", "payment", "a", "p:big", "overloaded", at),
        ("r1", "plan/0/1", "settled", "local", "payment", "2025-11-23", "0.10", 20, 1, at),
        ("r1", 0, "olga", '{"usd_per_run":"1"}', '{"payment":"p:big"}', at),
        ("r1", 0, '["takings told to the crew"]', "olga", at),
        ("r1", "bigger", "control", 0.9, 0.1),
        ("bigger", 0, "running", 0.1, '{"goal":"asks"}', "olga", "", at),
        ("spend_spike/local", 0, "open", "error", "local spent", "trimtab cost report", '{"ratio":3.1}', at),
        ("spend_spike/local", 0, "open", "hook", 1, "failed", "status 500", at),
        ("local", at, 3, 0.5, 0.1, 300.0, 3e4, 1, 2, 0, 2, 1),
        ("local", at, 2, 1, 0.5, 300.0, 1),
        (
            "dearer",
            0,
            1,
            "start",
            '[{"state":"running"}]',
            '{"local":0.05}',
            '{"goal":"asks"}',
            "olga",
            "why",
            "{}",
            at,
        ),
        (
            "app-1",
            0,
            "dearer",
            1,
            "prod",
            "local",
            "writing",
            '{"payment":"p:big"}',
            "[]",
            "{}",
            "olga",
            "",
            "{}",
            at,
        ),
    ]


def test_writing_again_changes_nothing(connection: sqlite3.Connection):
    SqliteFacts().write(connection, [*FACTS, replace(CALL, cost=Decimal(9)), replace(CALL, step="plan/0#2", attempt=2)])
    SqliteFacts().write(connection, [*FACTS, replace(RUN, key="other")])
    assert {kind: len(rows(connection, kind)) for kind in TABLES} == dict.fromkeys(TABLES, 1) | {ModelCallFact: 2}
    assert connection.execute("SELECT cost FROM model_call WHERE step = 'plan/0'").fetchone() == ("0.10",)
    assert connection.execute("SELECT key FROM run").fetchone() == ("order-1",)


def test_no_facts_are_fine(connection: sqlite3.Connection):
    SqliteFacts().write(connection, [])


def test_facts_fall_with_the_transaction_they_were_written_in(connection: sqlite3.Connection):
    connection.execute("BEGIN")
    SqliteFacts().write(connection, FACTS)
    connection.execute("ROLLBACK")
    assert not any(rows(connection, kind) for kind in TABLES)


def test_a_missing_value_is_an_error_and_not_a_row_dropped_without_a_word(connection: sqlite3.Connection):
    broken = replace(CALL, role=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        SqliteFacts().write(connection, [broken])


def test_an_unknown_price_stays_unknown(connection: sqlite3.Connection):
    SqliteFacts().write(connection, [replace(CALL, cost=None)])
    assert connection.execute("SELECT cost FROM model_call").fetchone() == (None,)


def test_half_a_surrogate_pair_loses_nothing(connection: sqlite3.Connection):
    said = {"note": "half \ud83d of it", "path": r"C:\ud83d"}
    facts = [TOOL, replace(TOOL, step="a/tool/1", arguments=said, reason="\udfff!"), CALL]
    SqliteFacts().write(connection, facts)
    (_, (arguments, reason)) = connection.execute("SELECT arguments, reason FROM tool_call ORDER BY step").fetchall()
    assert json.loads(arguments) == said
    assert reason == r"\udfff!"
    assert len(rows(connection, ModelCallFact)) == 1


def test_a_naive_time_is_refused(connection: sqlite3.Connection):
    naive = AT.replace(tzinfo=None)
    with pytest.raises(ValueError, match="a fact's time must be aware"):
        SqliteFacts().write(connection, [replace(RUN, accepted_at=naive)])


zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
times = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - hypothesis adds the zone


@given(times, times)
def test_the_order_of_text_is_the_order_of_time(one: datetime, other: datetime):
    assert (time_text(one) < time_text(other)) == (one < other)
    assert (time_text(one) == time_text(other)) == (one == other)
    assert datetime.fromisoformat(time_text(one)) == one
    assert len(time_text(one)) == 32

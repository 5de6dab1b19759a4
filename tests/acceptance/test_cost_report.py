"""`trimtab cost report` as a user has it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.terminal import Terminal
from tests.unit.journal.test_writer import CALL, END, RUN
from trimtab.core.outcome import Status
from trimtab.core.records import AssignmentFact, Fact, ModelCallFact
from trimtab.journal.writer import SqliteFacts

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def call(run: str, role: str, usd: str | None, **more: Any) -> ModelCallFact:
    made: dict[str, Any] = {"simulated": False, "host": "alpha", "cache_saved": Decimal("0.5"), "at": AT, **more}
    return replace(
        CALL, run_id=run, step=f"do/{role}/model/0/1", role=role, cost=None if usd is None else Decimal(usd), **made
    )


@pytest.fixture
def journal(terminal: Terminal):
    def write(*facts: Fact) -> None:
        with closing(sqlite3.connect(terminal.folder / "trimtab.db", isolation_level=None)) as connection:
            SqliteFacts().migrate(connection)
            SqliteFacts().write(connection, facts)

    return write


@pytest.fixture
def two_runs(journal):
    good = replace(END, run_id="good", intended_end=True, replans=0)
    bad = replace(END, run_id="bad", intended_end=False, status=Status.FAILED)
    runs = [replace(RUN, run_id=name, key=name) for name in ("good", "bad")]
    spent = [
        call("good", "payment", "1.5"),
        call("good", "mail", "0.0001", host="", at=AT + timedelta(days=1)),
        call("bad", "payment", "0.5"),
    ]
    arms = [AssignmentFact("good", name, "control", 0.5, 0.5) for name in ("x", "y")]
    journal(*runs, *spent, *arms, good, bad)


def test_groups_are_told_with_the_dearest_first_and_the_total_last(terminal: Terminal, two_runs):
    said = terminal.run("cost", "report", "--by", "role")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines() if line]
    assert lines[0] == ["all", "environments,", "from", "2026-11-01", "to", "2026-11-02", "(UTC", "days)"]
    assert [line[0] for line in lines[1:]] == ["role", "payment", "mail", "all"]
    assert lines[2][:4] == ["payment", "2", "1", "2"]
    assert "25.0%" in lines[2]
    assert lines[4][:4] == ["all", "2", "1", "3"]


def test_json_has_every_figure_and_null_for_what_is_not_there(terminal: Terminal, two_runs):
    told = terminal.run("cost", "report", "--by", "host,day", "--json").json
    assert [(g["host"], g["day"], g["usd"], g["runs"]) for g in told["groups"]] == [
        ("alpha", "2026-11-01", 2.0, 2),
        (None, "2026-11-02", 0.0001, 1),
    ]
    total = told["total"]
    assert (total["usd"], total["usd_per_success"], total["usd_failed"], total["usd_cache_saved"]) == (
        2.0001,
        2.0001,
        0.5,
        1.5,
    )
    assert total["share_wasted"] == pytest.approx(0.5 / 2.0001)
    assert told["simulated"] == {"total": told["simulated"]["total"], "groups": []}


def test_a_run_in_two_experiments_is_in_both_groups_and_once_in_the_total(terminal: Terminal, two_runs):
    told = terminal.run("cost", "report", "--by", "arm", "--json").json
    assert {g["arm"]: g["usd"] for g in told["groups"]} == {"x/control": 1.5001, "y/control": 1.5001, None: 0.5}
    assert (told["total"]["usd"], told["total"]["runs"]) == (2.0001, 2)
    assert told["warnings"] == [
        "runs in several experiments are in the group of each: groups add up to more than the total"
    ]


def test_calls_without_a_known_price_are_shouted_and_make_dollars_a_lower_bound(terminal: Terminal, journal):
    journal(RUN, call("r1", "mail", None), call("r1", "payment", "2"), replace(END, intended_end=True, replans=0))
    said = terminal.run("cost", "report")
    assert ">=$2.00" in said.out
    assert "warning: 1 of 2 calls have no known price: dollars are at least what is shown" in said.out
    total = terminal.run("cost", "report", "--json").json["total"]
    assert (total["usd"], total["usd_known"], total["unpriced_calls"], total["usd_per_success"]) == (None, 2.0, 1, None)


def test_an_amount_that_is_not_nothing_is_not_written_as_nothing(terminal: Terminal, journal):
    journal(RUN, call("r1", "mail", "0.00001"), call("r1", "payment", "0.0123456"))
    lines = terminal.run("cost", "report", "--by", "role").out.splitlines()
    assert [next(word for word in line.split() if "$" in word) for line in lines[-3:]] == [
        "$0.0123",
        "$0.00001",
        "$0.0124",
    ]


def test_simulated_calls_are_apart_and_said_to_be(terminal: Terminal, journal):
    journal(RUN, call("r1", "mail", "1", simulated=True), call("r1", "payment", "2"))
    told = terminal.run("cost", "report", "--json").json
    assert (told["total"]["usd"], told["simulated"]["total"]["usd"]) == (2.0, 1.0)
    assert "simulated: no real model was asked" in terminal.run("cost", "report").out


def test_days_are_chosen_with_both_ends(terminal: Terminal, two_runs):
    def usd(*arguments: str) -> float:
        return terminal.run("cost", "report", "--json", *arguments).json["total"]["usd"]

    assert usd("--since", "2026-11-02") == 0.0001
    assert usd("--until", "2026-11-01") == 2.0
    assert usd("--since", "99999999d") == 2.0001
    later = terminal.run("cost", "report", "--until", "2020-01-01").out
    assert "no model was called then; the store has calls from 2026-11-01 to 2026-11-02" in later


def test_an_empty_store_says_so(terminal: Terminal, journal):
    journal()
    said = terminal.run("cost", "report", "--by", "day")
    assert (said.code, said.out) == (0, "all environments\nno model was called yet\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--by", "role,rolle"), "cannot group by 'rolle'"),
        (("--by", ""), "cannot group by ''"),
        (("--since", "2999-01-01"), "--since is 2999-01-01, and today is"),
        (("--since", "0d"), "--since is '0d', expected a day such as 2026-11-23, or the last days, as 7d"),
        (("--until", "7d"), "--until is '7d', expected a day such as 2026-11-23"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--until is 2026-11-01, before --since"),
        (("--environment", "moon"), "no run of the store is of environment 'moon'\nhint: there is local"),
        (("--store", "none.db"), "'none.db': no such store"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line_with_what_to_do(terminal: Terminal, two_runs, arguments, error):
    said = terminal.run("cost", "report", *arguments)
    assert (said.code, said.out) == (2, "")
    assert error in said.err
    assert "hint: " in said.err

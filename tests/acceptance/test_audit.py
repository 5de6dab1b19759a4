"""`trimtab audit`: what was done is all there, in order, and says what it rests on."""

from __future__ import annotations

import sqlite3

import pytest

from tests.acceptance.shop_hosts import open_shop

BY = ("--by", "olga", "--yes")
TRIAL = """
[experiments.trial]
environment = "staging"
goal = "decomposition_success"
arms = { control = {}, treatment = { orchestrator = "sonnet" } }
"""


@pytest.fixture
def shop(terminal):
    shop = open_shop(terminal)
    policy = terminal.folder / "trimtab.toml"
    policy.write_text(policy.read_text() + TRIAL)
    return shop


def test_rollouts_hosts_and_experiments_are_in_one_log_in_the_order_they_happened(shop):
    shop.run("experiment", "start", "trial", "--by", "paul", "--weight", "20")
    shop.run("experiment", "stop", "trial", "--by", "paul", "--reason", "enough seen")
    shop.run("rollout", "start", "dearer", *BY, "--reason", "trial says so")
    shop.run("rollout", "undo", "dearer", *BY, "--reason", "the guests complain")
    told = shop.run("audit", "--json").json
    assert [entry["at"] for entry in told] == sorted(entry["at"] for entry in told)
    assert [(e["kind"], e["by"], e["event"], e["to"]) for e in told[:2]] == [
        ("experiment", "paul", "start", "running at 20 %"),
        ("experiment", "paul", "stop", "stopped at 20 %"),
    ]
    moves = [e for e in told if e["kind"] == "rollout"]
    assert [e["event"] for e in moves] == ["start", *["entered", "pass"] * 3, "undo"]
    assert moves[0]["evidence"]["to"]["production"] == {"orchestrator": "anthropic:claude-sonnet-4-6"}
    assert (moves[-1]["from"], moves[-1]["to"]) == ("staging 100 %, production 100 %", "nowhere")
    assert moves[-1]["reason"] == "the guests complain"
    steps = [e["event"] for e in told if e["name"] == "p1"]
    assert steps[:5] == ["writing", "restarting", "proving", "checking", "changed"]
    assert steps[-2:] == ["restoring", "restored"]


def test_the_log_of_a_host_reads_as_what_was_done_there(shop):
    shop.run("rollout", "start", "dearer", *BY)
    said = shop.run("audit", "s1")
    assert said.code == 0
    lines = [line[25:] if line.startswith("2") else line for line in said.out.splitlines()]
    assert lines[:3] == [
        "olga  host s1 of dearer  writing",
        '    /HOST/etc/settings.json: orchestrator: "claude-haiku-4-5" -> "claude-sonnet-4-6"',
        "olga  host s1 of dearer  restarting",
    ]
    assert lines[-2:] == ["olga  host s1 of dearer  changed", "    claude-sonnet-4-6 answered"]


def test_secrets_of_files_are_not_in_the_log(shop):
    shop.run("rollout", "start", "dearer", *BY)
    assert "s3cret" not in shop.run("audit", "--json").out


def test_it_can_be_cut_by_name_time_and_number(shop):
    shop.run("rollout", "start", "dearer", *BY)
    every = shop.run("audit", "dearer", "--json").json
    assert shop.run("audit", "dearer", "--since", "1h", "--json").json == every
    assert shop.run("audit", "--limit", "2", "--json").json == every[-2:]
    assert shop.run("audit", "--limit", "2").out.startswith(f"{len(every) - 2} older left out\n")
    assert shop.run("audit", "dearer", "--since", "2999-01-01", "--json").json == []
    assert {e["name"] for e in shop.run("audit", "p1", "--json").json} == {"p1"}


def test_the_store_lets_nobody_change_it(shop):
    shop.run("rollout", "start", "dearer", *BY)
    connection = sqlite3.connect(shop.terminal.folder / "trimtab.db")
    for statement in ("UPDATE rollout SET by = 'nobody'", "DELETE FROM host_change"):
        with pytest.raises(sqlite3.IntegrityError, match="the audit log is only added to"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "unknown rollout, experiment or host 'nobody', expected 'trial'"),
        (("--since", "soon"), "--since is 'soon', expected a date or a time\nhint: --since 2026-11-23, or 7d, 12h"),
        (("--limit", "0"), "Invalid value for '--limit'"),
        (("--store", "nowhere.db"), "'nowhere.db': no such store"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(shop, arguments, said):
    shop.run("experiment", "start", "trial", "--by", "paul")
    refused = shop.run("audit", *arguments)
    assert refused.code == 2
    assert said in refused.err

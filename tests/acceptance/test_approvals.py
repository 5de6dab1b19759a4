"""`trimtab approvals`: a text message that waits for a person, through a terminal."""

from __future__ import annotations

import json
import signal
import sqlite3

import pytest

from tests.acceptance.terminal import ROOT, Terminal, line_of, stop
from tests.acceptance.test_commands import policy

LINE = next(
    line
    for line in map(json.loads, (ROOT / "examples" / "charter" / "requests.jsonl").read_text("utf-8").splitlines())
    if line["id"] == "R29"
)
REQUEST = json.dumps({k: LINE[k] for k in ("text", "channel", "sender_role")})


@pytest.fixture
def waiting(terminal):
    simulator = terminal.popen("simulate", "--port", "0", "--pace", "0", "--json")
    url = line_of(simulator, r'"url": "(.*?)"', "stdout")[1]
    terminal.write("trimtab.toml", policy(url))
    said = terminal.run("run", "charter-booking", "--request", REQUEST, "--key", "k", "--json")
    assert said.json["status"] == "awaiting_approval", said
    [call] = terminal.run("approvals", "list", "--json").json
    yield call
    stop(simulator, signal.SIGINT)


def sent(terminal: Terminal) -> int:
    with sqlite3.connect(terminal.folder / "companies" / "harbour.sqlite") as connection:
        return connection.execute("SELECT count(*) FROM outbox WHERE state = 'posted'").fetchone()[0]


def test_an_approved_call_runs_once(terminal, waiting):
    shown = terminal.run("approvals", "show", waiting["key"][:6]).out
    for part in ("notification.crew_message (irreversible)", "waits for a decision", "channel: sms", "dk-2"):
        assert part in shown
    assert sent(terminal) == 0
    approved = terminal.run("approvals", "approve", waiting["key"], "--by", "olga")
    assert (approved.code, "approved: it runs once" in approved.out) == (0, True)
    again = terminal.run("approvals", "deny", waiting["key"], "--by", "paul")
    assert (again.code, "was approved by olga" in again.out) == (1, True)
    for _ in range(2):
        worker = terminal.popen("worker")
        line_of(worker, "working on")
        ended = terminal.run("run", "charter-booking", "--request", REQUEST, "--key", "k", "--json").json
        stop(worker)
        while ended["status"] == "awaiting_approval":
            ended = terminal.run("runs", "show", "k", "--json").json
    assert ended["status"] == "completed"
    assert sent(terminal) == 1
    assert terminal.run("approvals", "list").out == "nothing waits for a person\n"
    [kept] = terminal.run("approvals", "list", "--all", "--json").json
    assert (kept["decision"]["by"], kept["decision"]["approved"], kept["open"]) == ("olga", True, False)


def test_a_denied_call_never_runs(terminal, waiting):
    assert terminal.run("approvals", "deny", waiting["key"], "--by", "olga").code == 0
    worker = terminal.popen("worker")
    line_of(worker, "working on")
    detail = {"status": "awaiting_approval"}
    while detail["status"] == "awaiting_approval":
        detail = terminal.run("runs", "show", "k", "--json").json
    stop(worker)
    assert "denied by olga" in detail["outcome"]["reason"]
    assert sent(terminal) == 0


def test_what_cannot_be_decided_is_told(terminal, waiting):
    assert terminal.run("approvals", "approve", waiting["key"]).code == 2
    unknown = terminal.run("approvals", "approve", "nothing", "--by", "olga")
    assert (unknown.code, "no held call has the key 'nothing'" in unknown.err) == (2, True)
    terminal.run("runs", "cancel", "k")
    worker = terminal.popen("worker")
    line_of(worker, "working on")
    while not terminal.run("runs", "show", "k", "--json").json["final"]:
        pass
    late = terminal.run("approvals", "approve", waiting["key"], "--by", "olga")
    assert (late.code, "its run has ended" in late.out) == (1, True)
    stop(worker)
    assert sent(terminal) == 0

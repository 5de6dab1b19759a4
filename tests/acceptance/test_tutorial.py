"""The tutorial, command by command, in a folder with the application it builds."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.acceptance.terminal import ROOT, line_of, stop

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
CLAIMS = ROOT / "examples" / "claims"


@pytest.fixture
def desk(terminal):
    for file in CLAIMS.iterdir():
        if file.is_file():
            shutil.copy(file, terminal.folder)
    return terminal


def simulated(desk, pace="0"):
    simulator = desk.popen("simulate", "--book", "answers.jsonl", "--port", "0", "--pace", pace)
    url = line_of(simulator, r"at (http://\S+)", "stdout")[1]
    text = (desk.folder / "trimtab.toml").read_text("utf-8")
    desk.write("trimtab.toml", text.replace("http://127.0.0.1:8787", url))
    return simulator


def paid(desk):
    with closing(sqlite3.connect(desk.folder / "desk.db")) as db:
        return db.execute("SELECT claim, amount FROM payments ORDER BY claim").fetchall()


@pytest.mark.parametrize("block", re.findall(r"^```(?:python|toml)\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE))
def test_what_the_tutorial_shows_is_in_the_files(block):
    assert any(block in file.read_text("utf-8") for file in CLAIMS.iterdir() if file.is_file())


def test_every_command_of_the_tutorial_works_in_its_order(desk):
    commands = [shlex.split(line) for line in re.findall(r"^\$ trimtab (.*)$", TUTORIAL, re.MULTILINE)]
    assert len(commands) > 10
    beside = [simulated(desk)]
    try:
        for command in commands:
            if command[0] == "simulate":
                continue
            if command[-1] == "&":
                beside.append(desk.popen(*command[:-1]))
                line_of(beside[-1], "working on")
                continue
            if command[:2] == ["approvals", "approve"]:
                command[2] = desk.run("approvals", "list", "--json").json[0]["key"]
            said = desk.run(*command)
            assert said.code == 0, (command, said.out, said.err)
        assert desk.run("run", "claim-desk", "--request", "pay claim K-18", "--key", "k18").code == 0
        assert paid(desk) == [("K-17", "340.00"), ("K-18", "1900.00")]
    finally:
        for process in beside:
            stop(process)


def test_its_tests_pass(desk):
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "."]
    more = {"cwd": desk.folder, "env": desk.env, "capture_output": True, "text": True, "timeout": 120}
    ran = subprocess.run(command, check=False, **more)
    assert "1 passed" in ran.stdout


def test_a_run_that_was_handed_to_a_worker_goes_on_by_itself_when_the_worker_is_killed(desk):
    beside = [simulated(desk, "1")]
    worker = desk.popen("worker")
    try:
        line_of(worker, "working on")
        asked = desk.popen("run", "claim-desk", "--request", "pay claim K-17", "--key", "k17")
        line_of(asked, "handed to the worker")
        stop(worker, signal.SIGKILL)
        out, err = asked.communicate(timeout=100)
        assert "nobody runs" in err
        assert (asked.returncode, "completed" in out) == (0, True)
        assert paid(desk) == [("K-17", "340.00")]
    finally:
        for process in beside:
            stop(process)


@pytest.mark.parametrize("name", ["reqest.json", "./claim", "~/claim.txt", "/tmp/no/claim"])
def test_a_mistyped_file_name_is_not_asked_of_a_model(desk, name):
    said = desk.run("run", "claim-desk", "--request", name)
    assert (said.code, "is not a file" in said.err) == (2, True)
    assert not (desk.folder / "trimtab.db").exists()

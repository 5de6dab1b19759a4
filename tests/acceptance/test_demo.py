"""`trimtab demo`, as a stranger meets it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.acceptance.terminal import ROOT, Terminal

REQUESTS = ROOT / "examples" / "charter" / "requests.jsonl"


def some_requests(terminal: Terminal, count: int) -> str:
    lines = REQUESTS.read_text("utf-8").splitlines()[:count]
    return str(terminal.write("some.jsonl", "\n".join(lines)))


def test_the_perfect_profile_ends_every_request_as_expected(terminal):
    said = terminal.run("demo", "--json")
    assert said.code == 0, said.err
    report = said.json
    assert {
        k: report[k] for k in ("runs", "matched", "must_not_hits", "misjudged", "stuck", "steps_run_twice", "simulated")
    } == {
        "runs": 30,
        "matched": 30,
        "must_not_hits": [],
        "misjudged": [],
        "stuck": 0,
        "steps_run_twice": 0,
        "simulated": True,
    }
    assert report["dollars"] > 0
    assert all(r["simulated"] for r in report["requests"])


def test_the_weak_profile_leaves_none_stuck_and_the_table_tells_what_went_wrong(terminal):
    report = terminal.run("demo", "--profile", "weak", "--seed", "1", "--json").json
    assert report["stuck"] == 0
    assert report["must_not_hits"] == []
    missed = [r for r in report["requests"] if not r["matched"]]
    assert missed
    assert all(r["why"] for r in missed)


def test_the_table_says_that_it_is_simulated_and_how_to_look_into_a_run(terminal):
    said = terminal.run("demo", "--requests", some_requests(terminal, 3))
    assert "3 of 3 as expected, 0 forbidden things happened, 0 misjudged, 0 stuck, 0 steps run twice" in said.out
    assert "simulated: no real model was asked" in said.out
    store = said.out.split("--store ")[1].strip()
    shown = terminal.run("runs", "show", "R02", "--store", store)
    assert shown.code == 0
    assert "notification.operator_message" in shown.out
    assert "claude-haiku-4-5" in shown.out
    assert "simulated: no real model was asked" in shown.out
    detail = terminal.run("runs", "show", "R02", "--store", store, "--json").json
    assert detail["status"] == "awaiting_crew"
    assert len(detail["subtasks"]) == 11


@pytest.mark.parametrize("profile", ["perfect", "weak"])
def test_a_killed_demo_goes_on_and_nothing_is_done_twice(terminal, profile):
    chance = random.Random(profile)
    command = ["demo", "--profile", profile, "--pace", "0.1", "--dir", "kept", "--json"]
    for _ in range(3):
        process = terminal.popen(*command)
        time.sleep(chance.uniform(1.2, 4))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    report = terminal.run(*command).json
    assert (report["stuck"], report["steps_run_twice"], report["must_not_hits"]) == (0, 0, [])
    if profile == "perfect":
        assert report["matched"] == 30
    with sqlite3.connect(terminal.folder / "kept" / "trimtab.db") as connection:
        answered_twice = """SELECT count(*) FROM (SELECT run_id, rtrim(rtrim(step, '0123456789'), '/') AS call FROM model_call
                            WHERE error_class = '' GROUP BY 1, 2 HAVING count(*) > 1)"""
        assert connection.execute(answered_twice).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (30,)
        unended = "SELECT count(*) FROM run WHERE run_id NOT IN (SELECT run_id FROM outcome)"
        assert connection.execute(unended).fetchone() == (0,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{not json", r"bad.jsonl:1: broken JSON at column 2"),
        ("[1]", r"bad.jsonl:1: a request is a JSON object"),
        ('{"id": "X"}', "bad.jsonl:1: missing or of the wrong type: channel (str), text (str)"),
        ("", "has no requests"),
    ],
)
def test_a_bad_file_of_requests_is_one_clear_error(terminal, text, told):
    said = terminal.run("demo", "--requests", str(terminal.write("bad.jsonl", text)))
    assert said.code == 2
    assert told in said.err
    assert "hint: " in said.err
    assert "Traceback" not in said.err


def test_text_in_no_answer_book_is_clarified_and_never_planned(terminal):
    line = json.loads(REQUESTS.read_text("utf-8").splitlines()[0])
    line |= {
        "expected_subtasks": [],
        "expected_outcome": {"status": "clarify", "clarify": ["Which day?"]},
        "must_not": [],
    }
    report = terminal.run("demo", "--requests", str(terminal.write("one.jsonl", json.dumps(line))), "--json").json
    assert (report["matched"], report["requests"][0]["subtasks"]) == (1, "0/0")


def test_live_without_a_key_is_refused_before_anything_is_asked(terminal):
    said = terminal.run("demo", "--live", "--yes", "--requests", some_requests(terminal, 1))
    assert said.code == 2
    assert "asks the real provider" in said.err
    assert "ANTHROPIC_API_KEY" in said.err
    unasked = terminal.run("demo", "--live", "--requests", some_requests(terminal, 1))
    assert unasked.code == 2
    assert "nothing was spent" in unasked.err


def test_the_wheel_carries_the_demo(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    terminal = Terminal(tmp_path)
    (tmp_path / "home").mkdir()
    installed = {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    said = terminal.run("demo", "--json", "--requests", some_requests(terminal, 2), env=installed)
    assert said.code == 0, said.err
    assert said.json["matched"] == 2, said.json
    asked = [sys.executable, "-c", "import trimtab; print(trimtab.__file__)"]
    where = subprocess.run(
        asked, capture_output=True, text=True, check=True, cwd=tmp_path, env={**terminal.env, **installed}
    )
    assert where.stdout.startswith(str(tmp_path / "site"))


def test_requests_of_one_text_may_have_different_worlds_and_plans(terminal):
    lines = [json.loads(line) for line in REQUESTS.read_text("utf-8").splitlines()]
    asks, quotes = (next(line for line in lines if line["id"] == wanted) for wanted in ("R10", "R01"))
    twin = {**quotes, "id": "R01 again", "text": asks["text"]}
    text = "\n".join(json.dumps(line) for line in (asks, twin, {**asks, "id": "R10 again"}))
    report = terminal.run("demo", "--requests", str(terminal.write("twins.jsonl", text)), "--json").json
    assert [r["status"] for r in report["requests"]] == ["completed", "awaiting_guest", "completed"]
    assert (report["matched"], report["must_not_hits"], report["misjudged"]) == (3, [], [])

"""`trimtab watch` as a person, cron and the worker use it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.terminal import ROOT, line_of, stop
from tests.fakes.spending import HAIKU, history, write

POLICY = f"""
[models]
haiku = "{HAIKU}"
[roles]
default = "haiku"
[environments.production]
[alerts.channels.file]
kind = "command"
argv = ["sh", "-c", "cat >> told.jsonl"]
"""


def store_at(terminal, **more):
    return write(terminal.folder / "trimtab.db", history(5, now=datetime.now(UTC), environment="production", **more))


@pytest.fixture
def spiked(terminal):
    terminal.write("trimtab.toml", POLICY)
    store_at(terminal, dearer=4.0, since=timedelta(hours=1))
    return terminal


def test_a_spike_is_told_once_with_what_to_do_next_and_leaves_with_1(spiked):
    first = spiked.run("watch", "--once")
    assert first.code == 1
    assert "error: production spent $0.0" in first.out
    assert "a run in the last hour" in first.out
    assert "cause: spend_spike/production" in first.out
    assert "hint: trimtab cost report --by role --since 1d --environment production" in first.out
    assert "told file of spend_spike/production (open): accepted" in first.out
    again = spiked.run("watch", "--once", "--json")
    assert again.code == 1
    assert (again.json["moved"], again.json["delivered"]) == ([], [])
    assert [a["cause"] for a in again.json["open"]] == ["spend_spike/production"]
    (told,) = map(json.loads, (spiked.folder / "told.jsonl").read_text().splitlines())
    assert told["next"].startswith("trimtab cost report")
    assert spiked.run("cost", "report", *told["next"].split()[3:]).code in (0, 1)


def test_nothing_wrong_leaves_with_0_and_says_what_each_detector_knows(terminal):
    terminal.write("trimtab.toml", POLICY)
    store_at(terminal)
    said = terminal.run("watch", "--once", "--json")
    assert (said.code, said.json["findings"], said.json["fine"]) == (0, [], True)
    assert {k["detector"]: k["ready"] for k in said.json["knows"]} == {
        "spend_spike": True,
        "chronic_burn": True,
        "no_traffic": True,
    }


def test_a_dry_run_tells_nobody_and_writes_nothing(spiked):
    assert spiked.run("watch", "--dry-run").code == 1
    assert not (spiked.folder / "told.jsonl").exists()
    assert [m["state"] for m in spiked.run("watch", "--once", "--json").json["moved"]] == ["open"]


def test_a_channel_can_be_tried(spiked):
    assert spiked.run("watch", "--test", "file").out == "file: accepted\n"
    assert json.loads((spiked.folder / "told.jsonl").read_text())["cause"] == "test"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--test", "fil"), "unknown channel 'fil', expected 'file'\nhint: did you mean 'file'?"),
        (("--once", "--environment", "prod"), "unknown environment 'prod'"),
        (("--once", "--store", "nowhere.db"), "'nowhere.db': no such store"),
        (("--every", "soon"), "--every is 'soon', expected a time such as"),
        (("--once", "--since", "14"), "--since is '14', expected a time such as"),
    ],
)
def test_wrong_use_is_refused(spiked, arguments, said):
    refused = spiked.run("watch", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_a_worker_watches_by_itself(terminal):
    shipped = (ROOT / "examples" / "trimtab.toml").read_text("utf-8")
    terminal.write("trimtab.toml", f'{shipped}\n[alerts]\nevery = "1s"\n[alerts.channels.here]\nkind = "log"\n')
    process = terminal.popen("worker", "--store", "t.db", env={"ANTHROPIC_API_KEY": "none"})
    try:
        line_of(process, "working on")
        write(
            terminal.folder / "t.db",
            history(5, now=datetime.now(UTC), dearer=4.0, since=timedelta(hours=1)),
        )
        assert line_of(process, r"\[trimtab\] error: spend_spike/local: local spent")
    finally:
        said = stop(process)
    assert said.code == 0

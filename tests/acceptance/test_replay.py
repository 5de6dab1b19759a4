"""`trimtab replay` as a stranger meets it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.acceptance.terminal import ROOT
from trimtab.testing import ScriptedModel, app_for_tests, uses

SHOP = ROOT / "tests" / "acceptance" / "shop_app.py"
REQUESTS = ROOT / "examples" / "charter" / "requests.jsonl"
KEYS = {
    "verdict", "reason", "n_requests", "n_requests_judged", "n_pairs", "fixed", "broken", "difference", "interval", "e_value",
    "p_value", "p_value_these_requests", "p_value_like_these", "e_value_these_requests", "arms", "changed", "outcomes", "runs", "runs_planned", "runs_from_before", "stopped",
    "usd_spent", "usd_cap", "simulated", "seed", "repeats", "alpha", "these", "store", "warnings",
}  # fmt: skip
ARM = {
    "models", "runs", "succeeded", "failed", "success", "interval", "unanswerable", "missed", "usd_per_run", "usd_per_success",
    "tokens_per_run", "latency_p50_s", "latency_p95_s",
}  # fmt: skip


@pytest.fixture
def charter(terminal):
    """The charter example as its user has it: a policy, and a real store with a company in it."""
    terminal.write("trimtab.toml", (ROOT / "examples" / "trimtab.toml").read_text("utf-8"))
    lines = REQUESTS.read_text("utf-8").splitlines()[:6]
    terminal.write("six.jsonl", "\n".join(lines))
    asked = [
        "replay",
        "--set",
        "default=sonnet",
        "--over",
        "six.jsonl",
        "--repeats",
        "2",
        "--simulate",
        "mixed",
        "--json",
    ]
    return terminal, asked


def real_store(terminal):
    files = sorted((terminal.folder / "companies").glob("*"))
    assert files
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_replay_says_everything_and_has_no_effect_on_the_real_store(charter):
    terminal, asked = charter
    made = "from charter.app import workflows; workflows()"
    subprocess.run([sys.executable, "-c", made], cwd=terminal.folder, env=terminal.env, check=True)
    before = real_store(terminal)
    said = terminal.run(*asked, "--html", "report.html")
    assert said.code == 0, said.err
    assert said.json.keys() == KEYS
    assert all(arm.keys() == ARM for arm in said.json["arms"].values())
    assert (said.json["runs"], said.json["n_requests"], said.json["simulated"]) == (24, 6, True)
    assert said.json["verdict"] == "undecided"
    assert said.json["usd_spent"] > 0
    assert real_store(terminal) == before
    with sqlite3.connect(terminal.folder / "companies" / "harbour.sqlite") as db:
        assert db.execute("SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM effects)").fetchone() == (0, 0)
    assert (terminal.folder / "report.html").read_text("utf-8").startswith("<!doctype html>")
    shown = terminal.run("runs", "show", "R01/candidate/0", "--store", said.json["store"], "--json")
    assert shown.json["key"] == "R01/candidate/0"


def test_the_table_says_what_it_rests_on(charter):
    terminal, asked = charter
    said = terminal.run(*[word for word in asked if word != "--json"], "--repeats", "1")
    assert said.code == 0, said.err
    for text in ("undecided", "success", "unanswerable", "12 of 12 runs made", "simulated: no real model was asked"):
        assert text in said.out


def test_a_killed_replay_goes_on_and_makes_nothing_twice(charter):
    terminal, asked = charter
    command = [*asked, "--dir", "kept", "--pace", "0.05"]
    process = terminal.popen(*command)
    store = terminal.folder / "kept" / "trimtab.db"
    for _ in range(400):
        time.sleep(0.05)
        if process.poll() is not None or ended(store) >= 4:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < ended(store) < 24
    said = terminal.run(*command)
    assert said.code == 0, said.err
    assert (said.json["runs"], said.json["arms"]["control"]["unanswerable"]) == (24, 0)
    assert said.json["runs_from_before"] >= 4
    with sqlite3.connect(store) as db:
        assert db.execute("SELECT count(*) FROM run").fetchone() == (24,)
    again = terminal.run(*command).json
    assert (again["runs_from_before"], again["usd_spent"]) == (24, said.json["usd_spent"])


def ended(store):
    if not store.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(DISTINCT run_id) FROM outcome").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_replay_stops_at_its_cap_and_says_so(charter):
    terminal, asked = charter
    report = terminal.run(*asked, "--usd-cap", "0.60").json
    assert report["stopped"] == "stopped at its cap"
    assert 0 < report["usd_spent"] <= 0.60
    assert report["runs"] < 24


def test_real_models_are_not_asked_before_somebody_said_what_they_may_cost(charter):
    terminal, asked = charter
    live = [word for word in asked if word not in ("--simulate", "mixed")]
    said = terminal.run(*live)
    assert said.code == 2
    assert "nothing was spent" in said.err
    assert "--usd-cap" in said.err
    capped = terminal.run(*live, "--usd-cap", "1")
    assert (capped.code, "give --yes" in capped.err) == (2, True)
    keyless = terminal.run(*live, "--usd-cap", "1", "--yes")
    assert (keyless.code, "ANTHROPIC_API_KEY" in keyless.err) == (2, True)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--set", "nobody=sonnet"], "unknown role 'nobody'"),
        (["--set", "crew=sonet"], "did you mean 'sonnet'?"),
        (["--over", "none.jsonl"], "cannot be read"),
        (["--over", "bad.jsonl"], "bad.jsonl:1: broken JSON"),
        (["--over", "strange.jsonl"], "missing or of the wrong type: channel (str)"),
        (["--over", "last-0d"], "no time at all"),
        (["--over", "last-30d"], "no such store"),
        (["--usd-cap", "nan"], "expected a number of dollars"),
        (["--alpha", "2"], "expected a chance"),
        (["--tape"], "have no tape"),
        (["--environment", "nowhere"], "unknown environment"),
    ],
)
def test_what_cannot_be_replayed_is_one_clear_error(charter, more, told):
    terminal, asked = charter
    terminal.write("bad.jsonl", "{not json")
    terminal.write("strange.jsonl", '{"id": "X", "expected_outcome": {"status": "completed"}}')
    said = terminal.run(*asked, *more)
    assert said.code == 2
    assert told in said.err
    assert "hint: " in said.err
    assert "Traceback" not in said.err
    assert not list((terminal.folder / "home").rglob("trimtab.db"))


PLAN = [
    {"id": "a", "specialist": "stock", "action": "reserve", "inputs": {"item": "anchor"}, "needs": []},
    {"id": "m", "specialist": "mail", "action": "send", "inputs": {"to": "ada"}, "needs": ["a"]},
]


async def test_recorded_requests_are_replayed_on_their_tape(terminal):
    spec = importlib.util.spec_from_file_location("shop_app", terminal.write("shop_app.py", SHOP.read_text("utf-8")))
    shop_app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shop_app)

    def play(call):
        tool = call.tools[0].name
        if tool == "plan":
            return uses("plan", subtasks=PLAN)
        return uses("reserve", item="anchor") if tool == "reserve" else uses("send", to="ada")

    store = terminal.folder / "shop.db"
    async with app_for_tests(*shop_app.workflows(), models=ScriptedModel(play), store=store) as app:
        for key in ("one", "two"):
            await (await app.start(shop_app.Shop, {"text": f"sell to {key}"}, key=key)).settled()
    done = (terminal.folder / "world.log").read_text()
    terminal.write(
        "trimtab.toml",
        '[app]\nfactory = "shop_app:workflows"\nstore = "shop.db"\n[roles]\ndefault = "anthropic:claude-haiku-4-5"\n',
    )
    strange = [{**PLAN[0], "inputs": {"item": "buoy"}}, PLAN[1]]
    entries = [{"request": f"sell to {k}", "plan": {"subtasks": p}} for k, p in (("one", PLAN), ("two", strange))]
    terminal.write("book.jsonl", "\n".join(map(json.dumps, entries)))
    said = terminal.run(
        "replay", "--set", "mail=anthropic:claude-sonnet-4-6", "--over", "last-30d", "--simulate", "perfect", "--book", "book.jsonl", "--json"
    )  # fmt: skip
    assert said.code == 0, said.err
    report = said.json
    assert (report["n_requests"], report["runs"], report["n_pairs"]) == (2, 12, 1)
    for arm in report["arms"].values():
        assert (arm["succeeded"], arm["unanswerable"]) == (3, 3)
        assert arm["missed"][0]["call"] == 'stock.reserve({"item":"buoy"})'
    assert (terminal.folder / "world.log").read_text() == done
    live = terminal.run("replay", "--set", "mail=anthropic:claude-sonnet-4-6", "--over", "last-30d", "--repeats", "5")
    assert live.code == 2
    assert "20 runs, about $0.02 by what 2 recorded runs used (all of it: control $0.01, candidate $0.01)" in live.err
    assert "nothing was spent" in live.err

"""`run`, `runs`, `worker`, `policy`, `simulate` through a terminal, against the simulator over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from tests.acceptance.terminal import ROOT, line_of, stop

FIRST = json.loads((ROOT / "examples" / "charter" / "requests.jsonl").read_text("utf-8").splitlines()[0])
REQUEST = json.dumps({"text": FIRST["text"], "channel": "web_form", "sender_role": "guest", "company": "harbour"})


def policy(url: str = "http://127.0.0.1:9", **more: str) -> str:
    roles = {"default": "anthropic:claude-haiku-4-5", **more}
    listed = "\n".join(f'{role} = "{model}"' for role, model in roles.items())
    return f"""
[app]
factory = "charter.app:workflows"
[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
[roles]
{listed}
"""


@pytest.fixture
def simulator(terminal):
    process = terminal.popen("simulate", "--port", "0", "--pace", "0", "--json")
    url = line_of(process, r'"url": "(.*?)"', "stdout")[1]
    yield url
    stop(process, signal.SIGINT)


@pytest.fixture
def slow_simulator(terminal):
    process = terminal.popen("simulate", "--port", "0", "--pace", "20", "--json")
    yield line_of(process, r'"url": "(.*?)"', "stdout")[1]
    stop(process, signal.SIGINT)


def test_a_request_runs_from_the_command_line(terminal, simulator):
    terminal.write("trimtab.toml", policy(simulator))
    said = terminal.run("run", "charter-booking", "--request", REQUEST, "--key", "order-1", "--json")
    assert said.code == 0, said.err
    assert (said.json["status"], said.json["key"], said.json["simulated"]) == ("awaiting_guest", "order-1", True)
    assert said.json["outcome"]["value"]["pay_links"]
    again = terminal.run("run", "charter-booking", "--request", REQUEST, "--key", "order-1", "--json")
    assert again.json["run_id"] == said.json["run_id"]
    assert again.json["model_calls"] == said.json["model_calls"]
    other = terminal.run("run", "charter-booking", "--request", "something else", "--key", "order-1")
    assert other.code == 2
    assert "key 'order-1'" in other.err
    listed = terminal.run("runs", "list", "--json").json
    assert [line["run_id"] for line in listed] == [said.json["run_id"]]
    shown = terminal.run("runs", "show", "order-1").out
    for part in ("payment.create_deposit_link", "claude-haiku-4-5", "1 attempt", "tokens", "$0.0", "simulated"):
        assert part in shown


def test_a_worker_takes_requests_from_other_processes_and_stops_when_told(terminal, simulator):
    terminal.write("trimtab.toml", policy(simulator))
    worker = terminal.popen("worker")
    line_of(worker, "working on charter-booking")
    refused = terminal.run("worker")
    assert refused.code == 2
    assert re.search(rf"trimtab.db' is run by another process \(pid {worker.pid}\)", refused.err)
    said = terminal.run("run", "charter-booking", "--request", REQUEST, "--json")
    assert said.json["status"] == "awaiting_guest"
    assert "handed to the worker" in said.err
    ended = stop(worker)
    assert ended.code == 0
    assert "unfinished runs go on at the next start" in ended.err


def test_a_run_of_a_worker_is_cancelled_from_another_process(terminal, slow_simulator):
    terminal.write("trimtab.toml", policy(slow_simulator))
    worker = terminal.popen("worker")
    line_of(worker, "working on")
    asked = terminal.popen("run", "charter-booking", "--request", REQUEST, "--key", "k", "--json")
    line_of(asked, "handed to the worker")
    assert terminal.run("runs", "cancel", "k", "--by", "olga").code == 0
    out, _ = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert json.loads(out)["outcome"]["reason"] == "cancelled by olga"
    assert terminal.run("runs", "cancel", "k").code == 1
    stop(worker)


def test_a_killed_worker_goes_on_with_its_runs(terminal, simulator):
    terminal.write("trimtab.toml", policy(simulator))
    worker = terminal.popen("worker")
    line_of(worker, "working on")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    asked = terminal.popen("run", "charter-booking", "--request", REQUEST, "--key", "k")
    asked.communicate(timeout=60)
    assert terminal.run("runs", "show", "k", "--json").json["status"] == "awaiting_guest"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            '[roles]\ndefault = "anthropic:claude-haiku-4-5"\norchestrater = "anthropic:claude-haiku-4-5"\n',
            ["roles.orchestrater", "did you mean 'orchestrator'"],
        ),
        (
            '[roles]\ndefault = "sonet"\n[models]\nsonnet = "anthropic:claude-sonnet-4-6"\n',
            ["roles.default", "'sonet'"],
        ),
        ('default_model = "opus"\n[roles]\ndefault = "anthropic:claude-haiku-4-5"\n', ["default_model"]),
        ("[roles\n", ["line 3"]),
        ('[experiments.x]\nweight = 50\n[roles]\ndefault = "anthropic:claude-haiku-4-5"\n', ["experiments"]),
        ("[models]\n", ["roles"]),
    ],
    ids=["unknown-role", "unknown-model", "unknown-key", "broken-toml", "later-section", "no-model"],
)
def test_a_wrong_policy_is_one_clear_error_with_its_key_path(terminal, more, told):
    terminal.write("trimtab.toml", '[app]\nfactory = "charter.app:workflows"\n' + more)
    for command in (["policy", "check"], ["run", "charter-booking", "--request", "x"]):
        said = terminal.run(*command)
        assert said.code == 2, said
        assert said.err.startswith("error: trimtab.toml")
        assert "hint: " in said.err
        for part in told:
            assert part in said.err


@pytest.mark.parametrize(
    ("request_text", "told"),
    [
        ('{"text": ', "broken JSON at line 1, column 10"),
        ('{"words": "x"}', "text"),
        ('{"text": "x", "sender_role": "king"}', "sender_role"),
        ("", "is empty"),
    ],
)
def test_a_wrong_request_is_one_clear_error(terminal, request_text, told):
    terminal.write("trimtab.toml", policy())
    said = terminal.run("run", "charter-booking", "--request", request_text)
    assert said.code == 2, said
    assert told in said.err
    assert "Traceback" not in said.err


def test_other_wrong_uses_are_told_in_one_line(terminal):
    assert "which application?" not in terminal.run("policy", "show").err
    terminal.write("trimtab.toml", policy())
    for command, told in (
        (["run", "no-such", "--request", "x"], "no workflow 'no-such'"),
        (["run", "charter-booking", "--request", "x", "--environment", "mars"], "'mars'"),
        (["runs", "show", "nothing"], "no such store"),
        (["runs", "list", "--half-done"], "no such store"),
        (["effects", "list"], "no such store"),
        (["run", "charter-booking", "--request", "x", "--store", "no/such/folder/t.db"], "no/such/folder"),
        (["run", "charter-booking", "--request", "x", "--app", "nowhere:at_all"], "nowhere:at_all"),
        (["demo", "--profile", "no-such"], "no-such"),
        (["simulate", "--book", "none.jsonl"], "none.jsonl"),
        (["simulate", "--host", "0.0.0.0"], "loopback"),
    ):
        said = terminal.run(*command)
        assert said.code == 2, said
        assert told in said.err
        assert "Traceback" not in said.err
        assert "hint: " in said.err


def test_a_missing_key_is_told_before_anything_runs(terminal):
    terminal.write(
        "trimtab.toml", '[app]\nfactory = "charter.app:workflows"\n[roles]\ndefault = "anthropic:claude-haiku-4-5"\n'
    )
    said = terminal.run("run", "charter-booking", "--request", "x")
    assert said.code == 2
    assert "hint: set ANTHROPIC_API_KEY" in said.err


def test_policy_show_explains_every_choice(terminal):
    terminal.write("trimtab.toml", policy(orchestrator="anthropic:claude-sonnet-4-6"))
    roles = terminal.run("policy", "show", "--explain", "--json").json["roles"]
    assert len(roles) == 9
    assert roles["orchestrator"]["decided_by"]["model"] == "roles.orchestrator"
    assert roles["payment"]["decided_by"]["model"] == "roles.default"
    assert "roles.orchestrator" in terminal.run("policy", "show", "--explain").out


def test_help_needs_none_of_the_slow_imports(terminal):
    code = "import sys; from trimtab.cli import _run; _run(['--help']); print([m for m in ('pydantic', 'pydantic_ai', 'rich', 'aiohttp') if m in sys.modules])"
    import subprocess
    import sys

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=terminal.env)
    assert said.stdout.splitlines()[-1] == "[]"

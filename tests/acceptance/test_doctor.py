"""`trimtab doctor`: one screen of truth about a host, from files alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.acceptance.terminal import ROOT, Terminal

POLICY = """
[models]
old = "anthropic:claude-3-5-haiku-20241022"
[roles]
orchestrator = "old"
[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
key_env = "ANTHROPIC_API_KEY"
"""


class Answers(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(405)
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def provider():
    with HTTPServer(("127.0.0.1", 0), Answers) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def claude(folder: Path, version: str) -> Path:
    """Put a program that says it is the terminal into a folder: only its version is asked for."""
    folder.mkdir(parents=True)
    program = folder / "claude"
    program.write_text(f"#!/bin/sh\necho '{version} (Claude Code)'\n", "utf-8")
    program.chmod(0o755)
    return folder


def doctor(terminal: Terminal, *arguments: str, path: str = "", **env: str):
    more = {"PATH": os.pathsep.join(filter(None, [path, "/usr/bin:/bin"])), **env}
    said = terminal.run("doctor", "--json", *arguments, env=more)
    checks = {check["check"]: check for check in said.json["checks"]}
    return said, checks


def whats(check: dict) -> str:
    return " | ".join(finding["what"] for finding in check["findings"])


def test_a_bare_host_has_nothing_of_the_terminal_or_of_runs(terminal: Terminal):
    _, checks = doctor(terminal, "--offline")
    assert checks["terminal"]["said"] == "not installed"
    assert checks["journal"]["said"] == "none yet"
    assert checks["provider"]["said"] == "not asked"
    assert not checks["terminal"]["findings"]


def test_a_key_that_does_nothing_a_secret_and_a_limit_are_found_and_nothing_is_changed(terminal: Terminal):
    key = "sk-ant-api03-" + "x7Qa" * 8
    settings = terminal.write(
        "home/.claude/settings.json", json.dumps({"default_model": "x", "env": {"MY_TOKEN": key}})
    )
    terminal.write("home/.bashrc", "ulimit -n 2147483646\n")
    before = sorted((p, p.stat().st_mtime_ns) for p in terminal.folder.rglob("*") if p.is_file())
    path = str(claude(terminal.folder / "bin", "2.1.330"))
    before_bin = sorted((p, p.stat().st_mtime_ns) for p in Path(path).rglob("*"))
    said, checks = doctor(terminal, "--offline", path=path)
    assert said.code == 1
    assert checks["terminal"]["said"].startswith("claude-opus-5-5, from built-in")
    assert "'default_model' does nothing" in whats(checks["terminal"])
    assert "MY_TOKEN" in whats(checks["secrets"])
    assert key not in said.out + said.err
    assert "2147483646" in whats(checks["limits"])
    after = sorted(
        (p, p.stat().st_mtime_ns) for p in terminal.folder.rglob("*") if p.is_file() and p.parent != Path(path)
    )
    assert after == before
    assert before_bin == sorted((p, p.stat().st_mtime_ns) for p in Path(path).rglob("*"))
    assert stat.S_ISREG(settings.stat().st_mode)


def test_two_terminals_of_different_versions_are_a_finding(terminal: Terminal):
    first, second = claude(terminal.folder / "a", "2.1.330"), claude(terminal.folder / "b", "2.1.197")
    _, checks = doctor(terminal, "--offline", path=f"{first}:{second}")
    assert "another terminal is installed, 2.1.197" in whats(checks["terminal"])


def test_the_terminal_is_held_against_the_policy(terminal: Terminal):
    terminal.write("trimtab.toml", '[terminal]\nmodel = "claude-sonnet-4-6"\n')
    _, checks = doctor(terminal, "--offline", path=str(claude(terminal.folder / "bin", "2.1.330")))
    (wrong,) = [f for f in checks["terminal"]["findings"] if "the policy says" in f["what"]]
    assert wrong["hint"] == "trimtab terminal set claude-sonnet-4-6 --scope user"


def test_a_retired_model_is_an_error_and_a_provider_that_answers_is_none(terminal: Terminal, provider: str):
    terminal.write("trimtab.toml", POLICY.format(url=provider))
    said, checks = doctor(terminal)
    assert said.code == 1
    assert "is retired since 2026-02-19" in whats(checks["models"])
    assert checks["provider"]["said"] == f"{provider} answers"
    assert "s off" in checks["clock"]["said"]


def test_a_provider_that_does_not_answer_is_an_error(terminal: Terminal):
    terminal.write("trimtab.toml", POLICY.format(url="http://127.0.0.1:1"))
    _, checks = doctor(terminal)
    assert "http://127.0.0.1:1 cannot be reached" in whats(checks["provider"])


def test_a_policy_that_is_refused_and_a_store_that_is_none_are_findings_and_the_rest_is_told(terminal: Terminal):
    terminal.write("trimtab.toml", "[roles]\norchestrator = 3\n")
    terminal.write("trimtab.db", "this is no database, and long enough to look like one " * 40)
    said, checks = doctor(terminal, "--offline")
    assert said.code == 1
    assert "roles.orchestrator" in whats(checks["policy"])
    assert checks["journal"]["said"] == "cannot be read"
    assert "free at" in checks["disk"]["said"]


def test_a_policy_that_is_named_must_be_there(terminal: Terminal):
    _, checks = doctor(terminal, "--offline", "--policy", "nowhere.toml")
    assert "nowhere.toml: no such file" in whats(checks["policy"])


def test_what_people_read_has_each_finding_with_its_hint_and_the_count_last(terminal: Terminal):
    terminal.write("home/.claude/settings.json", '{"model": "claude-sonnet-4-6",}')
    said = terminal.run("doctor", "--offline", env={"PATH": "/usr/bin:/bin"})
    assert said.code == 1
    assert "settings.json" in said.out
    assert "  hint: " in said.out
    assert said.out.rstrip().splitlines()[-1].endswith(("error", "errors", "warning", "warnings", "note", "notes"))


def test_nothing_slow_is_imported(terminal: Terminal):
    code = (
        "import sys; from trimtab.cli import _run; _run(['doctor', '--offline', '--json']);"
        "print([m for m in ('pydantic', 'pydantic_ai', 'anthropic', 'numpy', 'aiohttp', 'genai_prices') if m in sys.modules], file=sys.stderr)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=terminal.folder, env=terminal.env, capture_output=True, text=True, check=True
    )
    assert said.stderr.strip() == "[]"


def test_roles_whose_last_answer_came_from_another_model_are_found(terminal: Terminal):
    line = (ROOT / "examples/charter/requests.jsonl").read_text("utf-8").splitlines()[0]
    terminal.run("demo", "--dir", "demo", "--requests", str(terminal.write("one.jsonl", line)))
    (store,) = (terminal.folder / "demo").glob("*.db")
    terminal.write("trimtab.toml", '[models]\nother = "anthropic:claude-opus-5-5"\n[roles]\norchestrator = "other"\n')
    _, checks = doctor(terminal, "--offline", "--store", str(store))
    assert "orchestrator last ran on" in whats(checks["policy"])
    assert "the policy has anthropic:claude-opus-5-5" in whats(checks["policy"])

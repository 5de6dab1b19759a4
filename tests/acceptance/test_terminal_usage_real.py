"""The real terminal against a scripted API: what `trimtab terminal usage` sums up is what the terminal itself says it cost."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess

import pytest

from tests.acceptance.real_terminal import CACHE, VERSIONS, install
from tests.fakes.messages_api import Fails, Says, serving
from trimtab.terminal.place import Place

ECHO = ("Bash", {"command": "echo x", "description": "say"})
FAILING = ("Bash", {"command": "exit 3", "description": "fail"})
AGENT = ("Agent", {"description": "book", "prompt": "book", "subagent_type": "booking", "run_in_background": False})
PEER = "20.0.24"


@pytest.fixture(scope="module")
def claude():
    return install(VERSIONS[0])


@pytest.fixture
def api():
    with serving() as api:
        yield api


@pytest.fixture
def ask(claude, api, terminal):
    """Run the terminal once and give its own account; its home is the one `trimtab` reads."""
    project = terminal.folder / "project"
    agents = project / ".claude" / "agents"
    agents.mkdir(parents=True)
    (agents / "booking.md").write_text("---\nname: booking\ndescription: books\nmodel: claude-haiku-5-5\n---\nbook\n")

    def run(prompt, *more, model="claude-sonnet-5-5", env=(), seconds=60):
        kept = {"PATH": os.environ["PATH"], "HOME": str(terminal.folder / "home"), "ANTHROPIC_API_KEY": "dummy", "ANTHROPIC_BASE_URL": api.url}  # fmt: skip
        quiet = ("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "IS_SANDBOX")
        command = [
            str(claude),
            "-p",
            prompt,
            "--model",
            model,
            "--output-format",
            "json",
            "--dangerously-skip-permissions",
        ]
        done = subprocess.run(
            [*command, *more], cwd=project, env={**kept, **dict.fromkeys(quiet, "1"), **dict(env)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        return json.loads(done.stdout)

    return run


def used(terminal, *more):
    said = terminal.run("terminal", "usage", "--json", *more)
    assert said.code == 0, said.err
    return said.json


def by_name(told):
    return {group[told["by"]]: group for group in told["groups"]}


def cost_by_model(account):
    return {model: figures["costUSD"] for model, figures in account["modelUsage"].items()}


def test_a_session_with_tools_of_several_blocks_and_a_subagent_costs_what_the_terminal_says(terminal, api, ask):
    api.script += [
        Says("first", (ECHO, FAILING), {"output_tokens": 321}),
        Says("now an agent", (AGENT,), {"input_tokens": 7, "cache_read_input_tokens": 54_321}),
        Says("sub", (ECHO,), {"input_tokens": 90_000, "cache_read_input_tokens": 30_000}),  # above the tier of 100,000
        Says("sub is done"),
        Says("all is done", usage={"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}}),
    ]
    account = ask("go")

    models, agents = by_name(used(terminal)), by_name(used(terminal, "--by", "agent"))

    assert {name: group["usd"] for name, group in models.items()} == pytest.approx(cost_by_model(account), abs=1e-9)
    assert sum(group["usd"] for group in models.values()) == pytest.approx(account["total_cost_usd"], abs=1e-9)
    assert {name: (group["calls"], group["tools"], group["tool_errors"]) for name, group in agents.items()} == {
        "main": (3, 3, 1),
        "booking": (2, 1, 0),
    }


def test_resumed_and_forked_sessions_count_every_message_once(terminal, api, ask):
    first = ask("one")
    resumed = ask("two", "--resume", first["session_id"])
    forked = ask("three", "--resume", first["session_id"], "--fork-session", model="claude-haiku-5-5")
    forked_again = ask("four", "--resume", forked["session_id"], "--fork-session", model="claude-opus-5-5")

    told = used(terminal, "--by", "session")

    # What the terminal says of a session it resumes or forks is cumulative: the last one has everything once.
    assert told["total"]["usd"] == pytest.approx(forked_again["total_cost_usd"], abs=1e-9)
    assert told["total"]["calls"] == len(api.models) == 4
    assert {name: (group["prompts"], group["turns"]) for name, group in by_name(told).items()} == {
        first["session_id"]: (2, 2),
        forked["session_id"]: (1, 1),
        forked_again["session_id"]: (1, 1),
    }
    assert by_name(told)[first["session_id"]]["usd"] == pytest.approx(resumed["total_cost_usd"], abs=1e-9)


def test_retries_are_counted_whether_or_not_the_transcript_says_so(terminal, api, ask):
    api.script += [Fails(529), Says("after one"), Fails(midstream=True), Fails(midstream=True), Says("after two")]
    accounts = [ask("written"), ask("unwritten")]

    total = used(terminal)["total"]

    assert (total["retries"], total["unwritten_retries"], total["calls"]) == (3, 2, 2)
    assert total["usd"] == pytest.approx(sum(a["total_cost_usd"] for a in accounts), abs=1e-9)


def test_a_fallback_is_named_and_costs_what_the_model_costs_that_answered(terminal, api, ask):
    api.script += [Fails(500), Says("from the other")]
    account = ask("go", "--fallback-model", "claude-haiku-5-5")

    told = used(terminal)

    assert told["fallbacks"] == {"claude-sonnet-5-5 -> claude-haiku-5-5 (server_error)": 1}
    assert {n: g["usd"] for n, g in by_name(told).items()} == pytest.approx(cost_by_model(account), abs=1e-9)
    assert any("fallback" in warning for warning in told["warnings"])


def test_what_ends_without_an_answer_is_lost(terminal, api, ask):
    api.script += [Says("a", (ECHO,)), Says("b", (ECHO,)), Says("c", (ECHO,))]
    limited = ask("turns", "--max-turns", "2")
    api.script.clear()
    api.script += [Fails(529)] * 3
    failed = ask("fails", env={"CLAUDE_CODE_MAX_RETRIES": "2"}.items())
    fine = ask("fine")

    total = used(terminal)["total"]

    assert failed["is_error"]
    assert total["lost_by"] == {"turn limit": pytest.approx(limited["total_cost_usd"])}
    assert total["lost_share"] == pytest.approx(
        limited["total_cost_usd"] / (limited["total_cost_usd"] + fine["total_cost_usd"])
    )
    assert (total["prompts"], total["retries"]) == (3, 2)


@pytest.mark.parametrize(
    "more",
    [
        {"speed": "fast"},
        {"inference_geo": "us"},
        {"inference_geo": "us", "speed": "fast"},
        {"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}},  # 1,000 of no known kind
        {"cache_creation_input_tokens": 0, "cache_creation": None},
    ],
)
def test_what_is_priced_by_more_than_tokens_costs_what_the_terminal_says(terminal, api, ask, more):
    api.script += [Says(usage=more)]
    account = ask("go", model="claude-opus-5-5")

    assert used(terminal)["total"]["usd"] == pytest.approx(account["total_cost_usd"], abs=1e-9)


def test_a_model_without_a_known_price_is_unknown_where_the_terminal_takes_that_of_opus(terminal, api, ask):
    account = ask("go", model="claude-nobody-9")

    told = used(terminal)

    assert account["total_cost_usd"] > 0
    assert (told["total"]["usd"], told["total"]["unpriced"]) == (None, 1)
    assert told["unpriced"] == {"claude-nobody-9": 1}
    assert any("NO KNOWN PRICE" in warning for warning in told["warnings"])


def test_telemetry_of_a_session_with_a_transcript_counts_once_and_of_one_without_is_shown_apart(terminal, api, ask):
    listening = terminal.popen("terminal", "listen", "--port", "0", "--json")
    try:
        port = listening.stderr.readline().split("127.0.0.1:")[1].partition(";")[0]
        sends = {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_LOGS_EXPORT_INTERVAL": "100", "OTEL_METRIC_EXPORT_INTERVAL": "100",
        }  # fmt: skip
        written = ask("written", env=sends.items())
        unwritten = ask("unwritten", "--no-session-persistence", model="claude-haiku-5-5", env=sends.items())
        calls = [json.loads(listening.stdout.readline()) for _ in range(2)]
    finally:
        listening.kill()
        listening.communicate()

    told = used(terminal)

    assert [(c["model"], c["usd"]) for c in calls] == [
        ("claude-sonnet-5-5", pytest.approx(written["total_cost_usd"])),
        ("claude-haiku-5-5", pytest.approx(unwritten["total_cost_usd"])),
    ]
    assert told["total"]["usd"] == pytest.approx(written["total_cost_usd"], abs=1e-9)
    assert told["telemetry_only"] == {
        "calls": 1, "usd": pytest.approx(unwritten["total_cost_usd"]), "unpriced": 0, "sessions": 1,
    }  # fmt: skip


def test_a_model_that_ccusage_gives_away_has_its_price(terminal, api, ask):
    program = ccusage()
    account = ask("go", model="claude-opus-5-5")
    env = {"PATH": os.environ["PATH"], "HOME": str(Place.here(str(terminal.folder / "home")).home)}
    peer = subprocess.run([str(program), "daily", "--offline", "--json"], env=env, capture_output=True, text=True, timeout=60, check=True)  # fmt: skip

    totals, ours = json.loads(peer.stdout)["totals"], used(terminal)["total"]
    assert (totals["inputTokens"], totals["outputTokens"]) == (ours["input"], ours["output"])
    assert totals["totalCost"] == 0
    assert ours["usd"] == pytest.approx(account["total_cost_usd"], abs=1e-9)


def ccusage():
    """Install the peer once; skips where npm or its registry is not reachable."""
    folder = CACHE / f"ccusage-{PEER}"
    program = folder / "node_modules" / ".bin" / "ccusage"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"ccusage-{PEER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            npm = shutil.which("npm")
            command = [npm or "false", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"ccusage@{PEER}"]
            subprocess.run(command, capture_output=True, timeout=170, check=False)
    if not program.exists():
        pytest.skip("npm cannot install ccusage here")
    return program

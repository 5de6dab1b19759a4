"""`trimtab terminal usage` and `listen` as a user has them."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.transcripts import Session

TODAY = datetime.now(UTC).replace(hour=0, minute=1)
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def claude(terminal):
    return terminal.folder / "home" / ".claude"


def test_the_table_is_one_screen(terminal, claude):
    session = (
        Session(at=YESTERDAY, project="/home/dev/a/very/long/path/to/some/project/of/mine").prompt().edit().answer()
    )
    session.prompt().edit().answer().prompt().answer(("Bash", {})).row("attachment", attachment={"type": "max_turns_reached"}).write(claude)  # fmt: skip
    said = terminal.run("terminal", "usage", "--by", "project", "--since", "2d")

    assert said.code == 0
    assert said.out.splitlines()[1:] == [
        "",
        "project                       calls  input  output   read    5m    1h    dollars",
        ".../to/some/project/of/mine       5   5.0k     500      0     0     0    $0.0225",
        "total                             5   5.0k     500      0     0     0    $0.0225",
        "",
        "project                      sess. tasks prompts turns errors rework retry  lost",
        ".../to/some/project/of/mine      1     1       3   5.0      0      1     0 20.0%",
        "total                            1     1       3   5.0      0      1     0 20.0%",
        "turns are of a task; errors those of tools; lost is the share of dollars",
        "",
        "lost: $0.0045 in iterations that ended without an answer",
        "  turn limit $0.0045",
        "versions: 2.1.330",
    ]
    assert said.err == ""


def test_what_cannot_be_used_is_named_and_the_rest_counts(terminal, claude):
    path = Session(at=YESTERDAY).prompt().answer().answer(model="claude-nobody-9").write(claude)
    with path.open("ab") as file:
        file.write(b"\x00\xff not a row\n")
    said = terminal.run("terminal", "usage")

    assert said.code == 0
    assert f"warning: lines that cannot be used, the rest is counted: 1 in {path}: line 4: it is not JSON" in said.out
    assert "warning: NO KNOWN PRICE, so not in the dollars: claude-nobody-9 1x" in said.out
    assert ">=$0.0045" in said.out


def test_json_has_everything_and_unknown_dollars_are_null(terminal, claude):
    Session(at=YESTERDAY).prompt().answer(model="claude-nobody-9").write(claude)
    told = terminal.run("terminal", "usage", "--json").json

    assert (told["total"]["usd"], told["total"]["usd_known"], told["total"]["unpriced"]) == (None, 0, 1)
    assert told["groups"][0]["model"] == "claude-nobody-9"
    assert len(told["warnings"]) == 1


def test_the_index_holds_no_text_and_is_not_needed(terminal, claude):
    Session(at=YESTERDAY).prompt("a secret word").answer(
        ("Write", {"file_path": "/secret", "content": "secret"})
    ).write(claude)
    without = terminal.run("terminal", "usage", "--json", "--no-index")
    assert not list((terminal.folder / "home").rglob("*.db"))
    kept = terminal.run("terminal", "usage", "--json")
    index = next((terminal.folder / "home" / ".cache" / "trimtab").glob("*.db"))

    assert without.json == {**kept.json, "until": without.json["until"]}
    assert b"secret" not in index.read_bytes()
    assert index.stat().st_mode & 0o777 == 0o600


def test_a_deleted_transcript_stays_counted_and_that_is_said(terminal, claude):
    path = Session(at=YESTERDAY).prompt().answer().write(claude)
    terminal.run("terminal", "usage")
    path.unlink()
    said = terminal.run("terminal", "usage")

    assert "transcripts deleted by now, still counted: 1" in said.out
    assert "$0.0045" in said.out


def test_an_index_that_breaks_inside_is_made_anew(terminal, claude):
    Session(at=YESTERDAY).prompt().answer().write(claude)
    terminal.run("terminal", "usage")
    index = next((terminal.folder / "home" / ".cache" / "trimtab").glob("*.db"))
    with sqlite3.connect(index) as connection:
        connection.execute("DROP TABLE call")
    connection.close()
    said = terminal.run("terminal", "usage")

    assert said.code == 0
    assert "warning: the index was damaged" in said.out
    assert "$0.0045" in said.out


def test_another_home_has_an_index_of_its_own(terminal, claude):
    Session(at=YESTERDAY).prompt().answer().write(terminal.folder / "other" / ".claude")
    other = terminal.run("terminal", "usage", "--json", "--home", str(terminal.folder / "other")).json
    mine = terminal.run("terminal", "usage", "--json").json

    assert (other["total"]["calls"], mine["total"]["calls"]) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "soon"], "--since is 'soon', expected a date or days"),
        (["--since", "0d"], "expected at least one day"),
        (["--since", "2026-13-01"], "expected a date"),
        (["--since", "0001-01-01"], "expected a date since 1970"),
        (["--since", "2026-02-02", "--until", "2026-02-01"], "is before --since"),
        (["--until", "7d"], "--until is '7d', expected a date"),
        (["--compare-at", "then"], "--compare-at is 'then', expected a date"),
        (["--home", "nowhere"], "--home 'nowhere' is no folder"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_hint(terminal, arguments, expected):
    said = terminal.run("terminal", "usage", *arguments)

    assert (said.code, said.out) == (2, "")
    assert expected in said.err
    assert "hint: " in said.err


def test_before_and_after_needs_more_than_an_anecdote(terminal, claude):
    for number in range(6):
        Session(f"s{number}", at=TODAY - timedelta(days=6 - number)).prompt().answer().write(claude)
    at = (TODAY - timedelta(days=3)).date().isoformat()
    text = terminal.run("terminal", "usage", "--compare-at", at)
    told = terminal.run("terminal", "usage", "--compare-at", at, "--json").json["compared"]

    assert "Iteration cycles: cannot be said." in text.out
    assert "not a randomised comparison" in text.out
    assert (told["randomised"], told["measures"]["prompts"]["told"]) == (False, "too few")


def test_usage_does_not_import_what_it_does_not_need(terminal, claude):
    Session(at=YESTERDAY).prompt().answer().write(claude)
    said = terminal.run("terminal", "usage", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in said.err.splitlines()}

    assert "trimtab.terminal.usage" in imported
    assert imported.isdisjoint({"pydantic_ai", "numpy", "aiohttp", "genai_prices", "rich"})


def test_listening_says_what_to_set_and_leaves_after_the_first_calls(terminal):
    import http.client

    listening = terminal.popen("terminal", "listen", "--port", "0", "--once", "--json")
    try:
        first = listening.stderr.readline()
        port = int(first.split("127.0.0.1:")[1].partition(";")[0])
        said = {
            "event.name": "api_request",
            "event.timestamp": YESTERDAY.isoformat(),
            "session.id": "s",
            "model": "claude-haiku-5-5",
        }
        figures = {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 0, "cache_creation_tokens": 0}
        attributes = [{"key": k, "value": {"stringValue": v}} for k, v in said.items()]
        attributes += [{"key": k, "value": {"intValue": v}} for k, v in figures.items()]
        body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": attributes}]}]}]}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/v1/logs", json.dumps(body), {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        out, err = listening.stdout.read(), listening.stderr.read()
        listening.wait(timeout=30)
    finally:
        listening.kill()
    told = terminal.run("terminal", "usage", "--json").json

    assert listening.returncode == 0
    assert json.loads(out)["usd"] == pytest.approx(0.00015)
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{port}" in err
    assert told["total"]["calls"] == 0
    assert (told["telemetry_only"]["calls"], told["telemetry_only"]["usd"]) == (1, pytest.approx(0.00015))


def test_an_index_that_cannot_be_written_is_done_without_in_usage_and_refused_in_listen(terminal, claude):
    Session(at=YESTERDAY).prompt().answer().write(claude)
    cache = terminal.folder / "file"
    cache.write_text("")
    env = {"XDG_CACHE_HOME": str(cache)}
    used, listened = terminal.run("terminal", "usage", env=env), terminal.run("terminal", "listen", env=env)

    assert (used.code, listened.code) == (0, 2)
    assert "cannot keep an index" in used.out
    assert "XDG_CACHE_HOME" in listened.err
    assert cache.read_text() == ""

"""Rollouts and hosts on terminals wide and narrow: what counts is never cut off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from trimtab.cli.hosts_rows import Row
from trimtab.cli.hosts_table import print_rows
from trimtab.cli.rollout_seen import look
from trimtab.cli.rollout_tree import picture
from trimtab.cli.rollout_words import change_lines, clock, moved, span
from trimtab.policy.load import parse
from trimtab.rollouts.moves import find, move_rollout, start_rollout

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HAIKU, OPUS = "anthropic:claude-haiku-4-5", "claude-opus-4-6"
TEXT = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
orchestrator = "haiku"
[environments.staging]
[environments.production]
[rollouts.dearer]
set = { orchestrator = { model = "sonnet", max_tokens = 9000 } }
stages = [{ environment = "staging", hold = "90s" }, { environment = "production", weight = 5 }]
"""


def row(host: str, **more: object) -> Row:
    fine: dict[str, object] = {
        "environment": "production",
        "group": "web",
        "role": "orchestrator",
        "wanted": (HAIKU,),
        "configured": ("claude-haiku-4-5",),
        "answered": "claude-haiku-4-5",
        "at": NOW,
        "state": "fine",
    }
    return Row(host=host, **{**fine, **more})


def printed(width: int, *rows: Row) -> str:
    out = Console(width=width, file=StringIO(), no_color=True)
    print_rows(out, rows, NOW)
    return out.file.getvalue()


ROWS = (
    row("deploy@production-web-1.example.org"),
    row("p2", configured=(OPUS,), answered=OPUS, state="drift"),
    row("p3", role="", wanted=(), configured=(), answered=None, at=None, state="unknown", why="not reached: no route"),
)


def test_hosts_are_side_by_side_where_there_is_room():
    lines = [line.split() for line in printed(160, *ROWS).splitlines()]
    assert lines[0] == ["role", "wanted", "configured", "last", "answer"]
    assert lines[2][-4:] == ["same,", "12:00:00", "UTC", "fine"]
    assert lines[3] == ["p2", "orchestrator", "claude-haiku-4-5", OPUS, f"{OPUS},", "12:00:00", "UTC", "drift"]
    assert lines[4] == ["p3", "unknown"]


@pytest.mark.parametrize("width", [40, 80])
def test_hosts_are_below_each_other_where_there_is_none_and_no_name_is_cut_off(width):
    text = printed(width, *ROWS)
    assert "…" not in text
    assert "  deploy@production-web-1.example.org orchestrator: fine, claude-haiku-4-5, answered 12:00:00 UTC\n" in text
    assert f"    configured   {OPUS}\n    last answer  {OPUS}, 12:00:00 UTC\n" in text
    assert "  p3: unknown\n" in text
    assert text.endswith("p3: not reached: no route\n")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    start_rollout(tmp_path / "t.db", parse(TEXT), "dearer", by="olga", at=NOW, reason="[it] is better", evidence={})
    move_rollout(tmp_path / "t.db", "dearer", "entered", by="olga", at=NOW)
    return tmp_path / "t.db"


@pytest.mark.parametrize("width", [40, 80, 180])
def test_a_rollout_says_all_of_its_change_on_every_width(store, width):
    out = Console(width=width, file=StringIO(), no_color=True)
    out.print(picture(look(store, parse(TEXT), "dearer", NOW + timedelta(seconds=30)), NOW))
    words = " ".join(out.file.getvalue().replace("│", " ").split())
    assert "dearer holding started 12:00:00 UTC by olga: [it] is better" in words
    assert "claude-haiku-4-5 -> claude-sonnet-4-6" in words
    assert "orchestrator max_tokens 9000" in words
    assert "hold 1m 30s" in words


def test_moves_are_told_as_sentences(store):
    for event in ("promote", "pause", "resume", "abort"):
        move_rollout(store, "dearer", event, by="paul", at=NOW, reason="so")
    assert [moved(fact) for fact in find(store, "dearer").moves] == [
        "started by olga: [it] is better; stage 1, staging 100 % is in force for new runs",
        "holding: stage 1, staging 100 %, for 1m 30s",
        "promoted by paul: stage 1, staging 100 %: so; stage 2, production 5 % is in force for new runs",
        "paused by paul: so; stage 2, production 5 %",
        "resumed by paul: so; stage 2, production 5 %",
        "aborted by paul: so; new runs get the old map",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59, "59s"), (90, "1m 30s"), (3600, "1h"), (3661, "1h 1m"), (90_061, "1d 1h"), (604_800, "7d")],
)
def test_times_are_told_in_two_units(seconds, told):
    assert span(timedelta(seconds=seconds)) == told


def test_a_time_of_another_day_has_its_day():
    assert clock(NOW, NOW) == "12:00:00 UTC"
    assert clock(NOW - timedelta(days=1), NOW) == "2026-11-22 12:00 UTC"


def test_environments_with_the_same_change_share_a_line():
    was = {"staging": {"a": HAIKU}, "production": {"a": HAIKU}, "local": {"a": None}}
    to = {there: {"a": "anthropic:x"} for there in was}
    assert change_lines(was, to) == [
        ("a", "staging, production", "claude-haiku-4-5", "x"),
        ("a", "local", "none", "x"),
    ]

"""What a file that was edited says of a rollout: while it goes on that is told, and once it has passed the file decides."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trimtab.cli.policy_rollouts import differences
from trimtab.cli.rollout_edited import edited_since
from trimtab.cli.rollout_seen import look
from trimtab.core.errors import UsageError
from trimtab.policy.load import parse
from trimtab.rollouts.adopt import adopt
from trimtab.rollouts.moves import find, move_rollout, newest, start_rollout

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEXT = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
opus = "anthropic:claude-opus-4-6"
[roles]
default = "haiku"
orchestrator = "haiku"
[environments.staging]
[rollouts.half]
set = { orchestrator = "sonnet" }
stages = [ { environment = "local", weight = 50 } ]
[rollouts.next]
set = { orchestrator = "opus" }
stages = [ { environment = "local", weight = 50 } ]
[rollouts.both]
set = { default = "sonnet" }
stages = [ { environment = "staging" }, { environment = "local" } ]
"""
SAYS_SONNET = TEXT.replace('orchestrator = "haiku"', 'orchestrator = "sonnet"')


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


def start(store: Path, name: str, text: str = TEXT) -> None:
    start_rollout(store, parse(text), name, by="ada", at=NOON, evidence={})


def moved(store: Path, name: str, *events: str) -> None:
    for event in events:
        move_rollout(store, name, event, by="ada", at=NOON)  # pyright: ignore[reportArgumentType]


def test_a_rollout_that_has_passed_with_a_part_of_the_runs_is_over_too_once_the_file_speaks_of_its_roles(store: Path):
    start(store, "half")
    moved(store, "half", "entered", "promote")
    with pytest.raises(UsageError, match="'half' is passed and changes role 'orchestrator'"):
        start(store, "next")
    assert adopt(store, parse(TEXT), "local", by="ada", at=NOON) == ()
    start(store, "next", SAYS_SONNET)
    assert [(fact.name, fact.event, fact.weights) for fact in newest(store)] == [
        ("half", "adopted", {}),
        ("next", "start", {"local": 0.5}),
    ]


def test_roles_that_are_edited_while_a_rollout_is_under_way_are_told_of_and_are_not_healthy(store: Path):
    start(store, "half")
    moved(store, "half", "entered")
    assert edited_since(parse(TEXT), find(store, "half")) == []
    assert look(store, parse(TEXT), "half", NOON).healthy
    edited = parse(TEXT.replace('orchestrator = "haiku"', 'orchestrator = "opus"'))
    told = (
        f"{edited.source} by now says claude-opus-4-6 for orchestrator in local, not claude-haiku-4-5 as when it was started: "
        "applications started since give that to runs it does not reach, and an abort brings that; "
        "say claude-haiku-4-5 there until it has ended"
    )
    assert look(store, edited, "half", NOON).wrong == (told,)
    assert differences(edited, store) == [f"rollout 'half': {told}"]
    moved(store, "half", "abort")
    assert edited_since(edited, find(store, "half")) == []
    assert differences(edited, store) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ((), []),
        (('haiku = "anthropic:claude-haiku-4-5"', 'haiku = "anthropic:claude-opus-4-6"'), ["default", "orchestrator"]),
        (('orchestrator = "haiku"', 'orchestrator = "opus"'), ["orchestrator"]),
        (("[environments.staging]", "[environments.staging.roles]\norchestrator = 'opus'"), ["orchestrator"]),
        (('default = "haiku"\n', ""), []),
    ],
)
def test_it_does_not_matter_which_key_was_edited(store: Path, edit: tuple[str, str], told: list[str]):
    start(store, "both")
    text = TEXT.replace(*edit) if edit else TEXT
    found = edited_since(parse(text), find(store, "both"))
    assert [line.partition(" for ")[2].partition(" ")[0] for line in found] == told


def test_what_the_file_says_of_an_environment_that_is_gone_is_nothing(store: Path):
    start(store, "both")
    only_local = TEXT.partition("[environments.staging]")[0]
    assert edited_since(parse(only_local), find(store, "both")) == []

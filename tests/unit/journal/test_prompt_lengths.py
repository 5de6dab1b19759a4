from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.records import ModelCallFact
from trimtab.core.usage import PromptLengths
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def call(number: int, *tokens: int, role: str = "guest", model: str = "a:b", at: datetime = NOW) -> ModelCallFact:
    into, read, written, written_1h = (*tokens, 0, 0, 0, 0)[:4]
    return ModelCallFact(
        "run", f"step/{number}", role, None, 1, model, model, "id", into, 7, read, written, written_1h, "end_turn", "", "",
        1.0, None, simulated=False, at=at,
    )  # fmt: skip


def lengths_of(path: Path, calls: list[ModelCallFact], over: int = 1) -> list[PromptLengths]:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    SqliteFacts().migrate(connection)
    SqliteFacts().write(connection, calls)
    connection.close()
    with Journal(path) as journal:
        return journal.prompt_lengths(NOW - timedelta(days=30), over)


def test_a_prompt_is_what_was_sent_cached_or_not_by_role_and_model(tmp_path: Path):
    calls = [
        call(1, 10, 20, 30, 40),
        call(2, 5),
        call(3, 7, role="payment"),
        call(4, 9, model="a:c"),
        call(5, 0),
        call(6, 1_000_000, at=NOW - timedelta(days=31)),
    ]
    assert lengths_of(tmp_path / "s.db", calls) == [
        PromptLengths("guest", "a:b", 2, 100, 100),
        PromptLengths("guest", "a:c", 1, 9, 9),
        PromptLengths("payment", "a:b", 1, 7, 7),
    ]


def test_roles_without_a_prompt_that_long_are_left_out(tmp_path: Path):
    calls = [call(1, 99), call(2, 100, role="payment"), call(3, 1, role="payment")]
    assert lengths_of(tmp_path / "s.db", calls, over=100) == [PromptLengths("payment", "a:b", 2, 100, 100)]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_95_percent_of_prompts_are_no_longer_than_p95(tmp_path_factory, prompts: list[int]):
    folder: Path = tmp_path_factory.mktemp("lengths")
    (found,) = lengths_of(folder / "s.db", [call(number, prompt) for number, prompt in enumerate(prompts)])
    assert (found.calls, found.largest) == (len(prompts), max(prompts))
    assert found.p95 == sorted(prompts)[ceil(0.95 * len(prompts)) - 1]

"""What runs used, by role, model and the length of their prompts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store, now

from trimtab.core.traffic import Traffic
from trimtab.core.usage import Usage
from trimtab.journal.reader import Journal


def store(folder: Path) -> Path:
    late, early = now() - timedelta(days=1), now() - timedelta(days=40)
    one = [
        Call("orchestrator", HAIKU, Usage(100_000, 10)),
        Call("orchestrator", HAIKU, Usage(99_000, 10, 1001)),
        Call("orchestrator", HAIKU, Usage(50, 20, 1, 2, 3)),
        Call("payment", SONNET, Usage(7, 1)),
    ]
    return make_store(
        folder / "t.db",
        [
            Recorded("old", early, one),
            Recorded("r1", late, one),
            Recorded("r2", late, [Call("payment", HAIKU, Usage(5))], environment="production"),
        ],
    )


def test_calls_are_added_up_by_run_role_model_and_the_bracket_of_their_prompt(tmp_path: Path):
    with Journal(store(tmp_path)) as journal:
        found = list(journal.traffic([100_000], since=now() - timedelta(days=30)))
    assert sorted(found, key=lambda part: (part.run_id, part.role, part.over)) == [
        Traffic("r1", "orchestrator", HAIKU, 0, 2, Usage(100_050, 30, 1, 2, 3), 100_000, simulated=False),
        Traffic("r1", "orchestrator", HAIKU, 100_000, 1, Usage(99_000, 10, 1001), 100_001, simulated=False),
        Traffic("r1", "payment", SONNET, 0, 1, Usage(7, 1), 7, simulated=False),
        Traffic("r2", "payment", HAIKU, 0, 1, Usage(5), 5, simulated=False),
    ]


def test_runs_and_roles_are_told_apart_only_where_that_is_asked(tmp_path: Path):
    with Journal(store(tmp_path)) as journal:
        by_role = list(journal.traffic([], by={"role"}, environment="local"))
        by_run = list(journal.traffic([], by={"run"}))
        whole = list(journal.traffic([], by=set()))
    assert {(part.run_id, part.role, part.model, part.calls) for part in by_role} == {
        ("", "orchestrator", HAIKU, 6),
        ("", "payment", SONNET, 2),
    }
    assert [(part.run_id, part.role) for part in by_run] == [
        ("old", ""),
        ("old", ""),
        ("r1", ""),
        ("r1", ""),
        ("r2", ""),
    ]
    assert sorted((part.model, part.calls) for part in whole) == [(HAIKU, 7), (SONNET, 2)]


def test_only_what_was_asked_for_is_read(tmp_path: Path):
    with Journal(store(tmp_path)) as journal:
        every = list(journal.traffic([]))
        payment = list(journal.traffic([], role="payment", environment="local", since=now() - timedelta(days=30)))
        assert journal.runs_since(None)[0] == 3
        assert journal.runs_since(now() - timedelta(days=30), "production")[0] == 1
        assert journal.runs_since(now() + timedelta(days=1)) == (0, None)
    assert len(every) == 5
    assert [(part.run_id, part.role) for part in payment] == [("r1", "payment")]

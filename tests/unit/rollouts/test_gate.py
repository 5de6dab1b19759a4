"""The gate of the stage that a rollout is at, asked of a store as it grows."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trimtab.core.outcome import Status
from trimtab.core.records import AssignmentFact, ExposureFact, Fact, ModelCallFact, OutcomeFact, RunFact, ScoreFact
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.learn.gate import gate
from trimtab.learn.metrics import cohort
from trimtab.policy.load import parse
from trimtab.rollouts import gate as asked_of
from trimtab.rollouts.gate import Gates, gate_of
from trimtab.rollouts.moves import Standing, find, move_rollout, start_rollout

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
POLICY = parse("""
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
orchestrator = "haiku"
[environments.production]
[rollouts.better]
set = { orchestrator = "sonnet" }
stages = [
  { environment = "production", weight = 50, hold = "1d" },
  { environment = "production", weight = 100, hold = "1d" },
]
guardrails = { tokens_per_success = "+10%" }
""")
ANSWERED = ModelCallFact(
    run_id="",
    step="plan/1",
    role="orchestrator",
    subtask=None,
    attempt=1,
    requested_model=HAIKU,
    response_model="claude-haiku-4-5",
    response_id=None,
    input_tokens=1000,
    output_tokens=100,
    cache_read_tokens=0,
    cache_write_5m_tokens=0,
    cache_write_1h_tokens=0,
    stop_reason="end_turn",
    error_class="",
    error="",
    latency_ms=9.0,
    cost=Decimal("0.1"),
    simulated=False,
    at=NOON,
)


@dataclass
class Store:
    """A store with a rollout in its first stage, and runs as they come."""

    path: Path
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    runs: int = 0

    def write(self, *facts: Fact) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        SqliteFacts().migrate(connection)
        SqliteFacts().write(connection, facts)
        connection.close()

    def move(self, event: str, at: datetime = NOON) -> Standing:
        move_rollout(self.path, "better", event, by="ada", at=at)  # pyright: ignore[reportArgumentType]
        return find(self.path, "better")

    def accept(self, at: datetime, stage: str = "better@1.1", weight: float = 0.5) -> tuple[str, bool]:
        run_id, treated = f"run-{self.runs}", self.dice.random() < weight
        self.runs += 1
        arm = AssignmentFact(run_id, stage, "treatment" if treated else "control", weight, weight)
        self.write(*accepted(run_id, at, treated=treated), *([arm] if stage else []))
        return run_id, treated

    def end(
        self, run_id: str, at: datetime, *, treated: bool = False, success: bool = True, tokens: int = 1000
    ) -> None:
        self.write(*ended(run_id, at, treated=treated, success=success, tokens=tokens))

    def come(self, count: int, at: datetime, stage: str = "better@1.1", weight: float = 0.5, good: float = 1.0) -> None:
        """Let runs come within an hour and end a minute later; on the new map `good` of them succeed."""
        facts: list[Fact] = []
        weight = weight if stage else 0.0
        for n in range(count):
            treated, when = self.dice.random() < weight, at + n * timedelta(hours=1) / count
            run_id = f"run-{self.runs}"
            self.runs += 1
            facts += accepted(run_id, when, treated=treated)
            if stage:
                facts.append(AssignmentFact(run_id, stage, "treatment" if treated else "control", weight, weight))
            success = self.dice.random() < (good if treated else 0.95)
            facts += ended(run_id, when + timedelta(minutes=1), treated=treated, success=success)
        self.write(*facts)

    def from_scratch(self, standing: Standing, now: datetime):
        with Journal(self.path) as journal:
            runs = journal.measures(experiment="better@1.1")
        found = cohort(runs, "better@1.1", standing.spec.deadline, now)
        return gate(found, standing.spec, 0, entered=NOON, now=now)


def accepted(run_id: str, at: datetime, *, treated: bool) -> list[Fact]:
    roles = {"orchestrator": {"model": SONNET if treated else HAIKU}}
    return [
        RunFact(run_id, "booking", run_id, "production", {}, at),
        ExposureFact(run_id, roles, None, 1.0, "digest", date(2026, 11, 1)),
    ]


def ended(run_id: str, at: datetime, *, treated: bool, success: bool = True, tokens: int = 1000) -> list[Fact]:
    model = SONNET if treated else HAIKU
    call = replace(
        ANSWERED, run_id=run_id, requested_model=model, response_model=model.partition(":")[2], input_tokens=tokens
    )
    status = Status.COMPLETED if success else Status.FAILED
    return [call, stood(run_id, status, at)]


def stood(run_id: str, status: Status, at: datetime = NOON) -> OutcomeFact:
    final = status in (Status.COMPLETED, Status.FAILED)
    return OutcomeFact(
        run_id=run_id,
        number=0,
        final=final,
        status=status,
        value=None,
        error="",
        reason="",
        first_plan_faultless=True,
        intended_end=status.intended,
        replans=0,
        at=at,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    start_rollout(tmp_path / "t.db", POLICY, "better", by="ada", at=NOON, reason="", evidence={})
    made = Store(tmp_path / "t.db")
    made.move("entered")
    return made


def standing(store: Store) -> Standing:
    return find(store.path, "better")


def test_a_stage_without_traffic_holds_and_says_so(store: Store):
    store.come(50, NOON, stage="")
    seen = gate_of(store.path, standing(store), NOON + 2 * DAY)
    assert seen is not None
    assert (seen.word, seen.evidence["runs"]) == (
        "hold",
        {"control": 0, "treatment": 0, "pending": 0, "behind": 0, "hanging": 0},
    )
    assert seen.missing == "no traffic: no run came to 'production' since 2026-11-20 12:00 UTC"


def test_only_the_runs_of_the_stage_and_of_this_attempt_count(store: Store):
    store.come(40, NOON, good=0.0, stage="better@2.1")
    store.come(40, NOON, good=0.0, stage="other@1.1")
    store.come(10, NOON)
    seen = gate_of(store.path, standing(store), NOON + DAY)
    assert seen is not None
    runs = seen.evidence["runs"]
    assert runs["control"] + runs["treatment"] == 10  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]


def test_what_is_read_bit_by_bit_is_what_is_read_at_once(store: Store):
    kept, stands = Gates(store.path), standing(store)
    waiting: list[tuple[str, bool]] = []
    for hour in range(20):
        now = NOON + hour * timedelta(hours=1)
        store.come(15, now, good=0.9)
        waiting.append(store.accept(now + timedelta(minutes=59)))
        if hour % 3 == 2:
            run_id, treated = waiting.pop(0)
            store.end(run_id, now + timedelta(minutes=59), treated=treated, tokens=900)
        look = now + timedelta(hours=1)
        seen, whole = kept.look(stands, look), store.from_scratch(stands, look)
        assert seen is not None
        assert (seen.word, seen.reason) == (whole.word, whole.reason)
        found, expected = (g.evidence["metrics"] for g in (seen, whole))
        assert {m: pytest.approx(f) for m, f in found.items()} == expected  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


def test_harm_in_the_stage_fails_it_whatever_the_hold(store: Store):
    store.come(200, NOON, good=0.5)
    seen = gate_of(store.path, standing(store), NOON + timedelta(hours=1))
    assert seen is not None
    assert seen.word == "fail"
    assert seen.reason.startswith("goal worse: decomposition_success -")


def test_an_answer_of_another_model_on_the_new_map_fails_it_at_once_and_on_the_old_one_does_not(store: Store):
    store.come(10, NOON)
    run_id = next(r for r, treated in iter(lambda: store.accept(NOON), None) if not treated)
    store.write(replace(ANSWERED, run_id=run_id, response_model="claude-opus-5-5"))
    kept = Gates(store.path)
    seen = kept.look(standing(store), NOON + timedelta(hours=1))
    assert seen is not None
    assert seen.word == "hold"
    run_id = next(r for r, treated in iter(lambda: store.accept(NOON), None) if treated)
    store.write(replace(ANSWERED, run_id=run_id, requested_model=SONNET, response_model="claude-opus-5-5"))
    seen = kept.look(standing(store), NOON + timedelta(hours=1))
    assert seen is not None
    assert seen.word == "fail"
    assert "1 run on the new map" in seen.reason
    assert "'claude-opus-5-5' instead of 'anthropic:claude-sonnet-4-6'" in seen.reason


def test_a_cap_that_stops_a_run_on_the_new_map_fails_it(store: Store):
    run_id = next(r for r, treated in iter(lambda: store.accept(NOON), None) if treated)
    store.write(stood(run_id, Status.PAUSED_BUDGET))
    seen = gate_of(store.path, standing(store), NOON + timedelta(hours=1))
    assert seen is not None
    assert seen.word == "fail"
    assert seen.reason == f"budget breach: a cap stopped 1 run on the new map ({run_id})"


def test_a_run_that_goes_on_after_it_was_counted_is_counted_anew(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asked_of, "_AGAIN_AFTER", 0.0)
    monkeypatch.setattr(asked_of, "_AGAIN_SHARE", 1e9)
    run_id, _ = store.accept(NOON)
    store.write(stood(run_id, Status.AWAITING_APPROVAL))
    kept, stands = Gates(store.path), standing(store)
    kept.look(stands, NOON + timedelta(hours=1))
    store.write(stood(run_id, Status.FAILED, NOON + timedelta(hours=1)))
    kept.look(stands, NOON + timedelta(hours=2))
    again, whole = kept.look(stands, NOON + timedelta(hours=2)), store.from_scratch(stands, NOON + timedelta(hours=2))
    assert again is not None
    assert again.evidence == whole.evidence
    assert kept._kept["better"].gate.runs.good == 0


def test_a_run_that_somebody_looked_at_later_is_counted_anew(store: Store):
    store.come(5, NOON)
    kept, stands = Gates(store.path), standing(store)
    kept.look(stands, NOON + timedelta(hours=1))
    store.write(ScoreFact("run-0", 0, ["double charge"], "ada", NOON))
    kept.look(stands, NOON + timedelta(hours=1))
    assert kept._kept["better"].stale


def last_stage(store: Store, at: datetime) -> Standing:
    store.move("promote", at)
    return store.move("entered", at)


def test_a_stage_with_every_run_is_compared_with_the_old_map_before_it(store: Store):
    for day in range(20):
        store.come(40, NOON - (20 - day) * DAY, stage="")
    store.come(100, NOON, good=0.2)  # treated in the stage before: not the old map
    stands = last_stage(store, NOON + DAY)
    store.come(60, NOON + DAY, stage="better@1.2", weight=1.0, good=0.95)
    seen = gate_of(store.path, stands, NOON + 2 * DAY)
    assert seen is not None
    assert seen.evidence["comparison"] == "with before"
    controls = seen.evidence["runs"]["control"]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
    assert 800 < controls < 900  # what the stage before had on the old map is in it
    assert seen.word == "hold"


def test_runs_on_another_model_than_the_one_that_is_replaced_are_no_history(store: Store):
    store.come(300, NOON - 10 * DAY, stage="older@1.1", weight=1.0)
    stands = last_stage(store, NOON)
    seen = gate_of(store.path, stands, NOON + timedelta(hours=1))
    assert seen is not None
    assert seen.evidence["runs"]["control"] == 0  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]


def test_of_a_long_history_every_so_manieth_run_is_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asked_of, "MOST_BEFORE", 100)
    for day in range(10):
        store.come(40, NOON - (10 - day) * DAY, stage="")
    kept, stands = Gates(store.path), last_stage(store, NOON)
    kept.look(stands, NOON + timedelta(hours=1))
    found = kept._kept["better"].gate
    assert (len(found.history), found.every) == (100, 4)


def test_a_rollout_that_is_at_no_stage_is_not_asked(store: Store):
    kept = Gates(store.path)
    kept.look(standing(store), NOON)
    assert kept.look(store.move("abort"), NOON) is None


def test_a_look_at_nothing_new_reads_no_run(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.come(50, NOON)
    kept, stands = Gates(store.path), standing(store)
    first = kept.look(stands, NOON + timedelta(hours=2))
    read: Sequence[str] = []
    monkeypatch.setattr(asked_of, "measures", lambda *_, **given: read.append(given) or ())  # pyright: ignore[reportAttributeAccessIssue]
    assert kept.look(stands, NOON + timedelta(hours=2)) == first
    assert read == []


def test_importing_it_does_not_import_numpy():
    import subprocess

    code = "import sys, trimtab.rollouts.gate; raise SystemExit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

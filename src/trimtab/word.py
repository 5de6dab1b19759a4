"""What people say to runs, from any process: an event for the run, and the fact that tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trimtab.core.errors import UsageError
from trimtab.core.ports import CANCEL
from trimtab.core.records import DecisionFact, EffectFact, ResumeFact, ScoreFact
from trimtab.core.values import Json
from trimtab.engine.handin import Event, hand_in, hand_in_event, hand_in_next, unknown
from trimtab.engine.store import load_state
from trimtab.journal.writer import SqliteFacts
from trimtab.policy.caps import read_models, read_raised
from trimtab.run.scope import APPROVAL, RESUME, SETTLE


def cancel_elsewhere(store: Path, run_id: str, by: str) -> bool:
    """Cancel a run by way of its store, from any process; False when it was asked before or the run has ended."""
    return hand_in_event(store, SqliteFacts(), Event(run_id, CANCEL, by))


def decide_elsewhere(store: Path, run_id: str, key: str, *, approved: bool, by: str) -> bool:
    """Decide a held call by way of its store, from any process; False when it was decided before or the run has ended."""
    return hand_in_event(store, SqliteFacts(), decision(run_id, key, approved=approved, by=by, at=datetime.now(UTC)))


def resume_elsewhere(
    store: Path,
    run_id: str,
    *,
    by: str,
    raised: Mapping[str, object] | None = None,
    models: Mapping[str, str] | None = None,
) -> bool:
    """Let a stalled run go on by way of its store, as `App.resume` does; `models` are full ids. False when it has ended."""
    now = datetime.now(UTC)
    resumption(
        run_id, 0, by=by, raised=raised, models=models, at=now
    )  # what is wrong is told before the file is touched
    return hand_in_next(
        store,
        SqliteFacts(),
        run_id,
        RESUME,
        lambda number: resumption(run_id, number, by=by, raised=raised, models=models, at=now),
    )


def settle_elsewhere(store: Path, effect: EffectFact, *, made: bool | None, result: Json = None, by: str) -> bool:
    """Say what came of a write, by way of its store; False when that was said before or the run has ended.

    `effect` is the newest line of its ledger. Where it is `unknown`, `made` says whether it was made, and `result` what it
    gave, as JSON; where it is `uncompensated`, None says that a person took it back by hand. Raises UsageError otherwise.
    """
    return hand_in_event(
        store, SqliteFacts(), settlement(effect, made=made, result=result, by=by, at=datetime.now(UTC))
    )


def note_elsewhere(store: Path, effect: EffectFact, *, by: str) -> bool:
    """Note that what an ended run left standing was seen and dealt with; False when that was noted before, or its run has not ended.

    `effect` is the newest line of its ledger: `committed`, or `reserved` for good. Raises UsageError for others.
    """
    if effect.state == "noted":
        return False
    if effect.state not in ("committed", "reserved"):
        what = f"{effect.role}.{effect.tool} {effect.key!r} is {effect.state}, not committed"
        raise UsageError(what, hint=f"trimtab effects show {effect.key}")
    facts = SqliteFacts()
    noted = replace(effect, step=f"noted/{effect.step}", state="noted", reason="", by=by, at=datetime.now(UTC))

    def write(connection: Any) -> bool:
        if load_state(connection, effect.run_id) != "ended":
            return False
        facts.write(connection, [noted])
        return True

    return hand_in(store, facts, write)


def score_elsewhere(store: Path, run_id: str, hits: Sequence[str], *, by: str) -> None:
    """Say what somebody found who looked at a run: what must not happen and did; nothing where `hits` is empty.

    Counted as the metric `must_not`; the newest word on a run counts. Raises UnknownRunError.
    """
    facts = SqliteFacts()

    def write(connection: Any) -> bool:
        if load_state(connection, run_id) is None:
            return False
        number = connection.execute("SELECT count(*) FROM score WHERE run_id = ?", (run_id,)).fetchone()[0]
        facts.write(connection, [ScoreFact(run_id, number, list(hits), by, datetime.now(UTC))])
        return True

    if not hand_in(store, facts, write):
        raise unknown(run_id)


def settlement(effect: EffectFact, *, made: bool | None, result: Json, by: str, at: datetime) -> Event:
    """A person said what came of a write; see `settle_elsewhere`."""
    expected = "uncompensated" if made is None else "unknown"
    if effect.state != expected:
        what = f"{effect.role}.{effect.tool} {effect.key!r} is {effect.state}, not {expected}"
        raise UsageError(what, hint=f"trimtab effects show {effect.key}")
    if made is None:
        # The line's step is one attempt at taking it back; what waits is the whole of them.
        name, state = SETTLE + effect.step.rpartition("/")[0], "compensated"
        payload: Json = {"by": by}
    else:
        name, state = SETTLE + effect.step, "committed" if made else "released"
        payload = {"made": made, "result": result, "by": by}
    fact = replace(effect, step=name, state=state, reason="", by=by, at=at)
    return Event(effect.run_id, name, payload, [fact])


def resumption(
    run_id: str,
    number: int,
    *,
    by: str,
    raised: Mapping[str, object] | None,
    models: Mapping[str, str] | None,
    at: datetime,
) -> Event:
    """A person let a stalled run go on, for the `number`-th time. Raises UsageError for caps and models there are not."""
    caps, full = read_raised(raised or {}), read_models(models or {})
    payload: Json = {"by": by, "raised": caps, "models": full}
    return Event(run_id, f"{RESUME}{number}", payload, [ResumeFact(run_id, number, by, caps, full, at)])


def decision(run_id: str, key: str, *, approved: bool, by: str, at: datetime) -> Event:
    """A person decided a held call."""
    payload: Json = {"approved": approved, "by": by}
    return Event(run_id, APPROVAL + key, payload, [DecisionFact(run_id, key, approved, by, at)])

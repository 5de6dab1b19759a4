"""What one replayed run came to, as a comparison needs it: read from the replay's journal and, where there is one, its world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from trimtab.core.errors import TrimtabError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.same_model import other_model
from trimtab.journal.lines import RunDetail
from trimtab.journal.reader import Journal
from trimtab.replay.requests import Asked
from trimtab.replay.stage import Scorer, Stage
from trimtab.replay.tape import UNANSWERABLE, called

# How `run.call` tells of a write that the end of the process interrupted, where the tool cannot look it up.
_CUT = "the process ended"


@dataclass(frozen=True, slots=True)
class Job:
    """One run that a replay makes: request, arm (0 control, 1 candidate) and repeat, which its key names."""

    request: int
    arm: int
    repeat: int
    key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How one run did.

    `success` None: nobody can say, because of the call that `missed` names. `cost` None: a price is not known. `mismatches` counts
    answers of another model than the pinned one.
    """

    job: Job
    run_id: str
    status: str
    success: bool | None
    missed: str
    notes: Sequence[str]
    cost: Decimal | None
    tokens: int
    latency_s: float
    mismatches: int
    simulated: bool


def look(journal: Journal, stage: Stage, scorer: Scorer | None, asked: Asked, job: Job, run_id: str) -> Seen:  # noqa: PLR0917 - one run, one place where it is read
    """Read one run that came to stand."""
    detail = journal.run(run_id)
    assert detail.outcome is not None
    missed, notes = _missed(detail), list[str]()
    success: bool | None = None
    if not missed and scorer is not None:
        success, notes = _scored(scorer, stage, asked, job, detail)
    if not missed and success is None:
        last = detail.outcome
        success = last.first_plan_faultless and last.intended_end and last.replans == 0
        notes = [] if success else [last.reason or _why(detail)]
    calls = journal.model_calls(run_id)
    return Seen(
        job=job,
        run_id=run_id,
        status=detail.line.status,
        success=success,
        missed=missed,
        notes=notes,
        cost=detail.line.cost,
        tokens=detail.line.tokens,
        latency_s=(min(o.at for o in detail.outcomes) - detail.line.accepted_at).total_seconds(),
        mismatches=sum(other_model(c.requested_model, c.response_model) for c in calls if c.response_model),
        simulated=detail.line.simulated,
    )


def _missed(detail: RunDetail) -> str:
    for call in detail.tool_calls:
        if call.error_class == UNANSWERABLE:
            return called(call.role, call.tool, call.arguments)
        if call.outcome == "unknown" and call.reason.startswith(_CUT):
            return f"{called(call.role, call.tool, call.arguments)}, which the replay's own end cut short"
    return ""


def _why(detail: RunDetail) -> str:
    faults = [str(f) for plan in detail.plans if isinstance(plan.faults, list) for f in plan.faults]
    return f"its first plan had faults: {faults[0]}" if faults else ""


def _scored(scorer: Scorer, stage: Stage, asked: Asked, job: Job, detail: RunDetail) -> tuple[bool | None, list[str]]:
    plan = next((p.plan for p in reversed(detail.plans) if not p.faults), None)
    try:
        said: Any = scorer(stage.folder(job.key), asked.given, detail.line.status, plan)
    except TrimtabError:
        raise
    except Exception as error:
        raise UsageError(
            f"the scorer failed on run {detail.line.run_id} of request {asked.id!r}: {type(error).__name__}: {error}",
            hint="it takes (folder, request, status, plan) and gives True or False, or that and a list of notes",
        ) from error
    well, notes = cast("tuple[object, Sequence[str]]", said) if isinstance(said, tuple) else (said, ())
    if well is not None and not isinstance(well, bool):
        raise UsageError(
            f"the scorer gave {well!r} for request {asked.id!r}", hint="it gives True, False or None, or that and notes"
        )
    return well, [str(note) for note in notes]


def stands(journal: Journal, run_id: str) -> bool:
    """Whether a run has come to stand, other than at the replay's own cap."""
    detail = journal.run(run_id)
    return detail.outcome is not None and not at_cap(detail.line.status, detail.outcome.reason)


def at_cap(status: str, reason: str) -> bool:
    """Whether a run waits because the replay may spend no more; caps a run are the policy's, and part of how it went."""
    return status == Status.PAUSED_BUDGET and "usd_per_day" in reason

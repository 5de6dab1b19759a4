"""How a run stands, with the fact that tells of it."""

from __future__ import annotations

from datetime import datetime

from trimtab.core.outcome import Status
from trimtab.core.ports import CANCEL, Clock, Ended, Parked, Steps
from trimtab.core.records import OutcomeFact
from trimtab.core.values import Json


def ended(
    steps: Steps,
    clock: Clock,
    status: Status,
    *,
    value: Json = None,
    error: str = "",
    reason: str = "",
    first: bool = False,
    replans: int = 0,
) -> Ended:
    """Say that the run is over."""
    fact = OutcomeFact(
        run_id=steps.run_id,
        number=0,
        final=True,
        status=status,
        value=value,
        error=error,
        reason=reason,
        first_plan_faultless=first,
        intended_end=status.intended,
        replans=replans,
        at=clock.now(),
    )
    return Ended(status, value, f"{error}: {reason}" if error else reason, [fact])


def parked(
    steps: Steps,
    clock: Clock,
    status: Status,
    events: frozenset[str] = frozenset({CANCEL}),
    *,
    until: datetime | None = None,
    error: str = "",
    reason: str = "",
    first: bool = False,
    replans: int = 0,
) -> Parked:
    """Say that the run waits for one of `events`, or for `until`; `error`: how it will end, where that is decided."""
    fact = OutcomeFact(
        run_id=steps.run_id,
        # One fact for each time it came to stand, not for each restart of the process while it stood.
        number=steps.count_events(""),
        final=False,
        status=status,
        value=None,
        error=error,
        reason=reason,
        first_plan_faultless=first,
        intended_end=status.intended,
        replans=replans,
        at=clock.now(),
    )
    return Parked(status, events, until, None, reason, [fact])

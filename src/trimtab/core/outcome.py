"""How a tool call, a subtask and a run can end: values, never exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeAlias

from typing_extensions import TypeIs, TypeVar

T_co = TypeVar("T_co", default=object, covariant=True)


class Status(StrEnum):
    """How a run stands when it stops working: it ended, or a person must act.

    In order of urgency. These may be left again: `awaiting_approval` (a call is held until somebody decides), `deferred` (it
    goes on at a known time), `paused_budget` (a cap is reached), `needs_credential` (one has expired), and `needs_you` while
    something of the run can still be decided.
    """

    COMPLETED = "completed"
    NEEDS_YOU = "needs_you"
    PAUSED_BUDGET = "paused_budget"
    NEEDS_CREDENTIAL = "needs_credential"
    REFUSED = "refused"
    ESCALATED = "escalated"
    AWAITING_APPROVAL = "awaiting_approval"
    CLARIFY = "clarify"
    AWAITING_CREW = "awaiting_crew"
    DEFERRED = "deferred"
    AWAITING_GUEST = "awaiting_guest"
    NO_ACTION = "no_action"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def intended(self) -> bool:
        """Whether the run stands where it was meant to; failed, cancelled, and stopped by what a plan does not speak of are not."""
        return self not in _UNINTENDED

    @property
    def stalls(self) -> bool:
        """Whether trimtab itself stopped the run, whatever its workflow makes of the rest."""
        return self in (Status.NEEDS_YOU, Status.PAUSED_BUDGET, Status.NEEDS_CREDENTIAL)


_UNINTENDED = frozenset(
    {Status.FAILED, Status.CANCELLED, Status.NEEDS_YOU, Status.PAUSED_BUDGET, Status.NEEDS_CREDENTIAL}
)


@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """It worked."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Handoff(Generic[T_co]):
    """It worked as far as a machine may go: somebody else acts next.

    `stops` says whether what needs this subtask must wait (a decision is missing) or may go on (a question is asked).
    """

    status: Status
    value: T_co
    reason: str = ""
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later: tried again with back-off, not before `after`."""

    reason: str
    after: timedelta | None = None
    error_class: str = "transient"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The world says no (slot taken, card declined): shown to the model, which may do better."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot work; trying again is no use."""

    reason: str
    error_class: str = "permanent"


Outcome: TypeAlias = Done[T_co] | Handoff[T_co] | Retry | Rejected | Failed


def is_outcome(given: object) -> TypeIs[Outcome[object]]:
    """Tell an outcome from a plain value."""
    return isinstance(given, Done | Handoff | Retry | Rejected | Failed)

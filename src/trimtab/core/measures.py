"""What is known of one run when runs are compared: the unit of every statistic, put together from its facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trimtab.core.outcome import Status


@dataclass(frozen=True, slots=True)
class Assigned:
    """The arm of one experiment that a run was put into when it was accepted, and how likely that was (0 to 1).

    `weight` was the chance of the treatment then; in a factorial experiment, of each factor for itself.
    """

    experiment: str
    arm: str
    propensity: float
    weight: float


@dataclass(frozen=True, slots=True)
class RunMeasure:
    """One run as it counts.

    status:    how it stands (None: it has not stood still once).
    success:   decomposition success: its first plan had no faults, it reached its intended end, and nothing was replanned.
    settled:   when it first stood still, waiting for somebody or ended (None: not yet); latency is counted to there.
    cost:      dollars of its model calls (None: the price of one is not known).
    tokens:    all kinds, of all its model calls.
    retries:   attempts beyond the first, of model and tool calls.
    cascade:   roles whose failures blocked other subtasks, one for each such failure.
    asks:      how often a person was asked: held calls, and subtasks that stopped for somebody.
    mismatches: (pinned model, model of the response) of answers that came from another model.
    roles:     full model id by role, as pinned.
    must_not:  how many things that must not happen did, as somebody found (None: nobody has looked).
    """

    run_id: str
    key: str
    workflow: str
    environment: str
    accepted: datetime
    settled: datetime | None
    status: Status | None
    final: bool
    success: bool
    cost: Decimal | None
    tokens: int
    retries: int
    cascade: tuple[str, ...]
    asks: int
    mismatches: tuple[tuple[str, str], ...]
    roles: Mapping[str, str]
    assigned: tuple[Assigned, ...]
    simulated: bool
    must_not: int | None = None

    @property
    def latency_s(self) -> float | None:
        """Seconds from its acceptance until it first stood still."""
        return None if self.settled is None else (self.settled - self.accepted).total_seconds()

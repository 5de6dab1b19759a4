"""When to try again, and how often: one table of limits, full-jitter back-off."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_ATTEMPTS: Mapping[str, int] = {"rate_limited": 10, "overloaded": 10, "timeout": 3}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run goes on trying. `attempts` maps an error class to its limit; others have `attempts_default`.

    `hold_in_memory`: a wait longer than this leaves memory and is taken up again by the engine's timer.
    `turns`: model calls of one talk over a subtask that were answered; `same_call`: how often the same tool is called with the
    same arguments in it. `subtasks`: the largest plan that is read at all; `replans`: how often another plan is asked for.
    """

    attempts: Mapping[str, int] = field(default_factory=lambda: _ATTEMPTS)
    attempts_default: int = 6
    malformed: int = 2
    plan_corrections: int = 2
    turns: int = 8
    same_call: int = 2
    subtasks: int = 60
    replans: int = 1
    backoff: timedelta = timedelta(milliseconds=500)
    backoff_most: timedelta = timedelta(seconds=30)
    retry_after_most: timedelta = timedelta(hours=6)
    hold_in_memory: timedelta = timedelta(seconds=60)

    def again(self, error_class: str, attempt: int) -> bool:
        """Whether attempt number `attempt` (from 1), which failed with this class, may be followed by another."""
        return attempt < self.attempts.get(error_class, self.attempts_default)

    def retry_at(self, now: datetime, error_class: str, attempt: int, after: timedelta | None = None) -> str | None:
        """When attempt number `attempt` is followed by another, as it is journaled; None: not at all."""
        return (now + self.delay(attempt, after)).isoformat() if self.again(error_class, attempt) else None

    def delay(self, attempt: int, after: timedelta | None) -> timedelta:
        """Time to wait after attempt number `attempt`: uniform in (0, backoff * 2^(attempt-1)], but not under `after`.

        Full jitter: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        ceiling = min(self.backoff * 2 ** min(attempt - 1, 30), self.backoff_most)
        jitter = ceiling * random.random()  # noqa: S311 - spreading load needs no secrecy
        return jitter if after is None else max(jitter, min(after, self.retry_after_most))

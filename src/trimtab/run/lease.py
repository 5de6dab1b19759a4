"""Credentials as leases: a role whose credential is not valid starts nothing; its work waits, and goes on by itself."""

from __future__ import annotations

from datetime import timedelta

from trimtab.core.outcome import Status
from trimtab.core.ports import Worked
from trimtab.run.ask import Later
from trimtab.run.route import Assignment
from trimtab.run.scope import Scope

LOOK_AGAIN = timedelta(minutes=1)


async def lapsed(scope: Scope, job: Assignment, step: str) -> Later | None:
    """Say that work must wait because a credential of its role is not valid; None: it may begin.

    Asked anew each time until it was valid once: that is journaled as `step`, so that what was done is not held up later.
    """
    needed = job.specialist.needs_credential
    if not needed or scope.steps.known(step) is not None:
        return None
    now = scope.means.clock.now()
    faults = [(name, await scope.means.credentials[name].fault(now)) for name in needed]
    wrong = "; ".join(f"credential {name!r} {fault}" for name, fault in faults if fault)
    if wrong:
        return Later(now + LOOK_AGAIN, f"{job.specialist.role}: {wrong}", Status.NEEDS_CREDENTIAL)
    await scope.steps.step(step, lambda: _valid(needed))
    return None


async def _valid(names: tuple[str, ...]) -> Worked:
    return Worked(list(names))

"""Measured effects of changing roles, made ready to be added up: what an experiment says of a change from the map as it is now.

An effect counts where the role stands at the model that was control, or, turned round, at the one that was treatment. What was not
measured, or not on enough runs for an interval, is not known: it is never taken to be nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from trimtab.core.measures import RunMeasure
from trimtab.learn.intervals import Interval
from trimtab.learn.measure import Measured, Readout, treated_in
from trimtab.policy.spec import DEFAULT_ROLE, RoleSpec

SUCCESS = "decomposition_success"


@dataclass(frozen=True, slots=True)
class Effect:
    """What changing roles from some models to others does to the share of runs that succeed, and to the dollars of a run.

    before, after: full model id by role. `dollars` None: not known.
    """

    experiment: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    success: Interval
    dollars: Interval | None

    def turned(self) -> Effect:
        """Give the effect of the way back."""
        return Effect(
            self.experiment, self.after, self.before, _minus(self.success), self.dollars and _minus(self.dollars)
        )

    def from_(self, current: Mapping[str, str]) -> Effect | None:
        """Give the effect as seen from a role map; None where the map is at neither end of it."""
        for effect in (self, self.turned()):
            if all(current.get(role) == model for role, model in effect.before.items()):
                return effect
        return None


@dataclass(frozen=True, slots=True)
class Read:
    """What an experiment says: the effects that can be used, and why others cannot."""

    effects: Sequence[Effect]
    notes: Sequence[str]


def read(measured: Measured, runs: Iterable[RunMeasure], roles: Collection[str]) -> Read:
    """Take the effects out of an experiment. `runs` are its runs, `roles` those that a change of every role changes."""
    pinned, effects, notes = list(runs), list[Effect](), list[str]()
    for readout in measured.readouts:
        name = f"experiment {measured.spec.name!r}" + (f", {readout.role}" if readout.role else "")
        try:
            effects.append(_effect(measured, readout, pinned, roles))
        except _NotUsableError as why:
            notes.append(f"{name}: {why}")
    return Read(effects, notes)


class _NotUsableError(Exception):
    """Why a readout has no effect that could be added to others."""


def _effect(measured: Measured, readout: Readout, runs: Sequence[RunMeasure], roles: Collection[str]) -> Effect:
    spec = measured.spec
    if readout.verdict.alarms:
        raise _NotUsableError(f"not used while an alarm rings: {readout.verdict.alarms[0]}")
    success = next(row.effect for row in readout.rows if row.metric.name == SUCCESS)
    if success is None or not (isfinite(success.low) and isfinite(success.high)):
        raise _NotUsableError(f"{sum(readout.runs):,} runs are too few for an interval")
    if spec.factors:
        changes: Mapping[str, RoleSpec] = {readout.role: spec.factors[readout.role]}
    else:
        changes = next(entries for arm, entries in spec.arms.items() if arm != spec.control)
        if spec.arms[spec.control]:
            raise _NotUsableError("its control is itself a change of what the policy says")
    after = _models(changes, roles)
    is_treated = treated_in(spec, readout.role)
    arms = {run.run_id: arm.arm for run in runs for arm in run.assigned if arm.experiment == spec.name}
    control = [run for run in runs if run.run_id in arms and not is_treated(arms[run.run_id])]
    before = {role: _pinned(role, control) for role in after}
    moved = {role for role in after if before[role] != after[role]}
    if not moved:
        raise _NotUsableError("it changes no model")
    return Effect(
        spec.name,
        {role: before[role] for role in sorted(moved)},
        {role: after[role] for role in sorted(moved)},
        success,
        readout.dollars,
    )


def _models(changes: Mapping[str, RoleSpec], roles: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, entry in changes.items():
        other = [name for name in ("effort", "prompt", "max_tokens", "escalate") if getattr(entry, name)]
        if other or not entry.model:
            raise _NotUsableError(f"it changes {' and '.join(other) or 'nothing'} of {role}, not only its model")
        named = roles if role == DEFAULT_ROLE else [role]
        found |= {each: entry.model for each in named if role != DEFAULT_ROLE or each not in changes}
    return found


def _pinned(role: str, control: Sequence[RunMeasure]) -> str:
    models = Counter(run.roles[role] for run in control if role in run.roles)
    if len(models) != 1:
        said = ", ".join(sorted(models)) or "no model"
        raise _NotUsableError(f"{role} had {said} in its control runs: the effect is not of one change")
    return next(iter(models))


def _minus(interval: Interval) -> Interval:
    return Interval(-interval.estimate, -interval.high, -interval.low, interval.level)

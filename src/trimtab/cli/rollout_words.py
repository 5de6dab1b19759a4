"""Rollouts in words: changes, stages, shares, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trimtab.cli.experiment_table import changes_in_words
from trimtab.core.moves import RolloutFact
from trimtab.learn.rollout import from_json
from trimtab.policy.rollout_kept import spec_of
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec

if TYPE_CHECKING:
    from trimtab.learn.gate_asked import Asked

PRODUCTION = "production"
PAST = {
    "start": "started",
    "entered": "in force on all its hosts",
    "pass": "passed",
    "promote": "promoted",
    "pause": "paused",
    "resume": "resumed",
    "fail": "failed",
    "abort": "aborted",
    "undo": "undone",
    "adopted": "adopted by the policy file",
}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def plain(model: str | None) -> str:
    """Write a model without its provider, as everybody calls it."""
    return "none" if model is None else model.partition(":")[2] or model


def answered_text(answered: Mapping[str, str]) -> str:
    """Say which model answered; where roles differ, of each."""
    if len(set(answered.values())) <= 1:
        return next(iter(answered.values()), "")
    return ", ".join(f"{role} {model}" for role, model in sorted(answered.items()))


def share(weight: float) -> str:
    """Write a share of runs."""
    return f"{weight * 100:.4g} %"


def span(time: timedelta) -> str:
    """Write a time in its two largest units, as a policy does: `1d 6h`, `90s` is `1m 30s`."""
    left, told = max(round(time.total_seconds()), 0), list[str]()
    for unit, seconds in _UNITS:
        count, rest = divmod(left, seconds)
        if count or told:
            told.append(f"{count}{unit}")
            left = rest
        if len(told) == 2:  # noqa: PLR2004 - two units say enough
            break
    return " ".join(part for part in told if not part.startswith("0")) or "0s"


def clock(at: datetime, now: datetime) -> str:
    """Write a time, without its day where that is today."""
    form = "%H:%M:%S" if at.astimezone(UTC).date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M"
    return f"{at.astimezone(UTC):{form}} UTC"


def stage_text(number: int, spec: StageSpec) -> str:
    """Name a stage as people do; `number` is from 0."""
    return f"stage {number + 1}, {spec.environment} {share(spec.weight)}"


def besides_models(spec: RolloutSpec) -> str:
    """Say what a rollout changes besides models; empty: nothing."""
    more = {role: replace(entry, model=None) for role, entry in spec.set.items()}
    changed = {
        role: entry
        for role, entry in more.items()
        if entry.max_tokens or entry.effort or entry.escalate or entry.prompt
    }
    return changes_in_words(changed) if changed else ""


def change_lines(
    was: Mapping[str, Mapping[str, str | None]], to: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str, str, str]]:
    """Give role, environments, old and new model, a line for each role; environments that have the same change share one."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for environment, models in to.items():
        for role, model in models.items():
            lines.setdefault((role, plain(was[environment][role]), plain(model)), []).append(environment)
    return [(role, ", ".join(there), old, new) for (role, old, new), there in lines.items()]


def moved(fact: RolloutFact) -> str:
    """Say in a sentence what a move came to."""
    spec, rollout = spec_of(fact.name, fact.declared), from_json(fact.stages)
    at = rollout.at
    here = stage_text(at, spec.stages[at]) if at is not None else ""
    by, why = f" by {fact.by}", f": {fact.reason}" if fact.reason else ""
    match fact.event:
        case "start":
            return f"started{by}{why}; {here} is in force for new runs"
        case "entered":
            return f"holding: {here}, for {span(spec.stages[at or 0].hold)}"
        case "pass" | "promote":
            done = (at if at is not None else len(spec.stages)) - 1
            head = (
                f"{'passed' if fact.event == 'pass' else f'promoted{by}'}: {stage_text(done, spec.stages[done])}{why}"
            )
            return f"{head}; {here} is in force for new runs" if here else f"{head}; that was the last stage"
        case "pause" | "resume":
            return f"{PAST[fact.event]}{by}{why}; {here}"
        case "fail" | "abort" | "undo":
            return f"{PAST[fact.event]}{'' if fact.event == 'fail' else by}{why}; new runs get the old map"
        case _:
            return f"{PAST.get(fact.event, fact.event)}{by}{why}"


def limits(spec: RolloutSpec) -> str:
    """Say what the gate asks of the runs of a stage: of the goal first, then of the guardrails."""
    from trimtab.learn.gate_asked import asked

    return ", ".join(
        f"{one.metric.name} {_limit(one)}{'' if one.said else ' (by default)'}{' (the goal)' if one.is_goal else ''}"
        for one in asked(spec)
    )


def _limit(one: Asked) -> str:
    amount, unit = one.shown.amount, one.shown.unit
    if unit == "%":
        return f"{amount * 100:+.4g} %"
    if unit == "s":
        return f"{amount:+.4g} s"
    return f"{amount * 100:+.4g} points" if one.metric.kind == "share" else f"{amount:+.4g}"

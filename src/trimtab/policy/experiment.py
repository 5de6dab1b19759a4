"""What `[experiments]` says: arms, limits and times, checked against the rest of the file, and made typed values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any, Literal, TypeAlias

from trimtab.core.values import Json
from trimtab.policy.problems import KeyPath, Problem, unknown
from trimtab.policy.spec import DEFAULT_ROLE, METRICS, MOST_FACTORS, ExperimentSpec, RoleSpec

Unit: TypeAlias = Literal["%", "s", ""]
ReadRoles: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, RoleSpec]]
ModelId: TypeAlias = Callable[[str], str]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LIMIT = re.compile(r"([+-][\d.]+)(%|ms|s)?")
_ARMS = 2
_FACTORS_HINT = 'factors = { orchestrator = "sonnet", payment = "sonnet" } varies each role for itself'


@dataclass(frozen=True, slots=True)
class Limit:
    """What a guardrail allows: a change relative to control (`%`: 0.6 is +60 %), in seconds, or in the metric's own unit."""

    amount: float
    unit: Unit


def read_limit(text: str) -> Limit:
    """Read a limit that the policy's reader let pass."""
    match = _LIMIT.fullmatch(text)
    assert match is not None
    amount, unit = Decimal(match[1]), match[2]
    match unit:
        case "%":
            return Limit(float(amount / 100), "%")
        case "ms":
            return Limit(float(amount / 1000), "s")
        case "s":
            return Limit(float(amount), "s")
        case _:
            return Limit(float(amount), "")


def limit_units(metric: str) -> tuple[Unit, ...]:
    """Give the units that a limit on a metric may have. A `+0` needs none."""
    if metric.startswith("latency"):
        return "%", "s"
    return ("%",) if metric.endswith("per_success") else ("%", "")


def problems(kept: Mapping[str, Any], content: Mapping[str, Any], environments: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with the experiments of `kept`; what `content` has besides was found wrong already."""
    named: Mapping[str, Mapping[str, Any]] = kept.get("experiments", {})
    for name, table in named.items():
        path = ("experiments", name)
        wrong = set(content["experiments"][name]) - set(table)
        yield from _needed(path, table, environments, wrong)
        yield from () if wrong & {"arms", "factors", "control"} else _arms(path, table)
        yield from unfit_limits(path, table)
        goal: str = table.get("goal", "")
        if goal in table.get("guardrails", {}):
            yield Problem((*path, "guardrails", goal), "it is the goal already", "take it out of the guardrails")
    for first, second in combinations(named, 2):
        yield from _overlap(named, first, second)


def _needed(
    path: KeyPath, table: Mapping[str, Any], environments: Collection[str], wrong: Collection[str]
) -> Iterator[Problem]:
    if "environment" not in {*table, *wrong}:
        yield Problem(path, "expected an 'environment'", 'add environment = "staging": where its runs are accepted')
    elif "environment" in table and table["environment"] not in environments:
        yield Problem((*path, "environment"), *unknown("environment", table["environment"], environments))
    if "goal" not in {*table, *wrong}:
        yield Problem(path, "expected a 'goal'", f"add goal = {METRICS[0]!r}, or one of {', '.join(METRICS[1:])}")


def _arms(path: KeyPath, table: Mapping[str, Any]) -> Iterator[Problem]:
    arms, factors = table.get("arms"), table.get("factors")
    if (arms is None) == (factors is None):
        said = "'arms' and 'factors' exclude each other" if arms is not None else "expected 'arms' or 'factors'"
        yield Problem(path, said, 'arms = { control = {}, treatment = { orchestrator = "sonnet" } }')
    if factors is not None:
        if not 1 <= len(factors) <= MOST_FACTORS:
            yield Problem((*path, "factors"), f"expected 1 to {MOST_FACTORS} roles, not {len(factors)}", _FACTORS_HINT)
        if DEFAULT_ROLE in factors:
            yield Problem((*path, "factors", DEFAULT_ROLE), "a factor is one role, not every role", "name the roles")
        if "control" in table:
            yield Problem((*path, "control"), "control of 'factors' is what the policy says anyway", "take it out")
    if arms is not None:
        control = table.get("control", "control")
        if len(arms) != _ARMS:
            hint = "compare more than two by 'factors', or one after another"
            yield Problem((*path, "arms"), f"expected exactly two arms, not {len(arms)}", hint)
        if control not in arms:
            hint = f"name the arm that is as before: control = {min(arms)!r}" if arms else ""
            yield Problem((*path, "control") if "control" in table else path, *_no_control(control, arms, hint))


def _no_control(control: str, arms: Mapping[str, Any], hint: str) -> tuple[str, str]:
    text, meant = unknown("arm", control, arms) if arms else (f"no arm is called {control!r}", "")
    return text, meant or hint


def unfit_limits(path: KeyPath, table: Mapping[str, Any]) -> Iterator[Problem]:
    """Find the limits of `guardrails` whose unit their metric has not."""
    for metric, text in table.get("guardrails", {}).items():
        limit, units = read_limit(text), limit_units(metric)
        if limit.amount and limit.unit not in units:
            expected = " or ".join({"%": '"+5%"', "s": '"+1.5s"', "": '"+0.05"'}[unit] for unit in units)
            yield Problem(
                (*path, "guardrails", metric), f"{text!r} does not fit this metric, expected such as {expected}"
            )


def _overlap(named: Mapping[str, Mapping[str, Any]], first: str, second: str) -> Iterator[Problem]:
    one, other = named[first], named[second]
    if one.get("environment") != other.get("environment"):
        return
    mine, theirs = _roles(one), _roles(other)
    shared = mine & theirs or (mine | theirs if DEFAULT_ROLE in mine | theirs and mine and theirs else set[str]())
    if shared:
        role = min(shared - {DEFAULT_ROLE} or shared)
        yield Problem(
            ("experiments", second),
            f"changes role {role!r} in environment {one.get('environment')!r}, as experiment {first!r} does",
            "make them one experiment with 'factors', or take the finished one out: what it measured stays in the store",
        )


def _roles(table: Mapping[str, Any]) -> set[str]:
    return {*table.get("factors", {}), *(role for changes in table.get("arms", {}).values() for role in changes)}


def specs(kept: Mapping[str, Any], roles: ReadRoles) -> dict[str, ExperimentSpec]:
    """Make typed values; `roles` reads a table of role entries."""
    return {name: _spec(name, table, roles) for name, table in kept.get("experiments", {}).items()}


def _spec(name: str, table: Mapping[str, Any], roles: ReadRoles) -> ExperimentSpec:
    said: dict[str, Any] = {key: table[key] for key in ("environment", "goal", "control", "guardrails") if key in table}
    said |= {key: duration(table[key]) for key in ("deadline", "horizon") if key in table}
    if "weight" in table:
        said["weight"] = float(Decimal(table["weight"]) / 100)
    arms = {arm: roles(changes) for arm, changes in table.get("arms", {}).items()}
    return ExperimentSpec(name, arms=arms, factors=roles(table.get("factors", {})), **said)


def duration(text: str) -> timedelta:
    """Read a time such as `90s`, `30m`, `12h` or `14d`."""
    return timedelta(seconds=float(Decimal(text[:-1]) * _SECONDS[text[-1]]))


def declared(spec: ExperimentSpec, model_id: ModelId) -> dict[str, Json]:
    """Write down what an experiment is, with full model ids: what is kept when it is started, and must not change after.

    Its weight is not part of it: growing it is what a ramp is.
    """
    return {
        "environment": spec.environment,
        "goal": spec.goal,
        "control": spec.control,
        "arms": {arm: kept_changes(changes, model_id) for arm, changes in sorted(spec.arms.items())},
        "factors": kept_changes(spec.factors, model_id),
        "guardrails": dict(sorted(spec.guardrails.items())),
        "deadline_s": spec.deadline.total_seconds(),
        "horizon_s": None if spec.horizon is None else spec.horizon.total_seconds(),
    }


def kept_changes(changes: Mapping[str, RoleSpec], model_id: ModelId) -> dict[str, Json]:
    """Write down a change to the role map, with full model ids."""
    return {role: _entry(entry, model_id) for role, entry in sorted(changes.items())}


def _entry(entry: RoleSpec, model_id: ModelId) -> Json:
    said: dict[str, Json] = {
        "model": entry.model and model_id(entry.model),
        "max_tokens": entry.max_tokens,
        "effort": entry.effort,
        "escalate": entry.escalate and [model_id(model) for model in entry.escalate],
        "prompt": entry.prompt,
        "instructions": entry.instructions,
    }
    return {key: value for key, value in said.items() if value is not None}


def spec_of(name: str, kept: Json, weight: float) -> ExperimentSpec:
    """Read back what `declared` wrote."""
    told: Any = kept
    return ExperimentSpec(
        name=name,
        environment=told["environment"],
        goal=told["goal"],
        control=told["control"],
        arms={arm: read_changes(changes) for arm, changes in told["arms"].items()},
        factors=read_changes(told["factors"]),
        weight=weight,
        guardrails=told["guardrails"],
        deadline=timedelta(seconds=told["deadline_s"]),
        horizon=None if told["horizon_s"] is None else timedelta(seconds=told["horizon_s"]),
    )


def read_changes(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, RoleSpec]:
    """Read back what `kept_changes` wrote."""

    def entry(said: Mapping[str, Any]) -> RoleSpec:
        told = dict(said)
        if "escalate" in told:
            told["escalate"] = tuple(told["escalate"])
        return RoleSpec(**told)

    return {role: entry(said) for role, said in changes.items()}

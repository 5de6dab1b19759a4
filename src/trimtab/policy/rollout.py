"""What `[rollouts]` says: a change, stages and limits, checked against the rest of the file, and made typed values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from trimtab.policy.experiment import ReadRoles, duration, kept_changes, read_limit, unfit_limits
from trimtab.policy.problems import KeyPath, Problem, unknown
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
from trimtab.policy.spec import DEFAULT_ROLE, MORE_IS_BETTER, TERMINAL_ROLE, Policy

_SET_HINT = 'add set = { orchestrator = "sonnet" }: role = model, or a table as under [roles]'
_STAGES_HINT = 'add stages = [ { environment = "staging", weight = 100, hold = "1d" } ]'
_EXPERIMENTS = "experiments."
_ALL = 100  # percent


def problems(kept: Mapping[str, Any], content: Mapping[str, Any], environments: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with the rollouts of `kept`; what `content` has besides was found wrong already."""
    hosts = {table.get("environment", group) for group, table in kept.get("hosts", {}).items()}
    for name, table in kept.get("rollouts", {}).items():
        path, said = ("rollouts", name), content["rollouts"][name]
        if not said.get("set", {}):
            there = "set" in said
            text = "an empty table changes nothing" if there else "expected 'set', the change that is rolled out"
            yield Problem((*path, "set") if there else path, text, _SET_HINT)
        if "needs" in table:
            yield from _needs((*path, "needs"), table["needs"].removeprefix(_EXPERIMENTS), content)
        yield from unfit_limits(path, table)
        yield from _wrong_way(path, table)
        if "stages" not in said:
            yield Problem(path, "expected 'stages'", _STAGES_HINT)
        yield from _stages(path, table, said, environments, hosts)
        yield from _order(path, table, said)


def _needs(path: KeyPath, name: str, content: Mapping[str, Any]) -> Iterator[Problem]:
    experiments = content.get("experiments")
    if not isinstance(experiments, dict) or not experiments:
        hint = f"declare it: [experiments.{name}], or take 'needs' out"
        yield Problem(path, f"no experiment is declared, so none is called {name!r}", hint)
    elif name not in experiments:
        yield Problem(path, *unknown("experiment", name, experiments))  # pyright: ignore[reportUnknownArgumentType]


def _wrong_way(path: KeyPath, table: Mapping[str, Any]) -> Iterator[Problem]:
    # A limit is what may be lost. The other way round it asks for a gain, which no runs of an equal model could ever show.
    for metric, text in table.get("guardrails", {}).items():
        amount, more_is_better = read_limit(text).amount, metric in MORE_IS_BETTER
        if amount and (amount > 0) == more_is_better:
            better, sign = ("more", "-") if more_is_better else ("less", "+")
            hint = f"{sign}{text[1:]} allows it to be so much worse"
            yield Problem(
                (*path, "guardrails", metric),
                f"{better} is better here, expected a limit of '{sign}...', not {text!r}",
                hint,
            )


def _stages(
    path: KeyPath,
    table: Mapping[str, Any],
    said: Mapping[str, Any],
    environments: Collection[str],
    hosts: Collection[str],
) -> Iterator[Problem]:
    """Find what is wrong with single stages; `hosts` are the environments that have some."""
    for place, stage in enumerate(table.get("stages", ()), start=1):
        if stage is None:
            continue
        at, environment = (*path, "stages", place), stage.get("environment")
        if "environment" not in said["stages"][place - 1]:
            yield Problem(at, "expected an 'environment'", 'add environment = "staging": where its runs are accepted')
        elif environment is not None and environment not in environments:
            yield Problem((*at, "environment"), *unknown("environment", environment, environments))
        elif environment is not None and stage.get("gate") == "health" and environment not in hosts:
            hint = f"declare them under [hosts], or take the gate out: the runs of {environment!r} decide then"
            yield Problem(
                (*at, "gate"), f"environment {environment!r} has no hosts, so there is no health to see", hint
            )


def _order(path: KeyPath, table: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Problem]:
    """Find stages that take something back: a smaller weight, or an environment that was left already."""
    there, weight, left = None, Decimal(0), set[str]()
    for place, stage in enumerate(table.get("stages", ()), start=1):
        if (
            stage is None
            or "environment" not in stage
            or ("weight" in said["stages"][place - 1]) != ("weight" in stage)
        ):
            continue
        at, environment, share = (*path, "stages", place), stage["environment"], Decimal(stage.get("weight", _ALL))
        if environment in left:
            hint = f"put all stages in {environment!r} one behind another"
            yield Problem((*at, "environment"), f"{environment!r} comes back after {there!r}", hint)
        elif environment == there and share <= weight:
            text = f"expected more than {weight} %, what the stage before it has in {environment!r}, not {share} %"
            yield Problem((*at, "weight"), text, "the weights of one environment grow from stage to stage")
        if there is not None and environment != there:
            left.add(there)
        there, weight = environment, share


def specs(kept: Mapping[str, Any], roles: ReadRoles) -> dict[str, RolloutSpec]:
    """Make typed values; `roles` reads a table of role entries."""
    return {name: _spec(name, table, roles) for name, table in kept.get("rollouts", {}).items()}


def _spec(name: str, table: Mapping[str, Any], roles: ReadRoles) -> RolloutSpec:
    said: dict[str, Any] = {key: table[key] for key in ("goal", "guardrails") if key in table}
    if "needs" in table:
        said["needs"] = table["needs"].removeprefix(_EXPERIMENTS)
    if "deadline" in table:
        said["deadline"] = duration(table["deadline"])
    return RolloutSpec(name, roles(table["set"]), tuple(map(_stage, table["stages"])), **said)


def _stage(table: Mapping[str, Any]) -> StageSpec:
    said: dict[str, Any] = {key: table[key] for key in ("environment", "gate") if key in table}
    if "weight" in table:
        said["weight"] = float(Decimal(table["weight"]) / _ALL)
    if "hold" in table:
        said["hold"] = duration(table["hold"])
    return StageSpec(**said)


def overlapping(policy: Policy, name: str) -> list[str]:
    """Give the other rollouts of the file that change a role which this one changes, in an environment of its stages.

    They may stand in one file, but not be under way at once: neither could be judged, and the one taken back would leave the other.
    """
    mine = policy.rollouts[name]
    return [other for other, spec in sorted(policy.rollouts.items()) if other != name and overlap(mine, spec)]


def overlap(one: RolloutSpec, other: RolloutSpec) -> bool:
    """Whether two rollouts change the same role in the same environment."""
    if {stage.environment for stage in one.stages}.isdisjoint(stage.environment for stage in other.stages):
        return False
    return shared_role(one.set, other.set) is not None


def shared_role(mine: Collection[str], theirs: Collection[str]) -> str | None:
    """Give a role that two changes of the role map have in common (None: there is none); the default is every role."""
    if DEFAULT_ROLE in mine or DEFAULT_ROLE in theirs:
        return min({*mine, *theirs} - {DEFAULT_ROLE}, default=DEFAULT_ROLE) if mine and theirs else None
    return min(set(mine) & set(theirs), default=None)


def remarks(policy: Policy) -> list[str]:
    """Say what of the rollouts is allowed and likely not meant."""
    return [said for spec in policy.rollouts.values() for said in (*_not_tried(policy, spec), *_without_runs(spec))]


def _not_tried(policy: Policy, spec: RolloutSpec) -> Iterator[str]:
    if spec.needs is None:
        return
    experiment = policy.experiments[spec.needs]
    arms = [changes for arm, changes in experiment.arms.items() if arm != experiment.control]
    tried = kept_changes(
        {role: entry for arm in (*arms, experiment.factors) for role, entry in arm.items()}, policy.model_id
    )
    for role, entry in kept_changes(spec.set, policy.model_id).items():
        if tried.get(role) != entry:
            yield f"rollout {spec.name!r} needs experiment {spec.needs!r}, which does not try what it sets for {role!r}"


def _without_runs(spec: RolloutSpec) -> Iterator[str]:
    if set(spec.set) == {TERMINAL_ROLE} and any(stage.gate == "runs" for stage in spec.stages):
        yield (
            f'rollout {spec.name!r} changes the terminal, which makes no runs here: a stage without gate = "health" '
            "holds until somebody promotes it"
        )

"""A rollout as it stands now, with all that a person or a pipeline asks of it: one value, shown as a tree, a line or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trimtab.cli.rollout_edited import edited_since
from trimtab.core.errors import PolicyError
from trimtab.core.moves import HostFact
from trimtab.core.values import dumps
from trimtab.journal import rollouts
from trimtab.journal.reader import Journal
from trimtab.learn.rollout import ACTIVE, ENDED, Stage, State, new
from trimtab.policy.resolve import is_said
from trimtab.policy.rollout_kept import declared, stage_name
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
from trimtab.rollouts.fleet import hosts_of
from trimtab.rollouts.fleet_lines import Place
from trimtab.rollouts.gate import Gates
from trimtab.rollouts.left import Left, left
from trimtab.rollouts.moves import Standing, change_of, declared_in, newest, read

if TYPE_CHECKING:
    from trimtab.learn.gate import Gated
    from trimtab.policy.spec import Policy

BAD_STEPS = frozenset({"failed", "unknown"})


@dataclass(frozen=True, slots=True)
class SeenHost:
    """A host of a stage, its group, and the newest line of what this attempt did to it (None: nothing yet).

    `trouble`: why nothing could be done to it.
    """

    host: str
    group: str
    line: HostFact | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SeenStage:
    """One stage. `treated` and `control` count its runs; `gated` is what its gate says (None: it is not asked)."""

    number: int
    spec: StageSpec
    stage: Stage
    treated: int
    control: int
    gated: Gated | None
    hosts: tuple[SeenHost, ...]

    def left(self, now: datetime) -> timedelta | None:
        """Say how much of its hold is left; None: it has not begun, or is over for good."""
        if self.stage.state not in ACTIVE or self.stage.held is None:
            return None
        return max(self.stage.held + self.spec.hold - now, timedelta(0))


@dataclass(frozen=True, slots=True)
class Seen:
    """A rollout. `was` and `to`: environment -> role -> full model id. `wrong` is what keeps it from being healthy."""

    name: str
    spec: RolloutSpec
    standing: Standing | None
    was: Mapping[str, Mapping[str, str | None]]
    to: Mapping[str, Mapping[str, str]]
    stages: tuple[SeenStage, ...]
    wrong: tuple[str, ...]
    notes: tuple[str, ...]
    next: tuple[str, ...]

    @property
    def state(self) -> State:
        """How it stands; `waiting` where it was never started."""
        return self.standing.rollout.state if self.standing else "waiting"

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.wrong


def names(store: Path, policy: Policy) -> list[str]:
    """Name every rollout that the policy declares or the store knows."""
    return sorted({*policy.rollouts, *(fact.name for fact in newest(store))})


def look(store: Path, policy: Policy, name: str, now: datetime, gates: Gates | None = None) -> Seen:
    """Look at one rollout, as the policy declares it or as it was started; who looks again and again keeps the `gates`.

    Raises UsageError where it is neither, ModuleNotFoundError where its gate needs the extra `learn`.
    """
    standing = read(store, name)
    if standing is None:
        return _not_started(policy, declared_in(policy, name))
    rollout, spec = standing.rollout, standing.spec
    gated = (gates or Gates(store)).look(standing, now)
    attempt = standing.last.attempt
    with Journal(store) as journal:
        lines = journal.read(lambda c: rollouts.host_lines(c, name, attempt))
        counted = [
            journal.read(lambda c, n=n: rollouts.arms(c, stage_name(name, attempt, n))) for n in range(len(spec.stages))
        ]
    reached = _hosts(policy, spec, lines, _troubles(standing))
    stages = tuple(
        SeenStage(
            number=n,
            spec=spec.stages[n],
            stage=stage,
            treated=counted[n].get("treatment", 0),
            control=counted[n].get("control", 0),
            gated=gated if n == rollout.at else None,
            hosts=reached[n],
        )
        for n, stage in enumerate(rollout.stages)
    )
    still = left(store, policy, standing)
    return Seen(
        name=name,
        spec=spec,
        standing=standing,
        was=standing.before,
        to=standing.after,
        stages=stages,
        wrong=tuple(_wrong(policy, standing, stages, gated, still)),
        notes=tuple(_notes(policy, standing, still)),
        next=tuple(_next(name, standing, stages, gated, still)),
    )


def _not_started(policy: Policy, spec: RolloutSpec) -> Seen:
    change = cast("Any", change_of(policy, spec))
    idle = new(len(spec.stages)).stages
    reached = _hosts(policy, spec, (), {})
    stages = tuple(
        SeenStage(n, stage_spec, idle[n], 0, 0, None, reached[n]) for n, stage_spec in enumerate(spec.stages)
    )
    start = f"trimtab rollout start {spec.name} --by WHO"
    return Seen(spec.name, spec, None, change["from"], change["to"], stages, (), (), (start,))


def _hosts(
    policy: Policy, spec: RolloutSpec, lines: Sequence[HostFact], troubles: Mapping[Place, str]
) -> list[tuple[SeenHost, ...]]:
    """Give each stage the hosts that it is the first to reach; those that the policy has no more are with the first of their environment."""
    last = {(line.hosts, line.host): line for line in lines}
    first: dict[Place, int] = {}
    for n, stage in enumerate(spec.stages):
        for place in hosts_of(policy, stage):
            first.setdefault(place, n)
    environments = [stage.environment for stage in spec.stages]
    for place, line in last.items():
        first.setdefault(place, environments.index(line.environment) if line.environment in environments else 0)
    return [
        tuple(
            SeenHost(host, group, last.get((group, host)), troubles.get((group, host), ""))
            for (group, host), at in first.items()
            if at == n
        )
        for n in range(len(spec.stages))
    ]


def _troubles(standing: Standing) -> dict[Place, str]:
    """Say which hosts could not even be read when the newest move was made that tells of hosts."""
    named = [cast("Any", move.evidence).get("hosts", {}) for move in standing.moves]
    none: dict[str, Any] = {}
    told: Mapping[str, Any] = next((hosts for hosts in reversed(named) if hosts), none)
    return {
        (end["group"], end["host"]): f"{end['step']}: {end['why']}"
        for end in told.values()
        if end["why"] and end["step"] in {"unknown", "untouched"}
    }


def _wrong(
    policy: Policy, standing: Standing, stages: Sequence[SeenStage], gated: Gated | None, still: Left
) -> Iterator[str]:
    state, last = standing.rollout.state, standing.last
    if state == "failed":
        yield f"it failed: {_why(standing)}"
    if gated is not None and gated.word == "fail":
        yield f"its gate says fail: {gated.reason}"
    if still.places:
        yield f"not proved back: {still.hosts}"
    for seen in (host for stage in stages for host in stage.hosts):
        if seen.line and seen.line.step in BAD_STEPS and (seen.group, seen.host) not in {*still.places, *still.gone}:
            yield f"{seen.host} is {seen.line.step}" + (f": {seen.line.reason}" if seen.line.reason else "")
    spec = policy.rollouts.get(last.name)
    if state in ACTIVE and (spec is None or dumps(declared(spec, policy.model_id)) != dumps(last.declared)):
        said = "declares it otherwise" if spec else "does not declare it any more"
        yield f"{policy.source} {said}; what was started goes on as it was declared then"
    yield from edited_since(policy, standing)


def _why(standing: Standing) -> str:
    ended = next((move for move in reversed(standing.moves) if move.event in {"fail", "abort", "undo"}), standing.last)
    return ended.reason or "no reason is kept"


def says_so_itself(policy: Policy, standing: Standing) -> list[str]:
    """Name the environments for which the policy file by now says itself what the rollout brought: there an undo changes no run."""
    said: list[str] = []
    for environment in standing.after:
        # An environment that is gone from the file says nothing.
        with suppress(PolicyError):
            if is_said(policy, environment, standing.spec.set):
                said.append(environment)
    return said


def _notes(policy: Policy, standing: Standing, still: Left) -> Iterator[str]:
    for _, host in still.gone:
        yield f"{host} is not in {policy.source} any more, and was not proved back: nobody knows what it runs"
    state = standing.rollout.state
    if state not in {*ACTIVE, "passed"}:
        return
    if there := says_so_itself(policy, standing):
        yield f"{policy.source} says the new models itself by now in {', '.join(there)}: there an undo changes hosts only"
    elif state == "passed":
        yield (
            f"write into {policy.source} what you want for its roles: until then it stays in force"
            if standing.last.weights
            else f"{policy.source} decides by now"
        )


def _next(
    name: str, standing: Standing, stages: Sequence[SeenStage], gated: Gated | None, still: Left
) -> Iterator[str]:
    state = standing.rollout.state
    at = standing.rollout.at
    reached = at is not None and any(
        stage.hosts for stage in stages if stage.spec.environment == stages[at].spec.environment
    )
    # Hosts are changed, and looked at before their stage passes, only by somebody who may reach them.
    waits = reached and (state == "running" or (state == "holding" and gated is not None and gated.word == "pass"))
    if still.places:
        yield f"trimtab rollout {'undo' if state == 'undone' else 'abort'} {name} --by WHO"
    elif waits or state == "paused":
        yield f"trimtab rollout resume {name} --by WHO"
    elif state in ENDED:
        yield f"trimtab rollout start {name} --by WHO"

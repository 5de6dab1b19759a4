"""What hosts run: by the policy, by their settings files, and by their last answer. Asks no model, changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from trimtab.core.errors import PolicyError, UsageError
from trimtab.core.moves import HostFact, RolloutFact
from trimtab.hosts.answer import same
from trimtab.hosts.change import Ended, ask
from trimtab.hosts.plan import Seen, roles_of, see
from trimtab.hosts.remote import Remote
from trimtab.hosts.setting import named
from trimtab.hosts.ssh import Refused, Unreachable, connections
from trimtab.learn.rollout import from_json
from trimtab.policy.assign import InForce, in_force
from trimtab.policy.resolve import resolve
from trimtab.policy.rollout_kept import spec_of
from trimtab.policy.rollout_spec import FileSpec, HostGroup
from trimtab.policy.spec import TERMINAL_ROLE, Policy
from trimtab.rollouts.fleet_lines import newest, newest_by_rollout
from trimtab.rollouts.moves import newest as newest_moves

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class RoleStanding:
    """One role on one host.

    wanted:     full id, by a rollout in force or by the policy (None: neither says). configured: as it is written there (None: nothing is).
    answered:   the model of the last answer that is known, by the group's `last`, or by the newest proof. drift: whether they differ.
    """

    role: str
    file: str
    wanted: str | None
    configured: str | None
    answered: str | None
    drift: bool


@dataclass(frozen=True, slots=True)
class HostStanding:
    """One host of a group. `why`: why it could not be reached, or read; empty where it was.

    decided:    what says what is wanted: `policy`, or the name of a rollout. step: of its newest line (None: it was never changed).
    limits:     of its unit, as systemd has them. versions: of programs there.
    """

    host: str
    group: str
    environment: str
    reachable: bool
    why: str
    decided: str
    step: str | None
    roles: tuple[RoleStanding, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


async def read_hosts(policy: Policy, groups: Collection[str] | None = None) -> list[HostStanding]:
    """Read every host of the inventory (of some groups), in its order. Raises UsageError where a group is not in it."""
    for name in groups or ():
        if name not in policy.hosts:
            there = ", ".join(policy.hosts) or "none"
            raise UsageError(f"{policy.source}: no group of hosts {name!r}; there are: {there}", hint=f"[hosts.{name}]")
    chosen = [group for group in policy.hosts.values() if groups is None or group.name in groups]
    facts, by_rollout, moves = newest(policy.store), newest_by_rollout(policy.store), newest_moves(policy.store)
    forced = _in_force(moves)
    gate = asyncio.Semaphore(_AT_ONCE)
    async with connections() as connect:

        async def read(group: HostGroup, host: str) -> HostStanding:
            ssh = connect(host, group.ssh, group.become, group.timeout.total_seconds())
            # Several rollouts may be in force on one host, each for roles of its own; whoever set it right since does not change that.
            rolled = [f for f in by_rollout.get((group.name, host), {}).values() if _counts(f, forced)]
            everywhere = _everywhere(group.environment, moves)
            wanted = _wanted(policy, group, everywhere)
            for fact in rolled:
                wanted |= cast("Mapping[str, str]", fact.wanted)
            names = dict.fromkeys([*(one.name for one in everywhere), *(fact.rollout for fact in rolled)])
            decided = ", ".join(names) or "policy"
            async with gate:
                return await _read(Remote(group, ssh), wanted, facts.get((group.name, host)), decided)

        return await asyncio.gather(*(read(group, host) for group in chosen for host in group.addresses))


async def _read(remote: Remote, wanted: Mapping[str, str], fact: HostFact | None, decided: str) -> HostStanding:
    group = remote.group
    step = fact.step if fact else None
    seen = await see(remote)
    if not isinstance(seen, Seen):
        reached = isinstance(seen, Refused)
        return HostStanding(remote.host, group.name, group.environment, reached, seen.why, decided, step)
    answered = await _answered(remote, fact)
    looked = await remote.look()
    found = {} if isinstance(looked, (Refused, Unreachable)) else dict(looked)
    versions = {"claude": found.pop("claude")} if "claude" in found else {}
    roles = tuple(
        _role(spec, role, wanted.get(role), seen.by_file[spec.name][role], answered.get(role))
        for spec in group.files
        for role in spec.keys
    )
    place = (remote.host, group.name, group.environment)
    return HostStanding(
        *place, reachable=True, why="", decided=decided, step=step, roles=roles, limits=found, versions=versions
    )


async def _answered(remote: Remote, fact: HostFact | None) -> Mapping[str, str]:
    """Give the models of the last answer; without a command that tells, those of the newest proof that was written down."""
    if remote.group.last is None:
        return cast("Mapping[str, str]", fact.answered) if fact else {}
    came: Ended = await ask(remote, remote.group.last, dict.fromkeys(roles_of(remote.group), ()))
    return came.answered


def _role(spec: FileSpec, role: str, wanted: str | None, configured: str | None, answered: str | None) -> RoleStanding:
    drift = wanted is not None and (
        configured != named(wanted, spec) or (answered is not None and not same(wanted, answered))
    )
    return RoleStanding(role, spec.path, wanted, configured, answered, drift)


def _wanted(policy: Policy, group: HostGroup, everywhere: Sequence[InForce]) -> dict[str, str]:
    """Give what the policy, and rollouts that are in force on every host there, want, as far as they say."""
    roles, drawn = roles_of(group), [one.whole for one in everywhere]
    wanted: dict[str, str] = {}
    for role in roles - {TERMINAL_ROLE}:
        # A host may have roles that the policy does not know.
        with suppress(PolicyError):
            wanted[role] = resolve(policy, group.environment, [role], drawn).choices[role].model
    brought = [one.changes[TERMINAL_ROLE].model for one in everywhere if TERMINAL_ROLE in one.changes]
    if TERMINAL_ROLE in roles and (model := next(filter(None, [*brought, policy.terminal.model]), None)):
        wanted[TERMINAL_ROLE] = model
    return wanted


def _everywhere(environment: str, moves: Sequence[RolloutFact]) -> list[InForce]:
    """Give the rollouts that have reached every host of an environment; also one that was added to it since is to have them."""
    return [
        one for one in in_force(environment, moves) if one.weight >= 1 and not _is_reaching(environment, one, moves)
    ]


def _is_reaching(environment: str, one: InForce, moves: Sequence[RolloutFact]) -> bool:
    move = next(move for move in moves if move.name == one.name)
    rollout, spec = from_json(move.stages), spec_of(move.name, move.declared)
    if rollout.at is None or spec.stages[rollout.at].environment != environment:
        return False
    stage = rollout.stages[rollout.at]
    return "running" in {stage.state, stage.was}


def _in_force(moves: Sequence[RolloutFact]) -> frozenset[tuple[str, int, str]]:
    """Give (rollout, attempt, environment) of every rollout that is in force there."""
    return frozenset(
        (fact.name, fact.attempt, environment)
        for fact in moves
        for environment, weight in cast("Mapping[str, float]", fact.weights).items()
        if weight
    )


def _counts(fact: HostFact, forced: frozenset[tuple[str, int, str]]) -> bool:
    return fact.step == "changed" and (fact.rollout, fact.attempt, fact.environment) in forced

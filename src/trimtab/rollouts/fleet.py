"""The hosts of a stage: locked, read, and changed batch by batch; taken back in one go.

Nothing is changed before every host of the stage could be reached, locked and read. Each step is written down before it is made,
so that whatever is killed, at whatever point, saying it again goes on from what the hosts themselves say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TypeVar, cast

from trimtab.hosts.change import health
from trimtab.hosts.lock import Guard
from trimtab.hosts.plan import roles_of
from trimtab.hosts.remote import Remote
from trimtab.hosts.ssh import Busy, Trouble, Unreachable, connections
from trimtab.policy.rollout_spec import HostGroup, StageSpec
from trimtab.policy.spec import DEFAULT_ROLE, TERMINAL_ROLE, Policy
from trimtab.rollouts.fleet_host import Member
from trimtab.rollouts.fleet_lines import STEPS, Overtaken, Place, Task, lines, to_restore
from trimtab.rollouts.fleet_told import FleetResult, HostEnd, HostNews, Stopped, result
from trimtab.terminal.edit_set import model_changes

__all__ = [
    "STEPS",
    "FleetResult",
    "HostEnd",
    "HostNews",
    "apply_stage",
    "concerning",
    "hosts_of",
    "restore_all",
    "to_restore",
]

T = TypeVar("T")
_AT_ONCE = 32
_LOOK_EVERY_S = 5.0
_LOCK = partial(model_changes, lock=True)


def hosts_of(policy: Policy, stage: StageSpec) -> tuple[Place, ...]:
    """Give (group, address) of the hosts of a stage: of each group of its environment the first `weight` of them, rounded up.

    A greater weight only adds hosts.
    """
    groups = [group for group in policy.hosts.values() if group.environment == stage.environment]
    return tuple((group.name, host) for group in groups for host in group.addresses[: _share(stage.weight, group)])


def concerning(group: HostGroup, wanted: Mapping[str, str]) -> dict[str, str]:
    """Give what of `wanted` concerns the roles that are configured in a group; `default` is for those that nobody named."""
    found: dict[str, str] = {}
    for role in sorted(roles_of(group)):
        model = wanted.get(role) or wanted.get("" if role == TERMINAL_ROLE else DEFAULT_ROLE)
        found |= {role: model} if model else {}
    return found


async def apply_stage(  # noqa: PLR0917 - what a stage is about, in the order in which it is said
    store: Path,
    policy: Policy,
    rollout: str,
    attempt: int,
    stage: StageSpec,
    wanted: Mapping[str, str],
    by: str,
    told: Callable[[HostNews], None],
    still_good: Callable[[], str | None],
) -> FleetResult:
    """Bring `wanted` (role -> full id) to every host of a stage.

    A host that fails is taken back at once; more than `max_failures` of a group, or a reason from `still_good` (asked between hosts
    and while they soak), end it. What was changed before stays changed: `restore_all` takes it back. `told` hears of each step.
    """
    task = Task(store, rollout, attempt, stage.environment, by)
    places = [place for place in hosts_of(policy, stage) if concerning(policy.hosts[place[0]], wanted)]
    async with _members(task, policy, places, wanted, told) as members:
        if troubles := await _each(members, Member.secure):
            return _refused(members, troubles)
        if troubles := await _each(members, lambda member: member.look(_LOCK)):
            return _refused(members, troubles)
        ends: dict[Place, HostEnd] = {}
        for batch in _batches(policy, members):
            if why := await asyncio.to_thread(still_good):
                return _stopped(members, ends, why)
            try:
                why = await _do_batch(batch, ends, still_good)
            except Overtaken as overtaken:
                return _stopped(members, ends, str(overtaken), "busy")
            if why:
                return _stopped(members, ends, why)
        return result(ends)


async def restore_all(  # noqa: PLR0917 - as apply_stage
    store: Path,
    policy: Policy,
    rollout: str,
    attempt: int,
    by: str,
    told: Callable[[HostNews], None],
    only: Collection[Place] | None = None,
) -> FleetResult:
    """Take back what an attempt wrote on hosts (`only` on these), and prove the old map on each.

    Said again, it finishes what it could not.
    """
    known = lines(store, rollout, attempt)
    places = [place for place in to_restore(store, rollout, attempt) if only is None or place in only]
    gone = {(group, host): known[group, host] for group, host in places if group not in policy.hosts}
    ends: dict[Place, HostEnd] = {
        place: HostEnd(place[1], place[0], "unknown", {}, f"there is no group {place[0]!r} in {policy.source} any more")
        for place in gone
    }
    for environment, there in groupby(
        (place for place in places if place not in gone), lambda place: known[place][0].environment
    ):
        task = Task(store, rollout, attempt, environment, by)
        async with _members(task, policy, [*there], {}, told) as members:
            for batch in _batches(policy, members):
                for member, end in zip(batch, await _all(map(_take_back, batch)), strict=True):
                    ends[member.place] = end
    wrong = [f"{end.host}: {end.why}" for end in ends.values() if end.step != "restored"]
    return result(ends, "; ".join(wrong))


async def _do_batch(batch: Sequence[Member], ends: dict[Place, HostEnd], still_good: Callable[[], str | None]) -> str:
    """Change the hosts of a batch and watch them for a while; gives why no other may follow."""
    for member, end in zip(batch, await _all(member.change() for member in batch), strict=True):
        ends[member.place] = end
    group = batch[0].remote.group
    why = await _soak([member for member in batch if ends[member.place].step == "changed"], ends, still_good)
    if why:
        return why
    for member in batch:
        if ends[member.place].step == "changed":
            ends[member.place] = await member.settle()
    failed = [end for end in ends.values() if end.group == group.name and end.step != "changed"]
    if len(failed) <= group.max_failures and all(end.step == "restored" for end in failed):
        return ""
    return "; ".join(f"{end.host}: {end.why}" for end in failed)


async def _soak(members: Sequence[Member], ends: dict[Place, HostEnd], still_good: Callable[[], str | None]) -> str:
    """Watch hosts for the group's soak; one that turns bad is taken back. Gives why all of it has to stop."""
    if not members or not (seconds := members[0].remote.group.soak.total_seconds()):
        return ""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    for member in members:
        await member.soak()
    while members:
        left = until - clock()
        await asyncio.sleep(max(0, min(_LOOK_EVERY_S, left)))
        if why := await asyncio.to_thread(still_good):
            return why
        troubles = await _each(members, lambda member: health(member.remote))
        for place, trouble in troubles.items():
            member = next(member for member in members if member.place == place)
            ends[place] = await member.fail(f"not healthy while it was watched: {trouble.why}")
        members = [member for member in members if member.place not in troubles]
        if clock() >= until:
            break
    return ""


async def _take_back(member: Member) -> HostEnd:
    trouble = await member.secure()
    if isinstance(trouble, Busy):
        # Whoever is there writes down what becomes of it.
        return member.end("unknown", trouble.why)
    if trouble is not None:
        return await member.give_up(trouble.why)
    try:
        return member.end("restored") if member.past is None else await member.restore()
    except Overtaken as overtaken:
        return member.end("unknown", str(overtaken))


@asynccontextmanager
async def _members(
    task: Task,
    policy: Policy,
    places: Iterable[Place],
    wanted: Mapping[str, str],
    told: Callable[[HostNews], None],
) -> AsyncGenerator[list[Member]]:
    """Give the hosts, with connections and locks that end with the block."""
    known = lines(task.store, task.rollout, task.attempt)
    async with connections() as connect:
        made: list[Member] = []
        for place in places:
            group = policy.hosts[place[0]]
            ssh = connect(place[1], group.ssh, group.become, group.timeout.total_seconds())
            guard = Guard(ssh, tuple(spec.path for spec in group.files), task.who)
            facts = known.get(place, [])
            there = concerning(group, wanted) or (cast("Mapping[str, str]", facts[-1].wanted) if facts else {})
            made.append(Member(task, Remote(group, ssh, guard), there, facts, told))
        try:
            yield made
        finally:
            await asyncio.gather(*(member.remote.guard.release() for member in made if member.remote.guard))


async def _each(members: Sequence[Member], work: Callable[[Member], Awaitable[Trouble | None]]) -> dict[Place, Trouble]:
    """Do something with all of them at once; gives the troubles."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(member: Member) -> Trouble | None:
        async with gate:
            return await work(member)

    came = await _all(map(one, members))
    return {member.place: trouble for member, trouble in zip(members, came, strict=True) if trouble is not None}


async def _all(works: Iterable[Awaitable[T]]) -> list[T]:
    """Do all of it at once; where one raises, the others still finish what they do to their hosts."""
    came = await asyncio.gather(*works, return_exceptions=True)
    for one in came:
        if isinstance(one, BaseException):
            raise one
    return cast("list[T]", came)


def _refused(members: Sequence[Member], troubles: Mapping[Place, Trouble]) -> FleetResult:
    """Say that nothing was changed, and why."""
    ends = {member.place: member.end("untouched") for member in members}
    for place, trouble in troubles.items():
        step = "unknown" if isinstance(trouble, Unreachable) else "untouched"
        ends[place] = HostEnd(place[1], place[0], step, {}, trouble.why)
    why = "; ".join(f"{place[1]}: {trouble.why}" for place, trouble in troubles.items())
    busy = all(isinstance(trouble, Busy) for trouble in troubles.values())
    return result(ends, f"no host was changed: {why}", "busy" if busy else "refused")


def _stopped(
    members: Sequence[Member], ends: Mapping[Place, HostEnd], why: str, stopped: Stopped = "failed"
) -> FleetResult:
    every = {member.place: ends.get(member.place) or member.end("untouched") for member in members}
    return result(every, why, stopped)


def _batches(policy: Policy, members: Sequence[Member]) -> list[list[Member]]:
    batches: list[list[Member]] = []
    for name, of_group in groupby(members, lambda member: member.remote.group.name):
        there, size = [*of_group], policy.hosts[name].batch
        batches += [there[at : at + size] for at in range(0, len(there), size)]
    return batches


def _share(weight: float, group: HostGroup) -> int:
    # Weights come of per cents: what is left of a whole by rounding is no host.
    return ceil(round(weight * len(group.addresses), 9))

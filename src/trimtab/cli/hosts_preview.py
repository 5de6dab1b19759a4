"""What would be written on hosts, read from them and shown before anybody says yes; nothing is changed, no lock is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from trimtab.hosts.plan import FileChange, Plan, Seen, diff, roles_of, see
from trimtab.hosts.remote import Remote
from trimtab.hosts.ssh import connections
from trimtab.rollouts.fleet_lines import Place
from trimtab.terminal.edit_set import model_changes

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy

_AT_ONCE = 16
_LOCK = partial(model_changes, lock=True)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be written on one host, a line a key (none: nothing); `why`: why that is not known."""

    place: Place
    lines: tuple[str, ...] = ()
    why: str = ""


def preview(policy: Policy, wanted: Mapping[Place, Mapping[str, str]]) -> list[Preview]:
    """Read hosts, each given what is wanted there (role -> full id), and work out what would change."""
    return asyncio.run(_preview(policy, wanted))


async def _preview(policy: Policy, wanted: Mapping[Place, Mapping[str, str]]) -> list[Preview]:
    gate = asyncio.Semaphore(_AT_ONCE)
    async with connections() as connect:

        async def one(place: Place, models: Mapping[str, str]) -> Preview:
            group = policy.hosts[place[0]]
            remote = Remote(group, connect(place[1], group.ssh, group.become, group.timeout.total_seconds()))
            roles = roles_of(group)
            async with gate:
                seen = await see(remote)
            if not isinstance(seen, Seen):
                return Preview(place, why=seen.why)
            there = {role: model for role, model in models.items() if role in roles and model}
            plan = diff(group.files, seen, there, _LOCK)
            if not isinstance(plan, Plan):
                return Preview(place, why=plan.why)
            return Preview(place, tuple(line for change in plan.changes for line in change.lines()))

        return await asyncio.gather(*(one(place, models) for place, models in wanted.items()))


def lines_back(change: FileChange) -> list[str]:
    """Say what of a change is taken back, a line a key."""
    return [
        f"{change.path}: {key}: {change.wrote[key]} -> {was.raw or 'absent'}"
        for key, was in change.values.items()
        if was.raw != change.wrote[key]
    ]


def print_previews(previews: Sequence[Preview]) -> None:
    """Print what would be written; hosts of which it is the same are named together."""
    alike: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for found in previews:
        alike.setdefault((found.lines, found.why), []).append(found.place[1])
    for (lines, why), hosts in alike.items():
        if why:
            click.echo(f"on {', '.join(hosts)}: unknown: {why}")
            continue
        click.echo(f"on {', '.join(hosts)}:" + ("" if lines else " nothing has to be written"))
        for line in lines:
            click.echo(f"    {line}")

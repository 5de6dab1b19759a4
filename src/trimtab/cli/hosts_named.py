"""Which hosts a command line means: groups and addresses, as the policy has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.core.errors import UsageError
from trimtab.policy.problems import unknown
from trimtab.rollouts.fleet_lines import Place

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy


def places_of(policy: Policy, named: Sequence[str]) -> list[Place]:
    """Give (group, address) of all that is named, or of every host where nothing is. Raises UsageError for others."""
    if not policy.hosts:
        raise UsageError(f"{policy.source} has no hosts", hint="declare them: [hosts.GROUP]")
    every = [(group.name, host) for group in policy.hosts.values() for host in group.addresses]
    known = {name for place in every for name in place}
    for name in named:
        if name not in known:
            text, hint = unknown("host or group", name, known)
            raise UsageError(f"{policy.source}: {text}", hint=hint or "trimtab hosts status")
    return [place for place in every if not named or not set(named).isdisjoint(place)]


def only(policy: Policy, places: Collection[Place]) -> Policy:
    """Give the policy with none but these hosts."""
    left = {
        name: tuple(host for host in group.addresses if (name, host) in places) for name, group in policy.hosts.items()
    }
    return replace(policy, hosts={n: replace(policy.hosts[n], addresses=there) for n, there in left.items() if there})


def at_store(policy: Policy, store: Path | None) -> Policy:
    """Give the policy with another store, where one is named."""
    return policy if store is None else replace(policy, app=replace(policy.app, store=str(store.absolute())))

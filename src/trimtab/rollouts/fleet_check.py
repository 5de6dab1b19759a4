"""Looks at the hosts of a stage that is in force: still configured as the rollout left them, and healthy. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from trimtab.core.values import Json
from trimtab.hosts.change import health
from trimtab.hosts.plan import Seen, see
from trimtab.hosts.remote import Remote
from trimtab.hosts.setting import named
from trimtab.hosts.ssh import Unreachable, connections
from trimtab.policy.rollout_spec import StageSpec
from trimtab.policy.spec import Policy
from trimtab.rollouts.fleet import concerning, hosts_of
from trimtab.rollouts.fleet_lines import Place

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """Host -> what is wrong with it (`sick`), or why nobody knows (`unknown`: it could not be reached, which is no fault of the map)."""

    sick: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        """Both in words, empty where nothing is wrong."""
        return "; ".join(f"{host}: {why}" for host, why in {**self.sick, **self.unknown}.items())

    def as_json(self) -> dict[str, Json]:
        """Write it down."""
        return {"sick": dict(self.sick), "unknown": dict(self.unknown)}


async def check_stage(
    policy: Policy, stage: StageSpec, wanted: Mapping[str, str], restored: Collection[Place] = ()
) -> Checked:
    """Look at every host of a stage; `wanted` maps roles to the full ids that the rollout brought there.

    restored: hosts that failed and were taken back, as many as may: they are not to run it.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    async with connections() as connect:

        async def check(name: str, host: str) -> tuple[str, bool, str]:
            group = policy.hosts[name]
            async with gate:
                remote = Remote(group, connect(host, group.ssh, group.become, group.timeout.total_seconds()))
                return host, *await _wrong(remote, wanted)

        places = [place for place in hosts_of(policy, stage) if place not in restored]
        found = await asyncio.gather(*(check(name, host) for name, host in places))
    return Checked(
        {host: why for host, known, why in found if known and why},
        {host: why for host, known, why in found if not known},
    )


async def _wrong(remote: Remote, wanted: Mapping[str, str]) -> tuple[bool, str]:
    """Say whether anything is known of a host, and what is wrong with it."""
    group = remote.group
    seen = await see(remote)
    if not isinstance(seen, Seen):
        return not isinstance(seen, Unreachable), seen.why
    brought = concerning(group, wanted)
    named_in = [(spec, role) for spec in group.files for role in spec.keys if role in brought]
    for spec, role in named_in:
        configured = seen.by_file[spec.name][role]
        if configured != named(brought[role], spec):
            return True, f"{spec.path} says {configured or 'nothing'} for {role}, somebody changed it"
    trouble = await health(remote)
    return not isinstance(trouble, Unreachable), f"not healthy: {trouble.why}" if trouble else ""

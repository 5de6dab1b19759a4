"""`trimtab hosts apply`: brings hosts to what the policy and the rollouts in force want."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import INTERRUPTED, NOT_FINE
from trimtab.cli.hosts_ends import say_ends
from trimtab.cli.hosts_rows import SETTLED
from trimtab.cli.options import load_policy, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, yes_option

if TYPE_CHECKING:
    from trimtab.core.moves import HostFact
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.fleet import FleetResult
    from trimtab.rollouts.fleet_lines import Place
    from trimtab.rollouts.fleet_status import HostStanding


@click.command()
@click.argument("named", metavar="GROUP|HOST...", nargs=-1, required=True)
@by_option
@yes_option
@policy_option
@store_option
def apply(named: Sequence[str], by: str, yes: bool, policy_file: str, store: Path | None) -> int:
    """Bring hosts to the models that the policy and the rollouts in force want there, and prove it.

    The change is printed first. Nothing is changed before every one of them could be reached, locked and read. A host that fails
    is put back at once and proved to be, and no other follows.
    """
    from trimtab.cli.hosts_named import at_store, places_of
    from trimtab.cli.hosts_preview import preview, print_previews
    from trimtab.rollouts.fleet_lines import newest
    from trimtab.rollouts.fleet_status import read_hosts

    loaded = at_store(load_policy(policy_file), store)
    places = places_of(loaded, named)
    lines = newest(loaded.store)
    again = f"trimtab hosts apply {' '.join(named)} --by {by}"
    standings = [
        s for s in asyncio.run(read_hosts(loaded, {group for group, _ in places})) if (s.group, s.host) in places
    ]
    if troubles := [
        told for standing in standings if (told := _trouble(standing, lines.get((standing.group, standing.host))))
    ]:
        click.echo("\n".join(troubles), err=True)
        click.echo("nothing was changed", err=True)
        return NOT_FINE
    wanted = {(s.group, s.host): _wanted(s) for s in standings}
    print_previews(preview(loaded, wanted))
    confirmed(
        {standing.environment for standing in standings}, f"change {', '.join(s.host for s in standings)}", yes=yes
    )
    try:
        done = _apply(loaded, wanted, by)
    except KeyboardInterrupt:
        click.echo(f"stopped; a host that was being changed is looked at first by: {again}", err=True)
        return INTERRUPTED
    return say_ends(done, "changed", again)


def _trouble(standing: HostStanding, line: HostFact | None) -> str:
    """Say why a host is not changed now."""
    if standing.why:
        return f"error: {standing.host} is unknown: {standing.why}"
    if line and line.rollout and line.step not in SETTLED:
        what = f"error: {standing.host}: rollout {line.rollout!r} is changing it, and stands at {line.step!r}"
        return f"{what}\nhint: trimtab rollout resume {line.rollout}, or abort"
    return ""


def _wanted(standing: HostStanding) -> dict[str, str]:
    return {role.role: role.wanted for role in standing.roles if role.wanted}


def _apply(policy: Policy, wanted: Mapping[Place, Mapping[str, str]], by: str) -> list[FleetResult]:
    """Change hosts, those of a group of which the same is wanted together; stops at the first of these that comes to nothing."""
    from trimtab.cli.hosts_named import only
    from trimtab.cli.rollout_tell import HostTeller
    from trimtab.policy.rollout_spec import StageSpec
    from trimtab.rollouts.fleet import apply_stage

    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Place]] = {}
    for place, models in wanted.items():
        alike.setdefault((place[0], tuple(sorted(models.items()))), []).append(place)
    done: list[FleetResult] = []
    for (name, models), places in alike.items():
        chosen, stage = only(policy, places), StageSpec(policy.hosts[name].environment)
        told = HostTeller(policy.store).host
        came = asyncio.run(
            apply_stage(policy.store, chosen, "", 0, stage, dict(models), by, told, still_good=lambda: None)
        )
        done.append(came)
        if not came.ok:
            break
    return done

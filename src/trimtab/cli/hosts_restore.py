"""`trimtab hosts restore`: puts back what hosts had before the last `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import INTERRUPTED
from trimtab.cli.hosts_ends import say_ends
from trimtab.cli.options import load_policy, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, yes_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.fleet_lines import Place


@click.command()
@click.argument("named", metavar="HOST...", nargs=-1, required=True)
@by_option
@yes_option
@policy_option
@store_option
def restore(named: Sequence[str], by: str, yes: bool, policy_file: str, store: Path | None) -> int:
    """Put back what hosts (or groups) had before the last `trimtab hosts apply`, restart, and prove what answered before.

    Where somebody changed a file since, only the keys that were written are put back. What a rollout wrote is taken back by
    `trimtab rollout undo`.
    """
    from trimtab.cli.hosts_named import at_store, places_of
    from trimtab.cli.rollout_tell import HostTeller
    from trimtab.rollouts.fleet import restore_all

    loaded = at_store(load_policy(policy_file), store)
    places = _changed(loaded, places_of(loaded, named))
    hosts = ", ".join(host for _, host in places)
    _print_what_comes_back(loaded, places)
    confirmed({loaded.hosts[group].environment for group, _ in places}, f"put back {hosts}", yes=yes)
    told = HostTeller(loaded.store).host
    again = f"trimtab hosts restore {' '.join(named)} --by {by}"
    try:
        done = asyncio.run(restore_all(loaded.store, loaded, "", 0, by, told, only=places))
    except KeyboardInterrupt:
        click.echo(f"stopped; this goes on: {again}", err=True)
        return INTERRUPTED
    return say_ends([done], "restored", again)


def _print_what_comes_back(policy: Policy, places: Sequence[Place]) -> None:
    from trimtab.cli.hosts_preview import lines_back
    from trimtab.rollouts.fleet_lines import lines, past

    known = lines(policy.store, "", 0)
    for place in places:
        written = past(known[place])
        click.echo(f"on {place[1]}:")
        for line in (line for file in (written.files if written else ()) for line in lines_back(file)):
            click.echo(f"    {line}")


def _changed(policy: Policy, places: Sequence[Place]) -> list[Place]:
    """Give those of the hosts that an apply wrote to. Raises UsageError where there is none, or a rollout wrote to one since."""
    from trimtab.rollouts.fleet import to_restore
    from trimtab.rollouts.fleet_lines import newest

    for place, line in newest(policy.store).items():
        if place in places and line.rollout and line.step != "restored":
            raise UsageError(
                f"{place[1]!r} was changed last by rollout {line.rollout!r}",
                hint=f"trimtab rollout undo {line.rollout}",
            )
    found = [place for place in to_restore(policy.store, "", 0) if place in places]
    if not found:
        raise UsageError(
            f"no change by `trimtab hosts apply` is kept of {', '.join(host for _, host in places)}",
            hint="trimtab audit HOST shows what was done there",
        )
    return found

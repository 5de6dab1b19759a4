"""`trimtab hosts status`: this machine, staging and production side by side: wanted, configured, the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option, load_policy, policy_option, store_option

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.fleet_lines import Place


@click.command()
@click.argument("named", metavar="[GROUP|HOST]...", nargs=-1)
@policy_option
@store_option
@json_option
def status(named: Sequence[str], policy_file: str, store: Path | None, as_json: bool) -> int:
    """Show which model each role is to run on each host, what its files say, and which model answered last.

    Hosts are read by the system's ssh; no model is asked and nothing is changed. A host that cannot be reached is unknown.
    Leaves with 1 where something drifts or is unknown.
    """
    from trimtab.cli.hosts_here import rows_here
    from trimtab.cli.hosts_named import at_store, only, places_of
    from trimtab.cli.hosts_rows import rows_of
    from trimtab.cli.hosts_table import print_rows
    from trimtab.cli.show import console, print_json
    from trimtab.rollouts.fleet_lines import newest
    from trimtab.rollouts.fleet_status import read_hosts

    loaded = at_store(load_policy(policy_file), store)
    chosen = only(loaded, places_of(loaded, named)) if named or loaded.hosts else loaded
    standings = asyncio.run(read_hosts(chosen)) if chosen.hosts else []
    # What a command tells of the last answer has no time; of a proof the store knows it.
    proved = {place: line.at for place, line in newest(loaded.store).items() if _has_no_last(loaded, place)}
    rows = [*([] if named else rows_here(loaded.store, loaded)), *rows_of(standings, proved)]
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_rows(console(), rows, datetime.now(UTC))
    return FINE if all(row.state == "fine" for row in rows) else NOT_FINE


def _has_no_last(policy: Policy, place: Place) -> bool:
    group = policy.hosts.get(place[0])
    return group is not None and group.last is None

"""`trimtab rollout undo`: takes a rollout back, from any state; its hosts are put back and proved."""

from __future__ import annotations

from pathlib import Path

import click

from trimtab.cli.options import load_policy, policy_option, store_option
from trimtab.cli.rollout_options import by_option, migrate_option, reason_option, yes_option


@click.command()
@click.argument("name")
@by_option
@reason_option
@migrate_option
@yes_option
@policy_option
@store_option
def undo(name: str, by: str, reason: str, migrate: bool, yes: bool, policy_file: str, store: Path | None) -> int:
    """Take NAME back, from any state and in all environments: new runs get the old map within a second, its hosts are put back and proved.

    Runs in flight keep their models. Leaves with 1 while a host is not proved back; said again, it finishes what was left.
    """
    from trimtab.cli.rollout_back import take_back

    loaded = load_policy(policy_file)
    path = store or loaded.store
    return take_back(path, loaded, name, "undo", by=by, reason=reason, migrate=migrate, yes=yes)

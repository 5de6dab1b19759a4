"""`trimtab rollout pause`: nothing goes forward; what is in force stays."""

from __future__ import annotations

from pathlib import Path

import click

from trimtab.cli import FINE
from trimtab.cli.options import find_store, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, reason_option, yes_option


@click.command()
@click.argument("name")
@by_option
@reason_option
@yes_option
@policy_option
@store_option
def pause(name: str, by: str, reason: str, yes: bool, policy_file: str, store: Path | None) -> int:
    """Stop NAME from going forward. What is in force stays in force, and harm that is shown still ends it at once."""
    from trimtab.cli.rollout_moves import move
    from trimtab.rollouts.moves import find

    path = find_store(store, policy_file)
    confirmed(find(path, name).after, f"pause rollout {name!r}", yes=yes)
    move(path, name, "pause", by=by, reason=reason)
    return FINE

"""`trimtab rollout resume`: goes on after a pause, or where the one who changed the hosts died."""

from __future__ import annotations

from pathlib import Path

import click

from trimtab.cli.options import load_policy, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, reason_option, watch_option, yes_option


@click.command()
@click.argument("name")
@by_option
@reason_option
@watch_option
@yes_option
@policy_option
@store_option
def resume(name: str, by: str, reason: str, watch: bool, yes: bool, policy_file: str, store: str | None) -> int:
    """Go on with NAME: after a pause, and wherever hosts wait to be changed or put back, such as when their operator died.

    A host that was being changed is looked at first: it is finished, or put back and proved.
    """
    from trimtab.cli.rollout_drive import go_on
    from trimtab.cli.rollout_left import left
    from trimtab.cli.rollout_moves import move, refuse
    from trimtab.learn.rollout import ENDED
    from trimtab.rollouts.moves import find

    loaded = load_policy(policy_file)
    path = Path(store) if store else loaded.store
    standing = find(path, name)
    state, last = standing.rollout.state, standing.last
    if state == "passed" or (state in ENDED and not left(path, loaded, standing).places):
        refuse(standing, "resume")
    confirmed(standing.after, f"go on with rollout {name!r}", yes=yes)
    seen = last.number
    if state == "paused":
        seen = move(path, name, "resume", by=by, reason=reason).number
    return go_on(path, loaded, name, seen, by=by, stay=watch)

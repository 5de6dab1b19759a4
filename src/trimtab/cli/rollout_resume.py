"""`trimtab rollout resume`: goes on after a pause, or where the one who changed the hosts died."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import load_policy, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, reason_option, watch_option, yes_option

if TYPE_CHECKING:
    from trimtab.learn.rollout import State
    from trimtab.rollouts.left import Left


@click.command()
@click.argument("name")
@by_option
@reason_option
@watch_option
@yes_option
@policy_option
@store_option
def resume(name: str, by: str, reason: str, watch: bool, yes: bool, policy_file: str, store: Path | None) -> int:
    """Go on with NAME: after a pause, and wherever hosts wait to be changed, such as when the one who changed them died.

    A host that was being changed is looked at first: it is finished, or put back and proved.
    """
    from trimtab.cli.rollout_drive import go_on
    from trimtab.cli.rollout_moves import move
    from trimtab.learn.rollout import ACTIVE
    from trimtab.rollouts.left import left
    from trimtab.rollouts.moves import find

    loaded = load_policy(policy_file)
    path = store or loaded.store
    standing = find(path, name)
    state = standing.rollout.state
    if state not in ACTIVE:
        return _say_that_it_is_over(state, left(path, loaded, standing), name)
    confirmed(standing.after, f"go on with rollout {name!r}", yes=yes)
    seen = standing.last.number
    if state == "paused":
        seen = move(path, name, "resume", by=by, reason=reason).number
    return go_on(path, loaded, name, seen, by=by, stay=watch)


def _say_that_it_is_over(state: State, still: Left, name: str) -> int:
    if state == "passed":
        click.echo(f"nothing was changed: {name} has passed")
        return FINE
    hosts = f", and not proved back: {still.hosts}" if still.places else ""
    what = f"trimtab rollout {'abort' if still.places else 'start'} {name}"
    click.echo(f"error: {name} is {state}: nothing goes on{hosts}\nhint: {what}", err=True)
    return NOT_FINE

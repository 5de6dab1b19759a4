"""What `rollout abort` and `rollout undo` have in common: new runs get the old map, hosts are put back and proved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from trimtab.cli import FINE, INTERRUPTED, NOT_FINE
from trimtab.cli.rollout_drive import look_after
from trimtab.cli.rollout_moves import move
from trimtab.cli.rollout_options import confirmed
from trimtab.cli.rollout_seen import says_so_itself
from trimtab.cli.rollout_tell import teller
from trimtab.learn.rollout import ENDED
from trimtab.rollouts.left import Left, left
from trimtab.rollouts.moves import find

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.drive import Round


def take_back(
    store: Path,
    policy: Policy,
    name: str,
    event: Literal["abort", "undo"],
    *,
    by: str,
    reason: str,
    migrate: bool,
    yes: bool,
) -> int:
    """Take a rollout back; said again, finish what was left. Leaves with 1 while a host is not proved back."""
    from trimtab.rollouts.migrate import migrate as put_on_old_models

    standing = find(store, name)
    state = standing.rollout.state
    finishing = state in ENDED and (event == "abort" or state == "undone")
    if finishing and not left(store, policy, standing).places and not migrate:
        click.echo(f"nothing was changed: {name} is {state}, and no host is left on the new map")
        return FINE
    confirmed(standing.after, f"{event} rollout {name!r}", yes=yes)
    seen = standing.last.number
    if not finishing:
        seen = move(store, name, event, by=by, reason=reason).number
    if there := says_so_itself(policy, standing):
        click.echo(
            f"{policy.source} itself says the new models in {', '.join(there)}: new runs there get them until it says others"
        )
    if migrate:
        click.echo(f"{put_on_old_models(store, standing, by=by)} runs in flight go on with the old models")
    again = f"trimtab rollout {event} {name} --by {by}"
    telling = teller(store, policy, name, seen, stay=False)
    done = look_after(store, policy, name, telling, again=again, by=by, stay=False)
    if done is None:
        return INTERRUPTED
    return _say(left(store, policy, done.standing), done, name, again)


def _say(still: Left, done: Round, name: str, again: str) -> int:
    for _, host in still.gone:
        click.echo(f"warning: {host} is not in the policy any more: nobody knows what it runs", err=True)
    if not still.places:
        ends = done.fleet.hosts.values() if done.fleet else ()
        back = sum(end.step == "restored" for end in ends)
        hosts = f"; {back} host{'s' * (back != 1)} proved back" if back else ", and no host is left on the new one"
        click.echo(f"{name} is taken back: new runs get the old map{hosts}")
        return FINE
    click.echo(
        f"error: not proved back: {still.hosts}; unknown is not fine\nhint: {again}",
        err=True,
    )
    return NOT_FINE

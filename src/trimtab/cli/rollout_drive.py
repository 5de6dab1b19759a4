"""Looks after a rollout for a command, while a teller says what happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, INTERRUPTED, NOT_FINE
from trimtab.cli.options import needs_extra
from trimtab.cli.rollout_tell import Teller, teller
from trimtab.learn.rollout import ENDED
from trimtab.rollouts.left import Left, left

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.drive import Round

EVERY = 2.0  # seconds between looks; what the gate says changes with the runs
CHECK_EVERY = 15  # looks; the hosts of a stage that is holding are seen as often


def go_on(store: Path, policy: Policy, name: str, seen: int, *, by: str, stay: bool) -> int:
    """Look after a rollout until its stage is in force or it ended; with `stay` until it has passed or ended.

    `seen` is the number of the newest move that was told. Gives the exit code: fine where it goes on or has passed.
    """
    telling = teller(store, policy, name, seen, stay=stay)
    again = f"trimtab rollout resume {name} --by {by}"
    last = look_after(store, policy, name, telling, again=again, by=by, stay=stay)
    if last is None:
        return INTERRUPTED
    state = last.standing.rollout.state
    if state in ENDED:
        return _say_ended(left(store, policy, last.standing), last, by)
    if last.waits:
        click.echo(f"hint: {again}", err=True)
        return NOT_FINE
    return FINE


def _say_ended(still: Left, last: Round, by: str) -> int:
    move = last.standing.last
    if still.places:
        click.echo(f"error: {move.name} is {last.standing.rollout.state}; not proved back: {still.hosts}", err=True)
        click.echo(f"hint: trimtab rollout abort {move.name} --by {by}", err=True)
    else:
        told = f"error: {move.name} is {last.standing.rollout.state}: new runs get the old map, and no host is left on the new one"
        click.echo(f"{told}\nhint: trimtab rollout status {move.name}", err=True)
    return NOT_FINE


def look_after(
    store: Path, policy: Policy, name: str, telling: Teller, *, again: str, by: str, stay: bool, hosts: bool = True
) -> Round | None:
    """Look after a rollout, once or with `stay` until it has passed or ended. None: the person stopped it; `again` goes on."""
    try:
        with telling:
            return asyncio.run(_until(store, policy, name, telling, by=by, stay=stay, hosts=hosts))
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "the gate") from missing
    except KeyboardInterrupt:
        what = "; a host that was being changed is looked at first when somebody goes on" if hosts else ""
        click.echo(f"stopped looking; {name} stays as it is{what}\nhint: {again}", err=True)
        return None


async def _until(store: Path, policy: Policy, name: str, telling: Teller, *, by: str, stay: bool, hosts: bool) -> Round:
    from trimtab.rollouts import drive

    turns = 0
    while True:
        check = turns % CHECK_EVERY == 0
        last = await drive.look_after(
            store, policy, name, by=by, hosts=hosts, told=telling.host, gates=telling.gates, check=check
        )
        telling.round(last)
        if not stay or last.standing.rollout.state in {*ENDED, "passed"}:
            return last
        turns += 1
        await asyncio.sleep(EVERY)

"""How hosts ended, said in a line each, with what finishes what is not fine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.rollout_words import answered_text

if TYPE_CHECKING:
    from trimtab.rollouts.fleet import FleetResult

_PROVED = {"changed": "runs what is wanted", "restored": "runs what it ran before"}


def say_ends(done: Sequence[FleetResult], wanted: str, again: str) -> int:
    """Say how every host ended; `wanted` is the step that is fine, `again` the command that goes on where one is not."""
    for name, end in (pair for result in done for pair in result.hosts.items()):
        proved = f", proved: {answered_text(end.answered) or 'it answers'}" if end.step in _PROVED else ""
        click.echo(f"{name}: {_PROVED.get(end.step, end.step)}{proved}" + (f"; {end.why}" if end.why else ""))
    wrong = [result.why for result in done if not result.ok]
    if not wrong and all(end.step == wanted for result in done for end in result.hosts.values()):
        return FINE
    for why in filter(None, wrong):
        click.echo(f"error: {why}", err=True)
    click.echo(f"hint: {again}", err=True)
    return NOT_FINE

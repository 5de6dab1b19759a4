"""`trimtab rollout`: a change of the role map, stage by stage and host by host, and back with one command."""

from __future__ import annotations

import click

from trimtab.cli.lazy import Lazy

_COMMANDS = {
    "start": "Start a rollout of the policy: its first stage is in force, its hosts are changed and proved.",
    "status": "Show how rollouts stand: stages, runs, gate, hosts; with -w until it has passed or ended.",
    "promote": "Let a stage that is holding pass by hand; the gate's figures are kept.",
    "pause": "Stop going forward. What is in force stays, and harm still ends it.",
    "resume": "Go on: after a pause, or where the one who changed its hosts died.",
    "abort": "End it: new runs get the old map, and its hosts are put back and proved.",
    "undo": "Take it back, from any state, also long after it has passed.",
}


@click.group(cls=Lazy, one_line=_COMMANDS, prefix="trimtab.cli.rollout_")
def rollout() -> None:
    """Move a change of the role map through environments, weights and hosts, each step proved and reversible."""

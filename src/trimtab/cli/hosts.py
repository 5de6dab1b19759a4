"""`trimtab hosts`: what the hosts of the policy run, and what they are to run."""

from __future__ import annotations

import click

from trimtab.cli.lazy import Lazy

_COMMANDS = {
    "status": "Show this machine and every host side by side: wanted, configured, and the model that answered last.",
    "apply": "Bring hosts to what the policy and the rollouts in force want; proved, and put back where that fails.",
    "restore": "Put back what hosts had before the last `apply`, and prove it.",
}


@click.group(cls=Lazy, one_line=_COMMANDS, prefix="trimtab.cli.hosts_")
def hosts() -> None:
    """Reach the hosts of the policy by the system's ssh: read what they run, change it, put it back."""

"""`trimtab service`: the worker as a service of systemd."""

from __future__ import annotations

import click

from trimtab.cli.lazy import Lazy

_COMMANDS = {
    "show": "The unit that would be installed, with the reason for each number; what is different in the installed one.",
    "install": "Write the unit, with the one before kept, and say which commands start it; or start it, too.",
}


@click.group(cls=Lazy, one_line=_COMMANDS, prefix="trimtab.cli.service_")
def service() -> None:
    """Run the worker as a service of systemd, with limits for this host and little else of it in reach."""

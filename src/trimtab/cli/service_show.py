"""`trimtab service show`: the unit that would be installed, and what is different in the installed one."""

from __future__ import annotations

import sys
from typing import Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.service_planned import Asked, Planned, plan, unit_options


@click.command()
@unit_options
def show(as_json: bool, **asked: Any) -> int:
    """Print the unit of the worker for this host; where one is installed, the difference to it as well. Changes nothing.

    Leaves with 1 where the installed unit is another one, or where systemd-analyze finds fault with this one.
    """
    from trimtab.cli.show import print_json

    planned = plan(Asked(**asked))
    if as_json:
        print_json(planned.told)
    else:
        sys.stdout.write(planned.text)
        if planned.edit.old_text is not None:
            sys.stdout.write(planned.edit.diff(str(planned.file)))
        sys.stdout.flush()
        say(planned)
    other = planned.edit.old_text is not None and planned.edit.changes
    return NOT_FINE if other or planned.faults else FINE


def say(planned: Planned) -> None:
    """Say how the unit stands and what to know of it, on standard error: what is on standard output can be kept as a file."""
    for warning in planned.warnings:
        click.echo(f"warning: {warning}", err=True)
    for fault in planned.faults or ():
        click.echo(f"error: systemd-analyze verify: {fault}", err=True)
    stands = "is what is printed here" if not planned.edit.changes else "is another one: see the difference"
    click.echo(f"{planned.file}: {'not installed' if planned.edit.old_text is None else stands}", err=True)
    if planned.faults is None:
        click.echo("not verified: systemd-analyze could not be asked", err=True)
    elif not planned.faults:
        exposed = (
            "" if planned.exposure is None else f"; exposure {planned.exposure:g} of 10 (systemd-analyze security)"
        )
        click.echo(f"verified by systemd-analyze{exposed}", err=True)

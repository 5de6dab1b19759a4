"""Options that the commands which move rollouts and hosts share, and the question before production is changed."""

from __future__ import annotations

import sys
from collections.abc import Collection

import click

from trimtab.cli.options import by_whom, one_line
from trimtab.cli.rollout_words import PRODUCTION
from trimtab.core.errors import UsageError

by_option = by_whom("Who moves it; kept in the audit log.", "WHO")
reason_option = click.option(
    "--reason", default="", metavar="TEXT", callback=one_line, help="Why; kept in the audit log."
)
watch_option = click.option(
    "-w", "--watch", is_flag=True, help="Stay and look after it until it has passed (leaves with 0) or ended (1)."
)
migrate_option = click.option(
    "--migrate", is_flag=True, help="Put runs in flight on the old models, too; they keep theirs otherwise."
)
yes_option = click.option("--yes", is_flag=True, help="Do it in production without being asked.")


def confirmed(environments: Collection[str], what: str, *, yes: bool) -> None:
    """Ask before production is changed. Raises UsageError where nobody can be asked."""
    if PRODUCTION not in environments or yes:
        return
    click.echo(f"in production: {what}", err=True)
    if not sys.stdin.isatty():
        raise UsageError("production is changed only after a yes", hint="add --yes")
    click.confirm("go on?", abort=True, err=True)

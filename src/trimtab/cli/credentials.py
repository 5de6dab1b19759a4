"""`trimtab credentials`: what roles depend on, whether it is valid, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.lazy import Whole
from trimtab.cli.options import app_option, environment_option, json_option, make_app, policy_option, store_option

if TYPE_CHECKING:
    from rich.table import Table

    from trimtab.app import App

SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Line:
    """One credential at this moment. `fault` is empty while it is valid; `waiting` counts the runs that wait for it."""

    name: str
    roles: tuple[str, ...]
    valid: bool
    fault: str
    expires: datetime | None
    soon: bool
    waiting: int

    @property
    def fine(self) -> bool:
        """Whether nobody has to do anything about it."""
        return self.valid and not self.soon


@click.group(cls=Whole)
def credentials() -> None:
    """List what roles depend on."""


@credentials.command(name="list")
@app_option
@policy_option
@environment_option
@store_option
@json_option
def list_credentials(factory: str | None, policy_file: str, environment: str, store: Path | None, as_json: bool) -> int:
    """List every credential, who needs it, whether it is valid now, and how many runs wait for it.

    Leaves with 1 where one is not valid, or expires within 7 days.
    """
    from trimtab.cli.show import console, print_json

    app = make_app(policy_file, factory, environment, store)
    lines = asyncio.run(_lines(app))
    if as_json:
        print_json([asdict(line) for line in lines])
    elif lines:
        console().print(_table(lines))
    else:
        click.echo("no role needs a credential, and the policy names none")
    return FINE if all(line.fine for line in lines) else NOT_FINE


async def _lines(app: App) -> list[Line]:
    now = app.clock.now()
    declared = list(app.credentials.values())
    faults = await asyncio.gather(*(credential.fault(now) for credential in declared))
    waiting = _waiting(app.store)
    lines: list[Line] = []
    for credential, fault in zip(declared, faults, strict=True):
        roles = app.needs_credential.get(credential.name, frozenset())
        soon = credential.expires is not None and credential.expires - now <= SOON
        # What waits at this moment goes on within a minute of its being valid.
        runs = {run_id for run_id, role in waiting if role in roles} if fault else set[str]()
        lines.append(Line(credential.name, tuple(sorted(roles)), not fault, fault, credential.expires, soon, len(runs)))
    return lines


def _waiting(store: Path) -> list[tuple[str, str]]:
    from trimtab.journal.reader import Journal

    if not store.exists():
        return []
    with Journal(store) as journal:
        return journal.lapsed()


def _table(lines: Sequence[Line]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("credential", "roles", "state", "until", "waiting", box=None, pad_edge=False, header_style="bold")
    for line in lines:
        state = "valid" if line.valid else line.fault
        colour = "green" if line.fine else "yellow" if line.valid else "red"
        until = f"{line.expires.astimezone():%Y-%m-%d %H:%M}" if line.expires else "-"
        runs = str(line.waiting) if line.waiting else "-"
        roles = ", ".join(line.roles) or "nobody"
        table.add_row(escape(line.name), escape(roles), f"[{colour}]{escape(state)}[/]", until, runs)
    return table

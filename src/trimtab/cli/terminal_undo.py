"""`trimtab terminal undo`: put back what the last `set` changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option

if TYPE_CHECKING:
    from trimtab.cli.terminal_set_around import Around
    from trimtab.terminal.edit_set import Scope, Undone
    from trimtab.terminal.history import Entry

_SCOPES = ("user", "project", "local", "managed")


@click.command()
@click.option("--scope", type=click.Choice(_SCOPES), help="Whose settings.  [default: those changed last]")
@click.option("--dry-run", is_flag=True, help="Print the change and make none.")
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Whose home.  [default: yours]")
@click.option("--project", type=click.Path(path_type=Path), metavar="DIR", help="The project.  [default: this folder]")
@click.option("--yes", is_flag=True, help="Do not ask before managed settings are changed.")
@json_option
def undo(scope: Scope | None, dry_run: bool, home: Path | None, project: Path | None, yes: bool, as_json: bool) -> int:
    """Put back what a settings file held before the last `set`; said again, what it held before the one before.

    Where somebody changed the file since, only the keys that `set` had changed are taken back. Where these were changed again,
    nothing is done, and it leaves with 1.
    """
    from trimtab.cli.terminal_set import see_that_it_is_wanted
    from trimtab.cli.terminal_set_around import around
    from trimtab.terminal.edit_set import undo as take_back

    here = around(home, project, None)
    entry = _last(here, scope)
    if entry is None:
        whose = f"settings of scope {scope}" if scope else "settings here"
        click.echo(f"no change of {whose} is kept: there is nothing to undo", err=True)
        return NOT_FINE
    undone = take_back(entry, try_only=True)
    acts = undone.how in {"exact", "keys"}
    if acts and not dry_run:
        if not as_json:
            _print_diff(undone)
        if entry.scope == "managed":
            see_that_it_is_wanted(entry.real, yes=yes)
    elif undone.how == "refused" and not dry_run and not as_json:
        _print_since(undone)
    # What is done may be other than what was looked at, if somebody wrote in between: it is what is told.
    undone = undone if dry_run else take_back(entry)
    return _say(undone, here, dry_run=dry_run, as_json=as_json)


def _last(here: Around, scope: Scope | None) -> Entry | None:
    from trimtab.terminal.history import entries, newest, state_folder

    kept: list[Entry] = []
    for name in (scope,) if scope else _SCOPES:
        # Another version may have been meant by `set`, which keeps local settings elsewhere.
        paths = {here.path(name), here.place.local} if name == "local" else {here.path(name)}
        for path in paths:
            kept += entries(state_folder(os.environ, name), Path(os.path.realpath(path)))[:1]
    return newest(kept)


def _print_diff(undone: Undone) -> None:
    from trimtab.hosts.shapes import mask

    sys.stdout.write(undone.edit.diff(str(undone.entry.real), mask))
    sys.stdout.flush()


def _print_since(undone: Undone) -> None:
    """Print what others changed since."""
    from trimtab.hosts.shapes import mask
    from trimtab.terminal.edit import Edit

    entry = undone.entry
    sys.stdout.write(Edit(entry.text(entry.written), undone.edit.old_text).diff(str(entry.real), mask))
    sys.stdout.flush()


def _say(undone: Undone, here: Around, *, dry_run: bool, as_json: bool) -> int:
    from trimtab.cli.show import moment, print_json
    from trimtab.hosts.shapes import mask

    entry = undone.entry
    done = undone.how in {"exact", "keys"}
    since = f"{moment(entry.at)} by {entry.who}"
    words = {
        "exact": f"{entry.real} is what it was before {since}",
        "keys": f"{entry.real} was changed by others since {since}: only what `set` had changed is taken back",
        "nothing": f"{entry.real} has nothing of the change of {since} any more: nothing was done, and the change is forgotten",
        "refused": f"{entry.real}: {', '.join(undone.lost)} was set again since {since}: nothing was done",
    }
    if as_json:
        told = {
            "how": undone.how,
            "file": str(entry.real),
            "scope": entry.scope,
            "changed_at": entry.at,
            "changed_by": entry.who,
            "set_again": list(undone.lost),
            "dry_run": dry_run,
            "diff": undone.edit.diff(str(entry.real), mask),
            "runs": here.resolved().model,
        }
        print_json(told)
        return FINE if done else NOT_FINE
    if dry_run:
        (_print_since if undone.how == "refused" else _print_diff)(undone)
        click.echo(f"nothing was written; how it would be undone: {undone.how}")
        return FINE if done else NOT_FINE
    click.echo(words[undone.how], err=not done)
    if undone.how == "refused":
        click.echo("hint: say what it should be: trimtab terminal set MODEL", err=True)
    if done:
        click.echo(f"a fresh session runs {here.resolved().model}")
    return FINE if done else NOT_FINE

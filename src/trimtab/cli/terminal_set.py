"""`trimtab terminal set`: the default model of the terminal, or a lock on it; verified, and taken back where that fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option
from trimtab.core.errors import TrimtabError, UsageError

if TYPE_CHECKING:
    from trimtab.cli.terminal_set_judged import Judged
    from trimtab.terminal.edit_set import Changed, Scope

_SCOPES = ("user", "project", "local", "managed")


@click.command(name="set")
@click.argument("model", metavar="MODEL")
@click.option("--scope", type=click.Choice(_SCOPES), help="Whose settings.  [default: user; with --lock managed]")
@click.option("--lock", is_flag=True, help="Let no other model run; moves sessions that run, too.")
@click.option(
    "--allow", multiple=True, metavar="MODEL", help="With --lock: a model that may run besides. May be repeated."
)
@click.option("--dry-run", is_flag=True, help="Print the change and make none.")
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Whose home.  [default: yours]")
@click.option("--project", type=click.Path(path_type=Path), metavar="DIR", help="The project.  [default: this folder]")
@click.option("--cli-version", metavar="VERSION", help="The terminal's version.  [default: the installed one]")
@click.option("--unknown-ok", is_flag=True, help="Take a model that is in no list.")
@click.option("--yes", is_flag=True, help="Do not ask before managed settings are changed.")
@click.option("--no-verify", is_flag=True, help="Do not run the terminal to see which model it asks for.")
@json_option
def set(  # noqa: A001 - the name of the command
    model: str,
    scope: Scope | None,
    lock: bool,
    allow: tuple[str, ...],
    dry_run: bool,
    home: Path | None,
    project: Path | None,
    cli_version: str | None,
    unknown_ok: bool,
    yes: bool,
    no_verify: bool,
    as_json: bool,
) -> int:
    """Set the model that a fresh session runs, in one settings file; everything else in it stays as it is.

    The change is printed first, the previous version is kept for `trimtab terminal undo`, and the installed terminal is run against
    a stub on loopback to see that it asks for this model. Leaves with 1 where it does not.
    """
    from trimtab.cli.terminal_set_around import around
    from trimtab.cli.terminal_set_judged import judge
    from trimtab.terminal.edit_model import choose
    from trimtab.terminal.edit_set import change, model_changes, preview
    from trimtab.terminal.edit_told import notes
    from trimtab.terminal.history import state_folder

    where = _scope(scope, lock=lock, allow=allow)
    here = around(home, project, cli_version)
    chosen = [choose(asked, here.names, unknown_ok=unknown_ok) for asked in (model, *allow)]
    full, besides = chosen[0].model, [c.model for c in chosen[1:]]
    warnings = [w for c in chosen for w in (*c.warnings, *here.remarks(c.model))]
    warnings += here.loose([c.model for c in chosen]) if lock else []
    path, changes = here.path(where), model_changes(full, besides, lock=lock)
    planned = preview(path, changes, here.check)
    warnings += here.faults(planned.edit.new_text, path)
    told: dict[str, Any] = {
        "model": full,
        "asked": model,
        "scope": where,
        "locked": lock,
        "file": str(path),
        "changed": planned.edit.changes and not dry_run,
        "dry_run": dry_run,
        "diff": _diff(planned, as_json=as_json),
        "warnings": warnings,
        "notes": notes(full, where, besides, lock=lock, watched=path.parent.is_dir()),
    }
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if dry_run:
        return _say_dry(told, as_json=as_json)
    if planned.edit.changes and where == "managed":
        see_that_it_is_wanted(path, yes=yes)
    state = state_folder(os.environ, where)
    changed = change(path, changes, here.check, scope=where, state=state, env=os.environ)
    judged = judge(here, full, verify=not no_verify)
    if judged.restore and changed.entry is not None:
        told["restored"] = _take_back(changed)
    return _say(told, changed, judged, as_json=as_json)


def _scope(scope: Scope | None, *, lock: bool, allow: tuple[str, ...]) -> Scope:
    if allow and not lock:
        raise UsageError("--allow names what may run besides a locked model", hint="add --lock")
    if lock and scope not in {None, "managed"}:
        hint = "leave --scope out; sudo may be needed"
        raise UsageError(
            f"--lock writes managed settings, not those of scope {scope!r}: only these bind everybody", hint=hint
        )
    return scope or ("managed" if lock else "user")


def _diff(changed: Changed, *, as_json: bool) -> str:
    from trimtab.hosts.shapes import mask

    diff = changed.edit.diff(str(changed.real), mask)
    if not as_json:
        sys.stdout.write(diff)
        sys.stdout.flush()
    return diff


def see_that_it_is_wanted(path: Path, *, yes: bool) -> None:
    """Ask before what all users of this host run is changed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{path} holds for every user of this host; nothing was changed", hint="add --yes")
    click.confirm(f"Write {path}? It holds for every user of this host", abort=True, err=True)


def _take_back(changed: Changed) -> bool:
    from trimtab.terminal.edit_set import undo

    assert changed.entry is not None
    try:
        return undo(changed.entry).how in {"exact", "keys"}
    except TrimtabError as error:
        click.echo(f"warning: {error}", err=True)
        return False


def _say_dry(told: dict[str, Any], *, as_json: bool) -> int:
    from trimtab.cli.show import print_json

    if as_json:
        print_json(told)
    else:
        click.echo(f"nothing was written: {told['file']} would {'change so' if told['diff'] else 'stay as it is'}")
        _say_notes(told)
    return FINE


def _say(told: dict[str, Any], changed: Changed, judged: Judged, *, as_json: bool) -> int:
    from trimtab.cli.show import print_json

    restored = told.setdefault("restored", False)
    kept = str(changed.entry.kept) if changed.entry and not restored else None
    fine = not judged.problem
    told |= {
        "changed": changed.edit.changes and not restored,
        "runs": judged.runs,
        "decided_by": judged.decided_by,
        "verified": judged.verified,
        "cli_version": judged.version,
        "kept": kept,
        "fine": fine,
        "problem": judged.problem,
        "mend": judged.mend,
    }
    if as_json:
        print_json(told)
    else:
        _say_what_was_written(told)
        if fine:
            how = "the installed terminal asked for it" if judged.verified else judged.unverified
            click.echo(f"a fresh session runs {judged.runs} ({how})")
            _say_notes(told)
    if not fine:
        click.echo(f"error: {judged.problem}\nhint: {judged.mend}", err=True)
    return FINE if fine else NOT_FINE


def _say_what_was_written(told: dict[str, Any]) -> None:
    if told["restored"]:
        click.echo(f"{told['file']} is again what it was")
    elif told["changed"]:
        click.echo(f"{told['file']} is written; trimtab terminal undo --scope {told['scope']} takes it back")
    else:
        click.echo(f"{told['file']} says so already")


def _say_notes(told: dict[str, Any]) -> None:
    for note in told["notes"]:
        click.echo(f"- {note}")

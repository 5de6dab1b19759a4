"""`trimtab service install`: writes the unit of the worker, and starts it where that is asked for."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.service_planned import Asked, Planned, plan, unit_options
from trimtab.core.errors import UsageError
from trimtab.terminal.edit_file import Found, Fresh, replace

if TYPE_CHECKING:
    from trimtab.hosts.systemd import Ran

_BEFORE = ".before"
_FRESH = Fresh(mode=0o644, folder_mode=0o755)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask before the unit is written.")
@click.option("--start", "start_it", is_flag=True, help="Enable and start it, too, and see that it runs.")
@unit_options
def install(yes: bool, start_it: bool, as_json: bool, **asked: Any) -> int:
    """Write the worker's unit for this host, in one piece; the one before is kept beside it as NAME.service.before.

    The change is printed first. The unit is verified by systemd-analyze where that is installed, and policy and application are loaded
    as the user it runs as: what could not start is not installed. Leaves with 1 where --start was given and it does not run.
    """
    from trimtab.cli.service_prove import prove
    from trimtab.cli.service_show import say

    wanted = Asked(**asked)
    _see_that_it_can_be(wanted, start_it=start_it)
    planned = plan(wanted)
    if not as_json:
        sys.stdout.write(planned.edit.diff(str(planned.file)))
        sys.stdout.flush()
    say(planned)
    if planned.faults:
        raise UsageError(
            f"{planned.unit}: systemd-analyze refuses it; nothing was changed", hint="trimtab service show"
        )
    prove(planned.worker)
    if planned.edit.changes:
        _see_that_it_is_wanted(planned.file, yes=yes)
        _write(planned)
    return _start(planned, as_json=as_json) if start_it else _say_next(planned, as_json=as_json)


def _see_that_it_can_be(asked: Asked, *, start_it: bool) -> None:
    from trimtab.hosts.systemd import is_systemd_here

    everywhere = os.path.realpath(asked.root) == "/"
    if start_it and not everywhere:
        raise UsageError(f"--start: the unit below {asked.root} is not one of this host", hint="leave one of them out")
    if start_it and not is_systemd_here():
        raise UsageError("--start: systemd does not run this host; nothing was changed", hint="leave --start out")
    if everywhere and not asked.own and os.geteuid() != 0:
        hint = "say it with sudo, or --user for a unit of yours"
        raise UsageError("a unit of the system is written by root; nothing was changed", hint=hint)


def _see_that_it_is_wanted(file: Path, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{file} would be written as printed; nothing was changed", hint="add --yes")
    click.confirm(f"Write {file}?", abort=True, err=True)


def _write(planned: Planned) -> None:
    """Keep the unit that is there, then put the new one in its place. Raises UsageError where it changed since it was shown."""

    def make(found: Found) -> bytes:
        if found.text != planned.edit.old_text:
            text = f"{planned.file}: somebody changed it since it was looked at; nothing was changed"
            raise UsageError(text, hint="say it again")
        return planned.text.encode()

    before = planned.edit.old_text
    if before is not None:
        kept = planned.file.with_name(planned.file.name + _BEFORE)
        replace(kept, lambda _: before.encode(), _keep_nothing, _FRESH)
    replace(planned.file, make, _keep_nothing, _FRESH)


def _keep_nothing(found: Found, new: bytes | None) -> Callable[[], None]:
    # The version before is beside the file already.
    del found, new
    return lambda: None


def _say_next(planned: Planned, *, as_json: bool) -> int:
    from trimtab.cli.show import print_json

    commands = _commands(planned)
    if as_json:
        print_json({**planned.told, "changed": planned.edit.changes, "next": commands})
        return FINE
    click.echo(f"{planned.file} {'is written' if planned.edit.changes else 'says so already'}; next:")
    for command in commands:
        click.echo(f"  {command}")
    return FINE


def _commands(planned: Planned) -> list[str]:
    own = planned.worker.own
    base, sudo = ("systemctl --user", "") if own else ("systemctl", "" if os.geteuid() == 0 else "sudo ")
    name = planned.unit
    first = [f"{sudo}{base} daemon-reload", f"{sudo}{base} enable --now {name}"]
    # `enable --now` leaves one that runs as it is.
    if planned.edit.old_text is not None:
        first[1:] = [f"{sudo}{base} enable {name}", f"{sudo}{base} restart {name}"]
    linger = [f"loginctl enable-linger {pwd.getpwuid(os.getuid()).pw_name}"] if own else []
    return [*first, *linger, f"{base} status {name}", f"journalctl {'--user ' if own else ''}-u {name} -f"]


def _start(planned: Planned, *, as_json: bool) -> int:
    from trimtab.cli.show import print_json
    from trimtab.hosts.systemd import start

    ran = start(planned.unit, own=planned.worker.own)
    runs = ran[-1].code == 0
    if as_json:
        told = [{"command": list(one.command), "code": one.code, "said": one.said} for one in ran]
        print_json({**planned.told, "changed": planned.edit.changes, "ran": told, "runs": runs})
    else:
        _say_ran(ran)
    if not runs:
        manager = "--user " if planned.worker.own else ""
        click.echo(f"error: {planned.unit} does not run\nhint: journalctl {manager}-u {planned.unit} -n 50", err=True)
    return FINE if runs else NOT_FINE


def _say_ran(ran: Sequence[Ran]) -> None:
    for one in ran:
        click.echo(" ".join(one.command) + ("" if one.code == 0 else f": left with {one.code}"))
        for line in one.said.splitlines():
            click.echo(f"  {line}")

"""The unit that `trimtab service` shows and installs: for which worker, where, and what to know before."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.options import app_option, environment_option, json_option, load_policy, policy_option, store_option
from trimtab.core.errors import UsageError
from trimtab.hosts.limits import host_of
from trimtab.hosts.service import DEFAULT_NAME, Setting, Worker, unit_settings, unit_text
from trimtab.hosts.systemd import exposure_of, faults_of
from trimtab.terminal.edit import Edit

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy

_SYSTEM = Path("etc/systemd/system")
_OWN = Path(".config/systemd/user")
# systemd.unit(5): 255 characters with the suffix, and these.
_NAME = re.compile(r"[A-Za-z0-9:_.-]{1,200}")
# systemd.exec(5), User=.
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}|\d{1,10}")
_MASK = "/dev/null"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command; every path as it was given."""

    policy_file: str
    factory: str | None
    environment: str
    store: Path | None
    own: bool
    user_name: str | None
    env_file: str | None
    writable: tuple[str, ...]
    name: str
    root: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A unit, the file it belongs in, and what would change there. `warnings` say what to know before it is started."""

    unit: str
    file: Path
    settings: Sequence[Setting]
    worker: Worker
    edit: Edit
    warnings: Sequence[str]
    faults: Sequence[str] | None
    exposure: float | None

    @property
    def text(self) -> str:
        """The unit file as it would be."""
        return self.edit.new_text or ""

    @property
    def told(self) -> dict[str, Any]:
        """Everything of it as JSON has it."""
        return {
            "unit": self.unit,
            "file": str(self.file),
            "installed": self.edit.old_text is not None,
            "same": not self.edit.changes,
            "text": self.text,
            "diff": self.edit.diff(str(self.file)) if self.edit.old_text is not None else "",
            "settings": [{"key": s.key, "value": s.value, "why": s.why} for s in self.settings],
            "warnings": list(self.warnings),
            "verified": None if self.faults is None else not self.faults,
            "faults": list(self.faults or ()),
            "exposure": self.exposure,
        }


def unit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which unit; they come as one `Asked`."""
    for option in reversed((
        policy_option,
        app_option,
        environment_option,
        store_option,
        click.option("--user", "own", is_flag=True, help="A unit of yours (systemctl --user), not of the system."),
        click.option("--user-name", metavar="NAME", help="Whom it runs as.  [default: the owner of the store's folder]"),
        click.option("--env-file", metavar="FILE", help="The file with keys, NAME=VALUE a line, mode 600."),
        click.option("--writable", multiple=True, metavar="DIR", help="Another folder that tools write. May be repeated."),
        click.option("--name", default=DEFAULT_NAME, show_default=True, metavar="NAME", help="The unit's name."),
        click.option("--root", default="/", metavar="DIR", help="Write below DIR, for an image or a test."),
        json_option,
    )):  # fmt: skip
        command = option(command)
    return command


def plan(asked: Asked) -> Planned:
    """Work out the unit. Raises UsageError for whatever a worker could not be started with."""
    from trimtab.cli.service_warnings import warnings

    unit = _unit_name(asked)
    policy = load_policy(asked.policy_file)
    worker = _worker(asked, policy)
    settings = unit_settings(worker, host_of(Path(asked.root)))
    file = _place(asked) / unit
    edit = Edit(_installed(file, unit), unit_text(worker, settings))
    faults = faults_of(unit, edit.new_text or "", own=asked.own)
    exposure = None if asked.own else exposure_of(unit, edit.new_text or "")
    said = warnings(policy, worker, host_of(Path(asked.root)), file)
    return Planned(unit, file, settings, worker, edit, said, faults, exposure)


def _worker(asked: Asked, policy: Policy) -> Worker:
    from trimtab.app import CALLS_AT_ONCE
    from trimtab.policy.resolve import resolve

    resolve(policy, asked.environment, ())  # raises PolicyError where there is no such environment
    source = _absolute(policy.source)
    if not (asked.factory or policy.app.factory):
        hint = f'add [app] factory = "module:callable" to {policy.source}, or give --app'
        raise UsageError(f"{policy.source}: which application?", hint=hint)
    store = _absolute(asked.store or policy.store)
    writes = [
        _folder(store.resolve().parent, "the store's folder"),
        *(_folder(Path(w), "--writable") for w in asked.writable),
    ]
    env_file = _env_file(asked.env_file) if asked.env_file else None
    options = ["--policy", str(source), "--environment", asked.environment]
    options += ["--app", asked.factory] if asked.factory else []
    options += ["--store", str(store)] if asked.store else []
    more = [*(["--user"] if asked.own else []), *(["--user-name", asked.user_name] if asked.user_name else [])]
    more += ["--env-file", str(env_file)] if env_file else []
    more += [word for folder in writes[1:] for word in ("--writable", str(folder))]
    more += ["--name", asked.name] if asked.name != DEFAULT_NAME else []
    worker = Worker(
        command=[*_trimtab(), "worker", "--wait", *options],
        folder=source.parent,
        writes=writes,
        program=[*_program(), *([policy.price_file.resolve().parent] if policy.price_file else [])],
        environment=asked.environment,
        made_by=join(["trimtab", "service", "install", *options, *more]),
        at_once=CALLS_AT_ONCE,
        env_file=env_file,
        own=asked.own,
    )
    return worker if asked.own else replace(worker, user=_user(asked.user_name, writes[0]))


def _unit_name(asked: Asked) -> str:
    name = asked.name.removesuffix(".service")
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {asked.name!r}: no name of a unit", hint="letters, digits, '-', '_', '.' and ':'")
    if asked.own and asked.user_name:
        raise UsageError("--user-name: a unit of yours (--user) runs as you", hint="leave one of the two out")
    if not Path(asked.root).is_dir():
        raise UsageError(f"--root {asked.root!r}: no such folder", hint="name the folder that stands for /")
    return f"{name}.service"


def _place(asked: Asked) -> Path:
    root = Path(asked.root).resolve()
    return root / Path.home().absolute().relative_to("/") / _OWN if asked.own else root / _SYSTEM


def _installed(file: Path, unit: str) -> str | None:
    from trimtab.terminal.edit_file import look

    if file.is_symlink() and os.path.realpath(file) == _MASK:
        raise UsageError(f"{file}: the unit is masked (a link to {_MASK})", hint=f"systemctl unmask {unit}")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file}: no plain file, expected a unit", hint="move it away")
    return look(file).text


def _absolute(given: str | Path) -> Path:
    """Name a file from the root on, by its links (a deployment may switch them), and without the steps back that systemd refuses."""
    path = Path(given).absolute()
    plain = Path(os.path.normpath(path))
    return plain if plain.resolve() == path.resolve() else path.resolve()


def _folder(folder: Path, what: str) -> Path:
    real = folder.absolute().resolve()
    if not real.is_dir():
        # A unit that names a folder which is not there does not start at all.
        raise UsageError(f"{what} {str(folder)!r}: no such folder", hint=f"mkdir -p {folder}")
    return real


def _env_file(given: str) -> Path:
    file = _absolute(given)
    try:
        mode = file.stat().st_mode & 0o777
    except OSError as error:
        hint = f"install -m 600 /dev/null {given}, then write NAME=VALUE lines into it"
        raise UsageError(f"--env-file {given!r}: {(error.strerror or str(error)).lower()}", hint=hint) from None
    if not file.is_file():
        raise UsageError(f"--env-file {given!r}: no plain file", hint="name a file of NAME=VALUE lines")
    if mode & 0o077:
        raise UsageError(
            f"--env-file {given!r}: others may read or write it (mode {mode:o})", hint=f"chmod 600 {given}"
        )
    return file


def _user(given: str | None, folder: Path) -> str | None:
    if given is None:
        # Nobody but root can write a store of root's.
        owner = folder.stat().st_uid
        try:
            return pwd.getpwuid(owner).pw_name if owner else None
        except KeyError:
            text = f"{folder} belongs to user {owner}, who has no name here"
            raise UsageError(text, hint="name whom the worker runs as: --user-name") from None
    if not _USER.fullmatch(given):
        raise UsageError(f"--user-name {given!r}: no name of a user", hint="as in /etc/passwd, or a number")
    try:
        pwd.getpwuid(int(given)) if given.isdigit() else pwd.getpwnam(given)
    except (KeyError, OverflowError):
        hint = f"make it: useradd --system --shell /usr/sbin/nologin {given}"
        raise UsageError(f"--user-name {given!r}: no such user", hint=hint) from None
    return given


def _trimtab() -> list[str]:
    """Give the trimtab in use as a command that needs no PATH."""
    called = _absolute(sys.argv[0])
    for program in (called, Path(sys.executable).with_name("trimtab")):
        if program.name == "trimtab" and program.is_file() and os.access(program, os.X_OK):
            return [str(program)]
    return [sys.executable, "-m", "trimtab"]


def _program() -> list[Path]:
    """Find the folders of Python and of what it imports, those of installed packages that lie elsewhere among them."""
    here = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    imported = [entry for entry in sys.path[1:] if entry and entry not in here]
    named = [sys.prefix, sys.base_prefix, str(Path(os.path.realpath(sys.executable)).parent), *imported]
    return sorted({Path(entry).resolve() for entry in named if Path(entry).is_dir()})

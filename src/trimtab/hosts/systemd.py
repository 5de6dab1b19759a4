"""Asks systemd's own programs about a unit, and starts one; every answer may be missing where they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 20
_SETTLED_S, _PAUSE_S = 4.0, 0.2
_EXPOSURE = re.compile(r"Overall exposure level for .*?: ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Ran:
    """A command, how it left, and what it said."""

    command: Sequence[str]
    code: int
    said: str


def is_systemd_here() -> bool:
    """Whether systemd runs this host (sd_booted(3)): only then can a unit be started."""
    return Path("/run/systemd/system").is_dir()


def faults_of(name: str, text: str, *, own: bool) -> list[str] | None:
    """Give what `systemd-analyze verify` says of a unit, nothing where it is right; None: it could not be asked.

    `own`: it is a unit of a user.
    """
    manager = "--user" if own else "--system"
    found = _analyzed(name, text, ["verify", manager, "--man=no"])
    if found is None:
        return None
    # It looks at what the unit depends on, too: only lines that name this unit are about it.
    lines = [line for line in found.said.splitlines() if name in line]
    return lines if lines or not found.code else None


def exposure_of(name: str, text: str) -> float | None:
    """Give how exposed a unit is, 0 to 10, as `systemd-analyze security` counts (its version 250 or later); None: not known."""
    found = _analyzed(name, text, ["security", "--offline=true", "--no-pager"])
    match = _EXPOSURE.search(found.said) if found else None
    return float(match[1]) if match else None


def start(name: str, *, own: bool) -> list[Ran]:
    """Let systemd read its units again, start this one now and at every start of the host; ends with the first that fails."""
    base = ["systemctl", *(["--user"] if own else [])]
    ran: list[Ran] = []
    for command in ([*base, "daemon-reload"], [*base, "enable", name], [*base, "restart", name]):
        ran.append(_run(command))
        if ran[-1].code:
            return ran
    return [*ran, _settled([*base, "is-active", name])]


def _settled(command: Sequence[str]) -> Ran:
    """Ask whether it runs, until it stopped or has run for a while: a worker that does not like its policy says so at once."""
    until = time.monotonic() + _SETTLED_S
    while True:
        ran = _run(command)
        if ran.code or time.monotonic() > until:
            return ran
        time.sleep(_PAUSE_S)


def _analyzed(name: str, text: str, arguments: Sequence[str]) -> Ran | None:
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="trimtab-unit-") as folder:
        file = Path(folder) / name
        file.write_text(text, "utf-8")
        # The user's manager has its folder there; one who is not logged in has none, and looking needs nothing in it.
        return _run([program, *arguments, str(file)], {"XDG_RUNTIME_DIR": folder, **os.environ})


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Ran:
    try:
        done = subprocess.run(  # noqa: S603 - systemd's programs, with the name of a unit that was checked
            command, env=env, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        return Ran(command, 127, f"{command[0]}: not found")
    except subprocess.TimeoutExpired:
        return Ran(command, 124, f"no answer within {_SECONDS} s")
    return Ran(command, done.returncode, done.stdout + done.stderr)

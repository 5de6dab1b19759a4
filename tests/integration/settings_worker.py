"""Changes settings files in processes made to be killed, refused or raced: used by `test_settings_files.py`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trimtab.terminal.edit_file import Found, Fresh, replace
from trimtab.terminal.edit_set import change, undo
from trimtab.terminal.history import entries

# What Python tells of every file that is opened, locked, renamed or changed, and the calls of C.
_STEPS = ("open", "os.", "fcntl.", "ctypes.")


def fine(text: str, path: Path) -> None:
    """Find nothing wrong with any file."""


def set_model(path: Path, state: Path, model: str) -> None:
    env = {"XDG_STATE_HOME": str(state)}
    change(path, {"model": model}, fine, scope="user", state=state, env=env)


def undo_newest(path: Path, state: Path) -> str:
    return undo(entries(state, path.resolve())[0]).how


def fork(life: Callable[[], Any], *, kill_at: int | None = None, user: int | None = None) -> tuple[int, str]:
    """Live in a fork, and give its exit code and what it said; `kill_at`: it is killed at that step, by itself."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            if kill_at is not None:
                _die_at(kill_at)
            os.write(writing, str(life()).encode())
            code = 0
        except BaseException as error:  # noqa: BLE001 - the child must never return into the tests
            os.write(writing, str(error).encode())
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        text = said.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def _die_at(step: int) -> None:
    left = [step]

    def watch(event: str, _arguments: Any) -> None:
        if event.startswith(_STEPS):
            left[0] -= 1
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def add_keys(path: Path, name: str, count: int) -> None:
    """Add keys one by one, as several writers at once do."""
    for number in range(count):
        key = f"{name}-{number}"

        def make(found: Found, key: str = key) -> bytes:
            return json.dumps({**json.loads(found.content or b"{}"), key: 1}).encode()

        replace(path, make, lambda _found, _new: lambda: None, Fresh())

"""The folder of a settings file: made with the right owner, held against other trimtabs, brought to disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from trimtab.core.errors import UsageError

_PATIENCE_S = 20.0


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those above it; made by root, they are the owner's of the folder that was there."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)
        if os.geteuid() == 0:
            above = folder.parent.stat()
            os.chown(folder, above.st_uid, above.st_gid)
        sync(folder.parent)


@contextmanager
def alone(folder: Path) -> Generator[bool]:
    """Hold the folder against other trimtabs; gives whether that is known (a network file system may not say)."""
    import fcntl

    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _locked(opened, folder, fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(opened)


def _locked(opened: int, folder: Path, lock: Callable[[int, int], None], how: int) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            lock(opened, how)
        except BlockingIOError:
            if time.monotonic() > until:
                raise UsageError(f"{folder}: another process holds it", hint=f"see which: fuser -v {folder}") from None
            time.sleep(0.01)
        except OSError:
            return False
        else:
            return True


def sync(folder: Path) -> None:
    """See that the names in a folder survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some file systems do not sync folders, and need not.
        with suppress(OSError):
            os.fsync(opened)
    finally:
        os.close(opened)

"""Two renames that Python does not have: exchange two files, and move one unless there is one already."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_UNLESS_THERE, _EXCHANGE = 1, 2
_HERE = -100  # AT_FDCWD: paths are relative to where we are
# Where the system or the file system does not have them, a plain rename is what there is.
_LACKING = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})


def exchange(one: Path, other: Path) -> None:
    """Let each file have the other's name, at once. Where that is not possible, `one` takes the place of `other`."""
    if not _rename(one, other, _EXCHANGE):
        one.replace(other)


def move_unless_there(source: Path, target: Path) -> bool:
    """Rename a file; False where there is one of that name already."""
    try:
        if not _rename(source, target, _UNLESS_THERE):
            os.link(source, target)
            source.unlink()
    except FileExistsError:
        return False
    return True


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Call renameat2(2); False where there is none. Raises OSError."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if call(_HERE, os.fsencode(source), _HERE, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _LACKING:
        return False
    raise OSError(number, os.strerror(number), str(target))

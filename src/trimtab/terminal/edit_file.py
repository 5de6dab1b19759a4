"""Replaces a settings file whole: a reader sees the old or the new one, whatever happens, and what another writes is not lost."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from secrets import token_hex

from trimtab.core.errors import UsageError
from trimtab.terminal.edit_folder import alone, make_folder, sync
from trimtab.terminal.edit_rename import exchange, move_unless_there

LARGEST = 16 * 2**20
_TRIES = 50
_PAUSE_S = 0.01
_TEMPORARY = ".trimtab-"


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it stands. `real` is where links lead; `content` None: there is no file."""

    path: Path
    real: Path
    content: bytes | None
    stat: os.stat_result | None = None

    @property
    def text(self) -> str | None:
        """The content as text. Raises UsageError where it is none."""
        try:
            return None if self.content is None else self.content.decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise UsageError(f"{self.path}: line {line}: not UTF-8 text", hint="save the file as UTF-8") from None


@dataclass(frozen=True, slots=True)
class Fresh:
    """How a file that is not there yet is made: its mode, and the mode of folders that have to be made for it."""

    mode: int = 0o600
    folder_mode: int = 0o700


def look(path: Path) -> Found:
    """Read a file, following links. Raises UsageError where there is something that is no file, or that may not be read."""
    with told(path):
        real = Path(os.path.realpath(path))
        try:
            seen = real.stat()
        except FileNotFoundError:
            if dangling := next((p for p in (path, *path.parents) if p.is_symlink() and not p.exists()), None):
                hint = f"rm {dangling}, or make {dangling.readlink()}"
                raise UsageError(
                    f"{dangling}: a link to {dangling.readlink()}, which is not there", hint=hint
                ) from None
            return Found(path, real, None)
        if not stat.S_ISREG(seen.st_mode):
            kind = "a folder" if stat.S_ISDIR(seen.st_mode) else "no plain file"
            raise UsageError(
                f"{path}: {kind}, expected a file", hint="the terminal cannot read it either; move it away"
            )
        if seen.st_size > LARGEST:
            raise UsageError(f"{path}: {seen.st_size:,} bytes, expected settings", hint="see what is in it")
        return Found(path, real, real.read_bytes(), seen)


def replace(
    path: Path,
    make: Callable[[Found], bytes | None],
    before: Callable[[Found, bytes | None], Callable[[], None]],
    fresh: Fresh,
) -> tuple[Found, bytes | None]:
    """Put what `make` makes of a file in its place (None: no file); gives what was replaced, and by what.

    make:   called again with what another writer wrote in between, so that it is not lost. Raises to leave all as it is.
    before: called with both when the new file is about to take the place; gives what to do where it did not.
    Raises UsageError where the file cannot be written; then it is as it was and nothing is left beside it.
    """
    with told(path):
        _see_that_it_may(path)
        make_folder(Path(os.path.realpath(path)).parent, fresh.folder_mode)
        with alone(Path(os.path.realpath(path)).parent) as held:
            for _ in range(_TRIES):
                found = look(path)
                if held:
                    _sweep(found.real)
                new = make(found)
                if new == found.content or _put(found, new, before, fresh):
                    return found, new
                time.sleep(_PAUSE_S)
    raise UsageError(f"{path}: somebody else writes it all the time; nothing was changed", hint="try again later")


def _put(
    found: Found, new: bytes | None, before: Callable[[Found, bytes | None], Callable[[], None]], fresh: Fresh
) -> bool:
    """Put the new file in the place of the found one; False: another writer was faster, and the file is theirs."""
    temporary = found.real.with_name(f".{found.real.name}{_TEMPORARY}{token_hex(6)}.tmp")
    done = False
    revoke: Callable[[], None] | None = None
    try:
        if new is not None:
            _write(temporary, found, new, fresh)
        revoke = before(found, new)
        if _content(found.real) == found.content:
            done = _swap(temporary, found, new)
            sync(found.real.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
        # Stopped right after the file took its place, what was there must still be known.
        if revoke and not done and _content(found.real) != new:
            revoke()
    return done


def _swap(temporary: Path, found: Found, new: bytes | None) -> bool:
    if found.content is None:
        return move_unless_there(temporary, found.real)
    if new is None:
        found.real.rename(temporary)
        if _content(temporary) == found.content:
            return True
        move_unless_there(temporary, found.real)
        return False
    ours, expected, placed = True, found.content, new
    for _ in range(_TRIES):
        try:
            exchange(temporary, found.real)
        except FileNotFoundError:
            return False
        # What was displaced must be what the new content was made of. If not, somebody wrote since: theirs goes back.
        displaced = _content(temporary)
        if displaced is None or displaced == expected:
            return ours
        ours, expected, placed = False, placed, displaced
    return False


def _write(temporary: Path, found: Found, new: bytes, fresh: Fresh) -> None:
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _own(file, found)
        if found.stat is not None:
            _copy_attributes(found.real, temporary)
        # After the owner: a change of owner takes some bits of the mode away.
        os.fchmod(file, fresh.mode if found.stat is None else stat.S_IMODE(found.stat.st_mode))
        view = memoryview(new)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)


def _own(file: int, found: Found) -> None:
    """Give the file the owner and group of the one it replaces; a new one made by root is its folder's owner's."""
    made, wanted = os.fstat(file), found.stat or found.real.parent.stat()
    if found.stat is None and os.geteuid() != 0:
        return
    if (made.st_uid, made.st_gid) == (wanted.st_uid, wanted.st_gid):
        return
    try:
        os.fchown(file, wanted.st_uid, wanted.st_gid)
    except PermissionError:
        hint = f"run this as its owner: sudo -u '#{wanted.st_uid}' trimtab ..."
        text = f"{found.path}: it belongs to user {wanted.st_uid}, group {wanted.st_gid}, and would not any more"
        raise UsageError(text, hint=hint) from None


def _copy_attributes(source: Path, target: Path) -> None:
    if not hasattr(os, "listxattr"):
        return
    # Access lists and labels: kept where the file system has them and we may set them.
    with suppress(OSError):
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


def _see_that_it_may(path: Path) -> None:
    found = look(path)
    if found.stat is None:
        return
    if found.stat.st_nlink > 1 and not _only_ours(found):
        hint = f"give it a file of its own first: cp -p {path} {path}.own && mv {path}.own {path}"
        names = f"{found.stat.st_nlink} names (hard links)"
        raise UsageError(f"{path}: the file has {names}, and a new file in its place would part them", hint=hint)
    if os.geteuid() == 0 and (link := _foreign_link(path, found.stat.st_uid)):
        text = f"{path}: {link} leads to a file of user {found.stat.st_uid}, and is neither theirs nor root's"
        raise UsageError(text, hint=f"name the file itself if that is what you want: {found.real}")


def _only_ours(found: Found) -> bool:
    assert found.stat is not None
    return found.stat.st_nlink == 1 + sum(left.samefile(found.real) for left in _left(found.real))


def _foreign_link(path: Path, owner: int) -> Path | None:
    """Find a link on the way that a user made to a file of another: root must not follow it."""
    steps = [path, *path.parents]
    return next((s for s in steps if s.is_symlink() and s.lstat().st_uid not in {0, owner}), None)


def _sweep(real: Path) -> None:
    """Take away what a killed trimtab left beside the file; the folder is held, so it is nobody's."""
    for left in _left(real):
        with suppress(OSError):
            left.unlink()


def _left(real: Path) -> list[Path]:
    return [p for p in real.parent.glob(f".{escape(real.name)}{_TEMPORARY}*.tmp") if p.is_file()]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


_HINTS = {
    errno.ENOSPC: "make room there (df -h), then say it again",
    errno.EDQUOT: "make room there (quota), then say it again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then say it again",
    errno.EROFS: "the file system is read-only: change the file where it comes from",
    errno.EACCES: "run this as the owner of the folder, or with sudo",
    errno.EPERM: "see whether it is immutable (lsattr), or run this with sudo",
    errno.ELOOP: "the links lead in a circle: rm one of them",
    errno.ENOTDIR: "something on the way is a file: move it away",
    errno.EXDEV: "the file itself is a mount: change it where it comes from",
    errno.EBUSY: "the file itself is a mount: change it where it comes from",
}


@contextmanager
def told(path: Path) -> Generator[None]:
    """Make one error of what the system says: the file, the reason, the next thing to do."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = _HINTS.get(error.errno or 0, "check the path and who may write there")
        raise UsageError(f"{path}: cannot be read or written: {reason}; nothing was changed", hint=hint) from None

"""Keeps what a settings file held before trimtab changed it: the last five versions of each, readable by their owner only.

An entry is written before the file is replaced. If trimtab is killed in between, the entry says what did not come to be; whoever
undoes it sees that nothing of it is in the file.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import getpass
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from trimtab.core.errors import UsageError
from trimtab.terminal.edit_file import Found, told
from trimtab.terminal.edit_folder import make_folder, sync

KEPT = 5
_EVERYBODYS = Path("/var/lib")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a file. `previous` and `written` are whole contents, None: there was, or is, no file.

    `named` is the path as it was given, `real` where links led. `mode`, `uid` and `gid` are those of the previous file.
    `kept` is where this stands.
    """

    named: Path
    real: Path
    scope: str
    previous: bytes | None
    written: bytes | None
    at: datetime
    who: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    kept: Path | None = None

    def text(self, content: bytes | None) -> str | None:
        """Give one of the contents as text."""
        return None if content is None else content.decode()


def state_folder(env: Mapping[str, str], scope: str) -> Path:
    """Find where versions are kept: the user's state, or for what all users share the system's."""
    if given := env.get("XDG_STATE_HOME"):
        return Path(given) / "trimtab" / "terminal"
    if scope == "managed":
        return _EVERYBODYS / "trimtab" / "terminal"
    return Path(env.get("HOME") or Path.home()) / ".local" / "state" / "trimtab" / "terminal"


def entry_of(found: Found, written: bytes | None, scope: str, env: Mapping[str, str]) -> Entry:
    """Describe a change that is about to be made."""
    seen = found.stat
    owner = (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid) if seen else (None, None, None)
    return Entry(found.path, found.real, scope, found.content, written, datetime.now(UTC), _who(env), *owner)


def push(state: Path, entry: Entry) -> Entry:
    """Keep an entry, durably, and no more than the last five of a file; gives it with where it is kept. Raises UsageError."""
    folder = state / _name(entry.real)
    with told(folder):
        make_folder(folder, 0o700)
        number = max((int(p.name.partition("-")[0]) for p in _files(folder)), default=0) + 1
        kept = folder / f"{number:08}-{token_hex(4)}.json"
        temporary = kept.with_suffix(".tmp")
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(_packed(entry))
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), folder.stat().st_uid, folder.stat().st_gid)
            temporary.rename(kept)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync(folder)
        for old in _files(folder)[KEPT:]:
            drop(old)
    return dataclasses.replace(entry, kept=kept)


def drop(kept: Path | None) -> None:
    """Forget an entry."""
    if kept is not None:
        with suppress(FileNotFoundError):
            kept.unlink()


def entries(state: Path, real: Path) -> list[Entry]:
    """Give what is kept of a file, newest first. Raises UsageError where it cannot be read."""
    folder = state / _name(real)
    with told(folder):
        return [_unpacked(kept) for kept in _files(folder)]


def newest(kept: Sequence[Entry]) -> Entry | None:
    """Give the change that was made last, of whichever file."""
    return max(kept, key=lambda entry: entry.at, default=None)


def _name(real: Path) -> str:
    return hashlib.sha256(os.fsencode(real)).hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*-*.json"), reverse=True) if folder.is_dir() else []


def _who(env: Mapping[str, str]) -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    behind = env.get("SUDO_USER")
    return f"{name} (sudo by {behind})" if behind and behind != name else name


def _packed(entry: Entry) -> bytes:
    contents = {"previous": entry.previous, "written": entry.written}
    told = {
        "named": os.fsdecode(entry.named),
        "real": os.fsdecode(entry.real),
        "scope": entry.scope,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        **{name: None if c is None else base64.b64encode(c).decode() for name, c in contents.items()},
        **{f"{name}_sha256": _digest(c) for name, c in contents.items()},
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def _unpacked(kept: Path) -> Entry:
    try:
        said: dict[str, Any] = json.loads(kept.read_bytes())
        contents = {
            name: None if said[name] is None else base64.b64decode(said[name], validate=True)
            for name in ("previous", "written")
        }
        if any(_digest(content) != said[f"{name}_sha256"] for name, content in contents.items()):
            raise ValueError("its digests are those of other contents")  # noqa: TRY301
        at = datetime.fromisoformat(said["at"])
        owner = (said["mode"], said["uid"], said["gid"])
        paths = (Path(said["named"]), Path(said["real"]))
        return Entry(*paths, said["scope"], contents["previous"], contents["written"], at, said["who"], *owner, kept)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise UsageError(f"{kept}: not a version that trimtab kept: {error}", hint=f"rm {kept}") from None


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()

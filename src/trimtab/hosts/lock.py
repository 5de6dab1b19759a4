"""Keeps two operators apart: a lock on the host that is held as long as the one who took it is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from trimtab.hosts.ssh import BEGIN, Busy, Ran, Refused, Ssh, Trouble, Unreachable, script, shut

# A dead operator's lock is free after this much silence; a live one is heard a few times within it.
_SILENCE_S, _BEAT_S = 20.0, 5.0
_LONGEST_NAME = 60
_GRACE_S = 2.0
# The lock of one that was killed a moment ago is waited for there.
_TAKEN_WITHIN_S = 15.0


@dataclass(slots=True)
class _Lock:
    token: str
    process: asyncio.subprocess.Process
    beats: asyncio.Task[None]


@dataclass(slots=True)
class Guard:
    """Holds the lock of files on a host for `who`, and takes it again where the connection broke meanwhile."""

    ssh: Ssh
    paths: tuple[str, ...]
    who: str
    _lock: _Lock | None = field(default=None, init=False)
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def token(self) -> str | Trouble:
        """Give what names the lock that is held; takes it where it is not. `Busy` says who holds it, and since when."""
        async with self._taking:
            if self._lock is not None and self._lock.process.returncode is None:
                return self._lock.token
            await self._drop()
            taken = await _take(self.ssh, self.paths, self.who)
            if not isinstance(taken, _Lock):
                return taken
            self._lock = taken
            return taken.token

    def held(self) -> str | Trouble:
        """Give what names the lock that was taken last, whether or not it has been lost since."""
        return Refused("the lock was lost") if self._lock is None else self._lock.token

    async def release(self) -> None:
        """Give the lock back."""
        async with self._taking:
            await self._drop()

    async def _drop(self) -> None:
        lock, self._lock = self._lock, None
        if lock is None:
            return
        lock.beats.cancel()
        assert lock.process.stdin
        with suppress(OSError):
            lock.process.stdin.write(b"q")
            lock.process.stdin.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await lock.process.wait()
        shut(lock.process)


async def _take(ssh: Ssh, paths: tuple[str, ...], who: str) -> _Lock | Trouble:
    token, name = token_hex(8), " ".join(who.split())[:_LONGEST_NAME]
    try:
        process = await ssh.start(script("lock"), name, token, f"{_SILENCE_S:g}", *paths)
    except OSError as error:
        return Unreachable(f"ssh cannot be started here: {error.strerror or error}")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    seconds = max(ssh.timeout, _TAKEN_WITHIN_S)
    try:
        async with asyncio.timeout(seconds):
            with suppress(asyncio.IncompleteReadError):
                await process.stdout.readuntil(BEGIN)
            line = (await process.stdout.readline()).decode(errors="replace").strip()
            if line == "held":
                return _Lock(token, process, asyncio.create_task(_beat(process.stdin)))
            process.stdin.close()
            errors = await process.stderr.read()
            code = await process.wait()
    except TimeoutError:
        shut(process)
        return Unreachable(f"no answer in {seconds:g} s")
    except BaseException:
        shut(process)
        raise
    if line.startswith("refused"):
        return Busy(f"somebody else is changing it: {line.removeprefix('refused').strip() or 'nobody knows who'}")
    said = Ran(code, b"", errors).said
    return Unreachable(said) if code == 255 else Refused(f"the lock cannot be taken there: {said}")  # noqa: PLR2004 - ssh's own failure


async def _beat(pipe: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while True:
            await asyncio.sleep(_BEAT_S)
            pipe.write(b"b")
            await pipe.drain()

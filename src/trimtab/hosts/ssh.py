"""Runs scripts on a host by the system's `ssh`, so that a user's config, keys, jump hosts and proxy commands work."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

# Names another ssh, with options of its own where it has some.
PROGRAM = "TRIMTAB_SSH"
LARGEST = 17 * 2**20
_TAIL = 64 * 2**10
_GRACE_S = 0.5
# A socket's path has at most 107 bytes, and ssh puts 17 behind it while it makes one.
_LONGEST_SOCKET = 107 - 17
_FAILED = 255
# A shell that starts before the script and ends after it says where it begins and how it ended: what a user's .bashrc prints comes
# before, ssh itself also leaves with 255, and what a restarted service inherits may keep the connection open for ever.
_AROUND = 'echo trimtab-begin; s=$1; shift; sh -c "$s" trimtab "$@"; printf "\\ntrimtab-exit %s\\n" "$?"'
BEGIN = b"trimtab-begin\n"
_END = re.compile(rb"\ntrimtab-exit (\d+)\n\Z")
_OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"),
    # Of what a user's config says for a shell of their own, these would get in the way of a command.
    *("RemoteCommand=none", "ClearAllForwardings=yes", "PermitLocalCommand=no"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """A script ended there: its exit code and what it printed."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        """Give the last line that says something, of the errors first."""
        lines = [
            line.strip() for stream in (self.out, self.err) for line in stream.decode(errors="replace").split("\n")
        ]
        if said := next((line for line in reversed(lines) if line), ""):
            # Whatever a program there prints must not steer the terminal of who reads it here.
            return "".join(sign for sign in said if sign.isprintable())[:500]
        return f"exit code {self.code}, and nothing said"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody knows whether, or how far, the script ran there."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The host was reached, and said no. `changed`: because somebody else wrote the file meanwhile."""

    why: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Busy(Refused):
    """Another operator holds the lock there; `why` says who, and since when."""


Came: TypeAlias = Ran | Unreachable
Trouble: TypeAlias = Refused | Unreachable


@dataclass(frozen=True, slots=True)
class Ssh:
    """One host as the system's ssh reaches it.

    options: of the group, put before ours. become: a command before each there. control_dir: a folder of our own for the socket
    of the connection that all commands share. timeout: seconds for each.
    """

    address: str
    options: tuple[str, ...]
    become: str
    control_dir: Path
    timeout: float

    async def run(self, script: str, *args: str, stdin: bytes = b"", timeout: float | None = None) -> Came:  # noqa: ASYNC109 - it ends the local processes too
        """Run a script of `sh` there, with its arguments and input."""
        seconds = timeout or self.timeout
        try:
            process = await self.start(script, *args)
        except OSError as error:
            return Unreachable(f"ssh cannot be started here: {error.strerror or error}")
        try:
            async with asyncio.timeout(seconds):
                out, err = await _talk(process, stdin)
        except TimeoutError:
            # The connection may be what hangs: the next command makes its own.
            await _kill(process)
            await self.close()
            return Unreachable(f"no answer in {seconds:g} s")
        except BaseException:
            await _kill(process)
            raise
        finally:
            shut(process)
        if ended := _END.search(out):
            return Ran(int(ended[1]), out[: ended.start()].partition(BEGIN)[2], err)
        code = process.returncode
        if code is None or code < 0 or code == _FAILED:
            return Unreachable(Ran(_FAILED, b"", err).said if err.strip() else "the connection broke")
        return Ran(code, out, err)

    async def start(self, script: str, *args: str) -> asyncio.subprocess.Process:
        """Start a script there and give the local process, to be talked to. Raises OSError where there is no ssh."""
        quoted = " ".join(shlex.quote(word) for word in (_AROUND, "trimtab", script, *args))
        command = f"{self.become} sh -c {quoted}".strip()
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self._words(), "--", self.address, command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )

    async def close(self) -> None:
        """End the shared connection."""
        quiet = asyncio.subprocess.DEVNULL
        with suppress(OSError):
            words = (*self._words(), "-O", "exit", "--", self.address)
            process = await asyncio.create_subprocess_exec(
                *words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
            )
            if not await _ends(process):
                await _kill(process)
            shut(process)

    def _words(self) -> list[str]:
        program = shlex.split(os.environ.get(PROGRAM, "")) or ["ssh"]
        options = [word for option in (*_OPTIONS, *self._shared()) for word in ("-o", option)]
        return [*program, *self.options, "-T", *options]

    def _shared(self) -> Sequence[str]:
        # Whom it reaches also depends on the options and on who one becomes.
        name = sha256(repr((self.address, self.options)).encode()).hexdigest()[:8]
        path = self.control_dir / name
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            return ("ControlMaster=no", "ControlPath=none")
        return ("ControlMaster=auto", f"ControlPath={str(path).replace('%', '%%')}", "ControlPersist=30")


@asynccontextmanager
async def connections() -> AsyncGenerator[Callable[[str, tuple[str, ...], str, float], Ssh]]:
    """Give what makes `Ssh` of (address, options, become, timeout), over connections that end with the block."""
    short = "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - a folder of our own is made in it
    folder = Path(tempfile.mkdtemp(prefix="trimtab-", dir=short))
    made: dict[tuple[str, tuple[str, ...], str, float], Ssh] = {}

    def connect(address: str, options: tuple[str, ...], become: str, timeout: float) -> Ssh:
        return made.setdefault((address, options, become, timeout), Ssh(address, options, become, folder, timeout))

    try:
        yield connect
    finally:
        await asyncio.gather(*(ssh.close() for ssh in made.values()))
        shutil.rmtree(folder, ignore_errors=True)


@cache
def script(name: str) -> str:
    """Read one of the scripts that run on hosts."""
    return (files("trimtab.hosts") / "scripts" / f"{name}.sh").read_text("utf-8")


def shut(process: asyncio.subprocess.Process) -> None:
    """Close the lines to a process, which others may hold open, and end it if it has not."""
    # asyncio has no public way to; without it a line that others hold open outlives the event loop.
    transport: asyncio.SubprocessTransport = process._transport  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    transport.close()  # pyright: ignore[reportUnknownMemberType]


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes]:
    """Give what it prints and its errors, until both end, or the script has: what it started may hold the lines open."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    errors = bytearray()
    besides = [asyncio.create_task(_send(process.stdin, stdin)), asyncio.create_task(_keep(process.stderr, errors))]
    try:
        out = bytearray()
        await _keep(process.stdout, out, _END)
        if not _END.search(out):
            await asyncio.gather(process.wait(), besides[1])
        elif not await _ends(process):
            # Only this one: the processes beside it may carry the connection that others share.
            with suppress(ProcessLookupError):
                process.kill()
        await asyncio.wait(besides[1:], timeout=_GRACE_S)
    finally:
        for task in besides:
            task.cancel()
        await asyncio.gather(*besides, return_exceptions=True)
    return bytes(out), bytes(errors)


async def _send(pipe: asyncio.StreamWriter, given: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(given)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()


async def _keep(pipe: asyncio.StreamReader, kept: bytearray, end: re.Pattern[bytes] | None = None) -> None:
    """Keep the beginning, as much as a settings file may have, and the end."""
    while chunk := await pipe.read(_TAIL):
        kept += chunk
        if len(kept) > LARGEST + 2 * _TAIL:
            del kept[LARGEST:-_TAIL]
        if end is not None and end.search(kept, max(0, len(kept) - 40)):
            return


async def _ends(process: asyncio.subprocess.Process) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    return process.returncode is not None


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill it with all that it started here."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await _ends(process)

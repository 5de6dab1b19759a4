"""What may be done on one host, each by one script there: read and swap files, restart, ask for an answer, look at health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from shlex import quote
from typing import Any, Literal

from trimtab.hosts.answer import Answered, read_answer
from trimtab.hosts.lock import Guard
from trimtab.hosts.ssh import Came, Ran, Refused, Ssh, Trouble, Unreachable, script
from trimtab.policy.rollout_spec import HealthSpec, HostGroup

ABSENT = "absent"
_CHANGED, _NO_VERSION, _LOCK_LOST, _TIMED_OUT = 3, 4, 5, 124
_FRESH_MODE = "644"
# Of a sender who is gone no more is waited for; shorter than another swap of the file waits for its turn.
_SENT_WITHIN_S = 20.0
# What a command takes besides the time that is given to it there.
_BESIDES_S = 15.0


@dataclass(frozen=True, slots=True)
class Found:
    """A file there: where links lead, and its content (None: there is none). `owner` is `MODE USER:GROUP`."""

    path: str
    real: str
    content: bytes | None
    owner: str = ""

    @property
    def digest(self) -> str:
        """Name the content, so that nobody's change is written over."""
        return digest_of(self.content)

    @property
    def text(self) -> str | None:
        """Give the content as text. Raises UnicodeDecodeError."""
        return None if self.content is None else self.content.decode()


@dataclass(frozen=True, slots=True)
class Version:
    """A version that is kept of a file: its number, digest, and when it was written."""

    number: int
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Remote:
    """One host of a group. `guard` holds the lock there, without which nothing is written (None: only looked at)."""

    group: HostGroup
    ssh: Ssh
    guard: Guard | None = None

    @property
    def host(self) -> str:
        """The address."""
        return self.ssh.address

    async def read(self, path: str) -> Found | Trouble:
        """Read a file whole."""
        came = await self.ssh.run(script("read"), path)
        if isinstance(came, Unreachable) or came.code:
            return _trouble(came)
        head, _, rest = came.out.partition(b"\n")
        real, _, content = rest.partition(b"\n")
        kind, _, owner = head.decode(errors="replace").partition(" ")
        return Found(path, real.decode(errors="replace"), content if kind == "file" else None, owner)

    async def swap(
        self,
        how: Literal["write", "restore", "remove"],
        path: str,
        before: str,
        after: str,
        content: bytes = b"",
        *,
        anew: bool = True,
    ) -> Trouble | None:
        """Give a file the content that has the digest `after`, if it has `before` now; `restore`: a version that is kept there.

        anew: a lock that was lost may be taken anew. Else somebody may have gone on since this was decided, and it is refused.

        Gives None also where it was so already. None of the troubles but `Unreachable` leaves anything changed.
        """
        came: Came = Unreachable("")
        for _ in range(2):
            token = (await self.guard.token() if anew else self.guard.held()) if self.guard else ""
            if not isinstance(token, str):
                return token
            words = (how, path, before, after, _FRESH_MODE, token, f"{min(self.ssh.timeout, _SENT_WITHIN_S):g}")
            came = await self.ssh.run(script("swap"), *words, stdin=content)
            if isinstance(came, Unreachable) or came.code != _LOCK_LOST or self.guard is None or not anew:
                break
            await self.guard.release()
        if isinstance(came, Ran) and came.code == 0:
            return None
        if isinstance(came, Ran) and came.code == _NO_VERSION:
            return Refused(f"{path}: no version of it is kept that has the digest {after[:12]}")
        return Refused(came.said, changed=True) if isinstance(came, Ran) and came.code == _CHANGED else _trouble(came)

    async def versions(self, path: str) -> tuple[Version, ...] | Trouble:
        """Give the versions that are kept of a file, the oldest first."""
        came = await self.ssh.run(script("versions"), path)
        if isinstance(came, Unreachable) or came.code:
            return _trouble(came)
        return tuple(_version(line) for line in came.out.decode().splitlines())

    async def restart(self) -> datetime | Trouble:
        """Restart what reads the files, if anything is to be; gives the host's time after it."""
        unit, command = self.group.unit or "", self.group.restart or ("" if self.group.unit else "true")
        if self.group.restart:
            unit = ""
        came = await self._within(script("restart"), unit, command)
        if isinstance(came, Unreachable) or came.code:
            return _trouble(came, self._seconds)
        return datetime.fromtimestamp(float(came.out.split(b"\n")[-2]), UTC)

    async def ask(self, command: str, roles: frozenset[str]) -> Answered | Unreachable:
        """Ask which model answers there, by `prove` or `last` of the group."""
        came = await self._within(script("command"), command)
        if isinstance(came, Unreachable):
            return came
        if came.code:
            return Answered(why=_said(came, self._seconds))
        return read_answer(came.out.decode(errors="replace"), roles)

    async def healthy(self, check: HealthSpec, since: datetime | None) -> Trouble | None:
        """Make one check. `since`: when the change was made, by the host's clock; None: a check of runs has been made before."""
        if check.http is not None:
            came = await self._within(script("http"), check.http)
        elif check.journal is not None:
            return None if since is None else await self._first_run(check.journal, since)
        else:
            came = await self._within(script("command"), check.command or "true")
        if isinstance(came, Ran) and came.code == 0:
            return None
        return _trouble(came, self._seconds)

    async def look(self) -> Mapping[str, str] | Trouble:
        """Give the limits of the unit, and the version of the terminal (`claude`), as far as there are any."""
        came = await self.ssh.run(script("look"), self.group.unit or "", timeout=self._seconds + _BESIDES_S)
        if isinstance(came, Unreachable) or came.code:
            return _trouble(came)
        lines = (line.partition("=") for line in came.out.decode(errors="replace").splitlines())
        return {key: value for key, _, value in lines if value}

    @property
    def _seconds(self) -> float:
        return self.group.timeout.total_seconds()

    async def _within(self, text: str, *args: str) -> Came:
        """Run a script that gives up there in time, as nothing here can end it."""
        seconds = f"{self._seconds:g}"
        return await self.ssh.run(text, *args, seconds, timeout=self._seconds + _BESIDES_S)

    async def _first_run(self, policy: str, since: datetime) -> Trouble | None:
        """Wait for a run that was accepted after the change to complete, as long as the group's timeout."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._seconds
        while True:
            came = await self._within(
                script("command"), f"trimtab runs list --json --limit 200 --policy {quote(policy)}"
            )
            if isinstance(came, Unreachable) or came.code:
                return _trouble(came, self._seconds)
            statuses = _since(came.out, since)
            if statuses is None:
                return Refused(f"`trimtab runs list --json --policy {policy}` there did not print runs")
            if "completed" in statuses:
                return None
            if clock() > until:
                told = f"{len(statuses)} began, none completed" if statuses else "none began"
                return Refused(f"no run completed within {self._seconds:g} s after the change: {told}")
            await asyncio.sleep(1)


def digest_of(content: bytes | None) -> str:
    """Name content; `absent` where there is none."""
    return ABSENT if content is None else sha256(content).hexdigest()


def _trouble(came: Came, seconds: float = 0) -> Trouble:
    if isinstance(came, Unreachable):
        return came
    return Refused(_said(came, seconds))


def _said(came: Ran, seconds: float) -> str:
    return f"no end in {seconds:g} s" if came.code == _TIMED_OUT and seconds else came.said


def _version(line: str) -> Version:
    name, _, seconds = line.partition(" ")
    number, _, digest = name.partition("-")
    return Version(int(number), digest, datetime.fromtimestamp(float(seconds), UTC))


def _since(out: bytes, since: datetime) -> list[str] | None:
    """Give how runs stand that were accepted since; None: these are no runs."""
    try:
        lines: Any = json.loads(out)
        return [line["status"] for line in lines if datetime.fromisoformat(line["accepted_at"]) >= since]
    except (ValueError, TypeError, KeyError):
        return None

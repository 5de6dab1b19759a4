"""Changes one host, and takes a change back: written, restarted, and believed only when an answer there names the model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from trimtab.core.errors import UsageError
from trimtab.hosts.answer import Answered, same
from trimtab.hosts.plan import FileChange, Plan, refused, was_absent
from trimtab.hosts.remote import ABSENT, Found, Remote, digest_of
from trimtab.hosts.setting import restored
from trimtab.hosts.ssh import Refused, Trouble, Unreachable

T = TypeVar("T")
_TRIES = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0

# Role -> models that are right; none: any answer is.
Expected: TypeAlias = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is about to be done to a host: nothing of it has been done before it was told."""

    name: str
    files: tuple[FileChange, ...] = ()
    answered: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""


Tell: TypeAlias = Callable[[Step], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it. `why`: what went wrong; empty where the host runs what it should, and an answer of it said so."""

    answered: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether it runs what it should."""
        return not self.why


async def change(remote: Remote, plan: Plan, expected: Expected, tell: Tell, *, restart: bool) -> Ended:
    """Write the plan, restart what reads it, prove that each role answers as expected, and look at its health.

    restart: also where there is nothing to write, as it was written before, and nobody knows whether it was read.
    """
    since: datetime | None = None
    if plan.files:
        await tell(Step("writing", plan.changes))
        if trouble := await _write(remote, plan):
            return Ended(why=trouble.why)
    proof = Ended(why="not asked")
    if not plan.files and not restart:
        await tell(Step("proving"))
        proof = await ask(remote, remote.group.prove, expected)
    if not proof.ok:
        await tell(Step("restarting"))
        began = await remote.restart()
        if not isinstance(began, datetime):
            return Ended(why=f"the restart failed: {began.why}")
        since = began
        await tell(Step("proving"))
        proof = await prove(remote, expected)
    if not proof.ok:
        return proof
    await tell(Step("checking", answered=proof.answered))
    trouble = await health(remote, since)
    return Ended(proof.answered, "" if trouble is None else f"not healthy: {trouble.why}")


async def restore(remote: Remote, files: Sequence[FileChange], expected: Expected, *, restart: bool) -> Ended:
    """Put back what files held before, restart, and prove that each role answers as it did; waits for a host that is gone for a while.

    restart: also where no file has to be put back.
    """
    for file in reversed(files):
        put = await patiently(remote, lambda file=file: _put_back(remote, file))
        if not isinstance(put, bool):
            return Ended(why=f"{file.path} cannot be put back: {put.why}")
        restart = restart or put
    failed = ""
    if restart:
        began = await patiently(remote, remote.restart)
        failed = "" if isinstance(began, datetime) else f", the restart failed ({began.why})"
    # Where the restart failed it may never have left what it ran before: its answer decides.
    proof = await prove(remote, expected)
    if proof.ok:
        return proof
    return Ended(proof.answered, f"what it held before is back{failed}, but it is not proved: {proof.why}")


async def prove(remote: Remote, expected: Expected) -> Ended:
    """Ask for a new answer until every role answers as expected, or the group's timeout is over: it may just have been restarted."""
    if not expected:
        return Ended()
    clock = asyncio.get_running_loop().time
    until, pause = clock() + remote.group.timeout.total_seconds(), _FIRST_PAUSE_S
    while True:
        came = await ask(remote, remote.group.prove, expected)
        if came.ok or clock() + pause > until:
            return came
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def ask(remote: Remote, command: str, expected: Expected) -> Ended:
    """Ask once, and say which role did not answer as expected."""
    came = await remote.ask(command, frozenset(expected))
    if isinstance(came, Unreachable):
        return Ended(why=came.why)
    return Ended(came.models, "; ".join(_wrong(came, expected)))


async def health(remote: Remote, since: datetime | None = None) -> Trouble | None:
    """Make every check of the group. `since`: when it was changed, so that a run after that is waited for; None: none is."""
    for check in remote.group.health:
        if trouble := await remote.healthy(check, since):
            return trouble
    return None


async def patiently(remote: Remote, work: Callable[[], Awaitable[T | Trouble]]) -> T | Trouble:
    """Do it again where the host could not be reached, for the group's timeout; it may only be sshd that is gone for a moment."""
    clock = asyncio.get_running_loop().time
    until, pause = clock() + remote.group.timeout.total_seconds(), _FIRST_PAUSE_S
    while True:
        came = await work()
        if not isinstance(came, Unreachable) or clock() + pause > until:
            return came
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def _write(remote: Remote, plan: Plan) -> Trouble | None:
    for file, content in plan.files:
        # Who slept since the step was written down finds it taken back; a lock taken anew would let that be written over.
        if trouble := await remote.swap("write", file.path, file.before, file.after, content, anew=False):
            return trouble
    return None


async def _put_back(remote: Remote, file: FileChange) -> bool | Trouble:
    """Put a file back as it was, or only its keys where somebody changed it since; gives whether there was anything to do."""
    trouble: Trouble | None = None
    for _ in range(_TRIES):
        found = await remote.read(file.path)
        if not isinstance(found, Found):
            return found
        if found.digest == file.before:
            return False
        trouble = Refused("") if found.digest != file.after else await _put_back_version(remote, file)
        if isinstance(trouble, Refused) and not trouble.changed:
            trouble = await _put_back_keys(remote, file, found)
        if trouble is None or isinstance(trouble, Unreachable) or not trouble.changed:
            break
    return trouble or True


async def _put_back_version(remote: Remote, file: FileChange) -> Trouble | None:
    return await remote.swap("remove" if was_absent(file) else "restore", file.path, file.after, file.before)


async def _put_back_keys(remote: Remote, file: FileChange, found: Found) -> Trouble | None:
    try:
        text = restored(found.text, file.kind, file.values, file.path, absent=was_absent(file))
    except UsageError as error:
        return refused(error)
    except UnicodeDecodeError:
        return Refused(f"{file.path}: not UTF-8 text")
    if text is None:
        return await remote.swap("remove", file.path, found.digest, ABSENT)
    content = text.encode()
    return await remote.swap("write", file.path, found.digest, digest_of(content), content)


def _wrong(came: Answered, expected: Expected) -> list[str]:
    """Say of each role what is wrong with its answer."""
    wrong: list[str] = []
    for role, models in sorted(expected.items()):
        answered = came.models.get(role)
        if answered is None:
            wrong.append(f"{role} did not answer: {came.why}")
        elif models and not any(_is(model, answered) for model in models):
            wrong.append(f"{role} answers as {answered}, expected {' or '.join(sorted(models))}")
    return wrong


def _is(model: str, answered: str) -> bool:
    # What has no number names a family, and which model of it is meant changes with the program that reads it.
    return same(model, answered) or (not any(map(str.isdigit, model)) and model.strip().lower() in answered.lower())

"""What one replayed run is played on: the application on its tape, or on a sandbox of the application's making.

A sandbox is a function of a folder and a request (the line of the file, or the request as it was recorded) that gives a context
manager; inside, there is a workflow whose tools work on a disposable world in that folder, and the request to give it:

    @contextmanager
    def sandbox(folder: Path, given: Any) -> Iterator[tuple[Workflow, Any]]:
        ...
        yield CharterBooking(...), {"text": given["text"]}

It is entered again with the same folder when a replay that was stopped goes on, and then finds the world as it was left. A scorer
is a function of the folder, the request, the status and the last plan without faults (JSON, or None) that gives whether the run
did well, or that and notes on it; None where it cannot say, and then decomposition success counts.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from trimtab.core.errors import TrimtabError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.ports import Parked, Standing, Steps
from trimtab.core.values import Json, digest, dumps
from trimtab.engine.recorded import recorded_steps
from trimtab.journal.reader import Journal
from trimtab.replay.requests import Asked
from trimtab.replay.tape import read_tape
from trimtab.run.loop import RunLoop
from trimtab.run.scope import Means
from trimtab.run.toolbox import OwnTools, Toolbox
from trimtab.run.workflow import Workflow

Sandbox: TypeAlias = Callable[[Path, Any], AbstractContextManager[tuple[Workflow[Any, Any], Any]]]
Scorer: TypeAlias = Callable[[Path, Any, str, Any], "bool | tuple[bool, Sequence[str]] | None"]
_SOON = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Rig:
    """A workflow, the request for it, and the tools that its runs have."""

    workflow: Workflow[Any, Any]
    request: Json
    tools: Toolbox


class Stage(Protocol):
    """Where replayed runs are played."""

    def rig(self, asked: Asked, key: str) -> AbstractContextManager[Rig]:
        """Make the world of the run with this key, unless it is there, and what works on it."""
        ...

    def folder(self, key: str) -> Path:
        """Where the world of a run is, if it has one."""
        ...


@dataclass(frozen=True, slots=True)
class TapeStage:
    """The application itself, with tools that only answer what was recorded in `store`."""

    workflows: Mapping[str, Workflow[Any, Any]]
    store: Path
    worlds: Path

    def rig(self, asked: Asked, key: str) -> AbstractContextManager[Rig]:
        """Read the tape of the recorded run."""
        del key
        workflow = self.workflows[asked.workflow]
        with Journal(self.store) as journal:
            calls = journal.run(asked.recorded).tool_calls
        stack = ExitStack()
        tape = read_tape(workflow, calls, recorded_steps(self.store, asked.recorded))
        return _Entered(Rig(workflow, asked.given, tape), stack)

    def folder(self, key: str) -> Path:
        """A name; nothing is there."""
        return self.worlds / digest(key)


@dataclass(frozen=True, slots=True)
class SandboxStage:
    """Worlds of the application's making, a folder each; its real specialists are never called."""

    sandbox: Sandbox
    roles: Mapping[str, Collection[str]]
    worlds: Path

    def rig(self, asked: Asked, key: str) -> AbstractContextManager[Rig]:
        """Enter the sandbox."""
        folder, stack = self.folder(key), ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            made: Any = stack.enter_context(self.sandbox(folder, asked.given))
            workflow, request = made
            self._check(asked, workflow)
            workflow.read_request(request)
        except TrimtabError:
            stack.close()
            raise
        except Exception as error:
            stack.close()
            raise UsageError(
                f"the sandbox failed on request {asked.id!r}: {type(error).__name__}: {error}",
                hint="it is a context manager of a folder and a request, and gives (workflow, request)",
            ) from error
        return _Entered(Rig(workflow, request, OwnTools()), stack)

    def folder(self, key: str) -> Path:
        """Each run has its own."""
        return self.worlds / digest(key)

    def try_out(self, asked: Asked) -> None:
        """See that a request can be played at all. Raises UsageError."""
        key = f"try/{asked.id}"
        try:
            with self.rig(asked, key):
                pass
        finally:
            shutil.rmtree(self.folder(key), ignore_errors=True)

    def _check(self, asked: Asked, workflow: object) -> None:
        if not isinstance(workflow, Workflow) or workflow.name != asked.workflow:
            raise UsageError(
                f"the sandbox gave {workflow!r} for request {asked.id!r}, expected workflow {asked.workflow!r}",
                hint="it gives (workflow, request), of the workflow that the application declares",
            )
        if unlike := set(workflow.specialists) ^ set(self.roles[asked.workflow]):
            raise UsageError(
                f"the sandbox's {asked.workflow!r} has other roles than the application's: {', '.join(sorted(unlike))}",
                hint="give it the same specialists, on a disposable world",
            )


class _Entered(AbstractContextManager[Rig]):
    """What was entered already, so that mistakes in it are told where it is made."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        self._rig, self._stack = rig, stack

    def __enter__(self) -> Rig:
        return self._rig

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


@dataclass(slots=True)
class Player:
    """Implements `core.ports.Conductor`: every run is played on a rig of its own. `fault`: why none can be played."""

    stage: Stage
    asked: Mapping[str, Asked]
    means: Means
    fault: asyncio.Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self.fault = asyncio.get_running_loop().create_future()

    async def perform(self, steps: Steps, payload: str) -> Standing:
        """Play a run, or play it again and go on."""
        try:
            async with self._rigged(payload) as (loop, whole):
                return await loop.perform(steps, whole)
        except TrimtabError as error:
            return self._unplayable(error)

    async def broken(self, steps: Steps, payload: str, error: Exception) -> Standing:
        """Take back what a run did in its world."""
        try:
            async with self._rigged(payload) as (loop, whole):
                return await loop.broken(steps, whole, error)
        except TrimtabError as worse:
            return self._unplayable(worse)

    @asynccontextmanager
    async def _rigged(self, payload: str) -> AsyncGenerator[tuple[RunLoop, str]]:
        saved = json.loads(payload)
        asked = self.asked[saved["id"]]
        entered = await asyncio.to_thread(self.stage.rig, asked, saved["key"])
        with entered as rig:
            loop = RunLoop({rig.workflow.name: rig.workflow}, replace(self.means, tools=rig.tools))
            yield loop, dumps({"workflow": rig.workflow.name, "request": rig.request, "pin": saved["pin"]})

    def _unplayable(self, error: TrimtabError) -> Parked:
        # Nothing is written of the run, so that it is played when the fault is mended.
        if not self.fault.done():
            self.fault.set_exception(error)
        return Parked(Status.NEEDS_YOU, frozenset(), self.means.clock.now() + _SOON)

"""A worker of the charter example made to be killed: one process that imports everything once and forks a worker a job.

Every moment at which it can die has a name that does not depend on the order of things: the step it belongs to and what comes
next there. Jobs come as JSON lines on stdin, and how each ended goes as a JSON line to stdout. See `charter_chaos`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from charter import addresses, demo
from charter.app import build
from charter.book import plan as gold_plan
from charter.mailer import Letter
from charter.store import Store
from tests.integration.crash_worker import Log
from tests.integration.forking import fork
from trimtab import Failed, app
from trimtab.core.messages import ModelCall
from trimtab.core.ports import Ended, Worked
from trimtab.journal.writer import SqliteFacts
from trimtab.models.client import Provider, ProviderClient
from trimtab.policy.load import parse
from trimtab.run.loop import RunLoop
from trimtab.run.prompt import prompt_digests
from trimtab.run.retry import Limits
from trimtab.run.scope import APPROVAL
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, uses

CASES = {case.id: case for case in demo.read_cases(None)}
WORKFLOW = "charter-booking"
# Making the company of a request is no part of its run.
SEEDING = "the company of"
QUICK = Limits(backoff=timedelta(milliseconds=1), backoff_most=timedelta(milliseconds=5))


@dataclass(frozen=True)
class Job:
    """What one worker process is to do, and when it dies: at a named moment, after some seconds, or not at all.

    `fail` names an action that can never work, `cancel_at` a moment at which somebody cancels; with `decide` somebody approves
    whatever is held. `url` is a model API over HTTP; without one, models answer at once from the answer book. `days` is how far
    a clock that stands still has moved, which with `decide` moves on when something is put off; without it, it is the machine's.
    """

    folder: str
    cases: tuple[str, ...]
    life: int
    kill_at: str | None = None
    kill_after: float | None = None
    fail: str = ""
    cancel_at: str = ""
    decide: bool = False
    url: str = ""
    days: float | None = None


@dataclass
class Doing:
    """The step that a task works on, and how many statements it has made."""

    name: str
    statements: int = 0
    secrets: int = 0
    writing: bool = False


doing: ContextVar[Doing] = ContextVar("doing")


@dataclass
class Moments:
    """The moments at which a worker can die, in the log as they pass."""

    job: Job
    log: Log
    on_cancel: Callable[[], None] = lambda: None
    passed: set[str] = field(default_factory=set[str])

    def cross(self, name: str) -> None:
        if name.startswith(SEEDING):
            return
        if name not in self.passed:
            self.passed.add(name)
            self.log.write(self.job.life, "moment", name)
        if name == self.job.cancel_at:
            self.on_cancel()
        if name == self.job.kill_at:
            self.log.write(self.job.life, "killed", name)
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedSteps:
    """`core.ports.Steps` with a moment before and after each work and each commit."""

    def __init__(self, inner: Any, at: Moments) -> None:
        self.inner, self.at = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def step(self, name: str, work: Any) -> Any:
        result = await self.inner.step(name, lambda: self._watched(name, work))
        self.at.cross(f"{name}: after its commit")
        return result

    async def once(self, name: str, begin: Worked, work: Any, *, shielded: bool) -> Any:
        async def watched(found: bool) -> Worked:  # noqa: FBT001 - the engine's protocol
            return await self._watched(name, lambda: work(found))

        self.at.cross(f"{name}: before it is reserved")
        result = await self.inner.once(name, begin, watched, shielded=shielded)
        self.at.cross(f"{name}: after its commit")
        return result

    async def _watched(self, name: str, work: Any) -> Worked:
        doing.set(Doing(name))
        self.at.log.write(self.at.job.life, "began", self.inner.run_id, name)
        self.at.cross(f"{name}: before its work")
        worked = await work()
        self.at.cross(f"{name}: after its work")
        return worked


class WatchedFacts(SqliteFacts):
    """Writes facts, with a moment inside the journal's transaction for each."""

    at: Moments

    def write(self, connection: Any, facts: Sequence[Any]) -> None:
        super().write(connection, facts)
        for fact in facts:
            told = (getattr(fact, name, None) for name in ("step", "subtask", "state", "number", "status"))
            words = " ".join(str(word) for word in told if word not in (None, ""))
            self.at.cross(f"journal, {type(fact).__name__} {words}: before COMMIT")


class LoggedMailer:
    """An SMTP server that keeps a log."""

    def __init__(self, at: Moments) -> None:
        self.at = at

    async def send(self, letter: Letter) -> None:
        name = f"{doing.get().name} letter to {' '.join(letter.to)}: {letter.subject}"
        self.at.cross(f"{name}: before it is sent")
        self.at.log.write(self.at.job.life, "letter", letter.message_id, [letter.to, letter.subject, letter.text])
        self.at.cross(f"{name}: after it was sent")


def watch_store(at: Moments) -> None:
    """Put a moment before every statement that changes a company's store, and one after every commit."""
    opened, transacted = Store._open, Store._transaction

    def traced(text: str) -> None:
        now = doing.get()
        verb = text.split(None, 1)[0].upper()
        if verb == "BEGIN":
            now.writing = "IMMEDIATE" in text.upper()
        elif now.writing and verb in ("INSERT", "UPDATE", "DELETE", "COMMIT"):
            now.statements += 1
            at.cross(f"{now.name} statement {now.statements}: before {verb}")

    def watched_open(self: Store) -> sqlite3.Connection:
        fresh = self._db is None
        db = opened(self)
        if fresh:
            db.set_trace_callback(traced)
        return db

    @contextmanager
    def watched_transaction(self: Store, kind: str) -> Generator[sqlite3.Connection]:
        with transacted(self, kind) as db:
            yield db
        if kind == "IMMEDIATE":
            now = doing.get()
            at.cross(f"{now.name} statement {now.statements}: after COMMIT")

    def secret() -> str:
        # The same in every life, so that worlds can be compared.
        now = doing.get()
        now.secrets += 1
        digits = hashlib.sha256(f"{now.name} {now.secrets}".encode()).hexdigest()[:24]
        return digits.translate(str.maketrans("0123456789", "ghijklmnop"))

    Store._open, Store._transaction, addresses.secret = watched_open, watched_transaction, secret  # type: ignore[method-assign]


def scripted(cases: Sequence[str]) -> ScriptedModel:
    """Models that answer at once, and rightly."""
    plans = {app.run_id_of(WORKFLOW, case): CASES[case].line for case in cases}

    def play(call: ModelCall) -> Any:
        line = plans[call.run_id]
        if call.tools[0].name == "plan":
            asked = line["expected_outcome"].get("clarify") or ["?"]
            return uses("plan", **gold_plan(line)) if line["expected_subtasks"] else uses("clarify", questions=asked)
        subtask = json.loads(call.messages[0].text.split("\n")[1])
        return uses(subtask["action"], **subtask["inputs"])

    return ScriptedModel(play)


def fail_for_good(workflow: Any, action: str) -> None:
    role, _, name = action.partition(".")

    async def function(self: Any, step: Any, **arguments: Any) -> Failed:
        return Failed("it is out of order")

    workflow.specialists[role].tools[name].function = function


def make_app(job: Job, at: Moments) -> app.App:
    folder = Path(job.folder)
    watch_store(at)

    class WatchedLoop(RunLoop):
        async def perform(self, steps: Any, payload: str) -> Any:
            return await RunLoop.perform(self, WatchedSteps(steps, at), payload)

        async def broken(self, steps: Any, payload: str, error: Exception) -> Any:
            at.log.write(job.life, "broken", repr(error))
            return await RunLoop.broken(self, WatchedSteps(steps, at), payload, error)

    WatchedFacts.at = at
    app.RunLoop, app.SqliteFacts = WatchedLoop, WatchedFacts
    workflow = build(folder / "companies", LoggedMailer(at))
    if job.fail:
        fail_for_good(workflow, job.fail)
    provider = f'[providers.anthropic]\nkind = "anthropic"\nbase_url = "{job.url}"\n' if job.url else ""
    clock = None
    if job.days is not None:
        clock = StillClock()
        clock.advance(days=job.days)
    return app.App(
        workflow,
        policy=parse(f'[roles]\ndefault = "anthropic:claude-haiku-4-5"\n{provider}', "chaos"),
        store=folder / "t.db",
        models=None if job.url else scripted(job.cases),
        prices=FlatPrices(),
        clock=clock,
        limits=QUICK,
    )


async def live(job: Job) -> None:
    """Work on what is there and on these cases until each stands."""
    doing.set(Doing("-"))
    log = Log(Path(job.folder) / "log")
    at = Moments(job, log)
    wish = Path(job.folder) / "cancel"
    loop = asyncio.get_running_loop()
    asked: set[asyncio.Task[Any]] = set()

    async with make_app(job, at) as opened:

        async def one(name: str) -> None:
            doing.set(Doing(f"{SEEDING} {name}"))
            request = demo.prepare(Path(job.folder) / "companies", CASES[name])
            run = await opened.start_json(WORKFLOW, request, name)
            log.write(job.life, "accepted", run.id)
            if wish.exists():
                await run.cancel("olga")

            def on_cancel() -> None:
                wish.touch()
                loop.call_soon_threadsafe(lambda: asked.add(asyncio.ensure_future(run.cancel("olga"))))

            at.on_cancel = on_cancel
            log.write(job.life, "stands", run.id, await stand(run, at))

        await asyncio.gather(*(one(name) for name in job.cases))
        await asyncio.gather(*asked)
    log.write(job.life, "finished")


async def stand(run: Any, at: Moments) -> str:
    """Wait until a run stands for good, deciding what is held where the job says so."""
    while True:
        standing = await run.settled()
        if isinstance(standing, Ended) or not at.job.decide:
            return standing.status
        clock = run.app.clock
        if any(event.startswith(APPROVAL) for event in standing.events):
            at.cross(f"{standing.status}: before it is approved")
            await run.decide(approved=True, by="olga")
            at.cross(f"{standing.status}: after it was approved")
        elif standing.until is not None and isinstance(clock, StillClock):
            at.cross(f"{standing.status}: before its time comes")
            while standing.until > clock.now():
                clock.advance(hours=1)
            await asyncio.sleep(0.001)
        else:
            return standing.status


def do(job: Job) -> int:
    """Let a fork do a job; gives its exit code."""
    return fork(live(job), job.kill_after)


def warm(folder: Path) -> None:
    """Import and build what every worker needs, once."""
    prompt_digests(build(folder))
    ProviderClient({"anthropic": Provider("anthropic", "http://127.0.0.1:1")}).prepare("anthropic:claude-haiku-4-5")


def main() -> None:
    """Serve jobs until stdin ends."""
    warm(Path(sys.argv[1]))
    for line in sys.stdin:
        given = json.loads(line)
        print(do(Job(**{**given, "cases": tuple(given["cases"])})), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

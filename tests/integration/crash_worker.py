"""A worker made to be killed: one process that imports everything once and forks a worker for each job it reads.

Jobs come as JSON lines on stdin, and how each ended goes as a JSON line to stdout. See `tests.integration.crash`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.integration import booking
from tests.integration.booking import Booking, Charge, Order, Pricing, World
from tests.integration.forking import fork
from trimtab import Step, app, tool
from trimtab.core.messages import ModelCall, ToolReturned
from trimtab.core.ports import Parked, Worked
from trimtab.run.loop import RunLoop
from trimtab.run.retry import Limits
from trimtab.testing import ScriptedModel, app_for_tests, fault, uses


@dataclass(frozen=True)
class Job:
    """What one worker process is to do, and when it dies: at a boundary of a step, after some seconds, or not at all."""

    folder: str
    generation: int
    keys: tuple[str, ...]
    kill_at: int | None = None
    kill_after: float | None = None
    pace: float = 0.004


class Log:
    """Lines that outlive a killed process: each is one write to a file opened for appending."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *words: Any) -> None:
        os.write(self._file, (json.dumps(words) + "\n").encode())


class Gateway(dict[str, Charge]):
    """Takes money once a key, on disk; `attempts` has every call."""

    def __init__(self, folder: Path, log: Log) -> None:
        super().__init__()
        self.folder, self.log = folder, log
        folder.mkdir(exist_ok=True)

    def once(self, key: str, text: str) -> str:
        path = self.folder / key
        self.log.write(key)
        if not path.exists():
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text(text)
            fresh.rename(path)
        return path.read_text()

    def made(self, key: str) -> Any:
        path = self.folder / key
        return json.loads(path.read_text()) if path.exists() else None

    def setdefault(self, key: str, default: Charge) -> Charge:
        made = json.loads(self.once(key, json.dumps(["charge", default.id, str(default.amount)])))
        return Charge(made[1], Decimal(made[2]))

    def get(self, key: str, default: Any = None) -> Any:
        made = self.made(key)
        return default if made is None else Charge(made[1], Decimal(made[2]))


class Notification(booking.Notification):
    """You send messages."""

    @tool("irreversible")
    async def send(self, step: Step, text: str) -> str:
        """Send a message to the guest."""
        assert isinstance(self.world.charges, Gateway)
        return self.world.charges.once(step.idempotency_key, json.dumps(["send", step.run_id, text]))

    @send.lookup
    async def sent(self, step: Step) -> str | None:
        """Ask whether the message went out."""
        assert isinstance(self.world.charges, Gateway)
        made = self.world.charges.made(step.idempotency_key)
        return None if made is None else json.dumps(made)


class Boundaries:
    """Counts the moments before and after each step's work and after its commit, and dies at one of them."""

    def __init__(self, job: Job, log: Log) -> None:
        self.job, self.log, self.passed = job, log, 0

    def cross(self) -> None:
        self.passed += 1
        if self.passed == self.job.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class LoggedSteps:
    """`core.ports.Steps` that writes down which work was begun."""

    def __init__(self, inner: Any, at: Boundaries) -> None:
        self.inner, self.at = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def step(self, name: str, work: Any) -> Any:
        return self._given(name, await self.inner.step(name, lambda: self._logged(name, work)))

    async def once(self, name: str, begin: Worked, work: Any, *, shielded: bool) -> Any:
        async def logged(found: bool) -> Worked:  # noqa: FBT001 - the engine's protocol
            return await self._logged(name, lambda: work(found))

        self.at.cross()
        return self._given(name, await self.inner.once(name, begin, logged, shielded=shielded))

    async def _logged(self, name: str, work: Any) -> Worked:
        self.at.log.write(self.at.job.generation, "began", self.inner.run_id, name)
        self.at.cross()
        worked = await work()
        self.at.cross()
        return worked

    def _given(self, name: str, result: Any) -> Any:
        self.at.log.write(self.at.job.generation, "gave", self.inner.run_id, name)
        self.at.cross()
        return result


PLAN = [
    {"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}},
    {"id": "c", "specialist": "payment", "action": "charge", "inputs": {"amount": "$q.total"}, "needs": ["q"]},
    {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["c"]},
    {"id": "m", "specialist": "notification", "action": "send", "inputs": {"text": "hello"}, "needs": ["q"]},
]
# Nine hours cost more than may be charged without a person's word: such a run parks and is decided upon.
BIG = [{**PLAN[0], "inputs": {"hours": 9}}, *PLAN[1:]]


def models(pace: float) -> ScriptedModel:
    dice = random.Random(os.getpid())

    async def play(call: ModelCall) -> Any:
        await asyncio.sleep(dice.uniform(0, pace))
        if dice.random() < 0.05:
            return fault("transient", "overloaded")
        text = call.messages[0].text
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=BIG if "big" in text else PLAN)
        subtask = json.loads(text.split("\n")[1])
        if subtask["action"] != "charge":
            return uses(subtask["action"], **subtask["inputs"])
        if any(isinstance(m, ToolReturned) and not m.is_error for m in call.messages):
            return uses("answer", id="ch", amount=subtask["inputs"]["amount"])
        return uses("charge", customer="ada", amount=subtask["inputs"]["amount"])

    return ScriptedModel(play)


async def live(job: Job) -> None:
    """Work on what is there and on new requests until all has ended."""
    folder = Path(job.folder)
    log, attempts = Log(folder / "log"), Log(folder / "attempts")
    at = Boundaries(job, log)

    class LoggedLoop(RunLoop):
        async def perform(self, steps: Any, payload: str) -> Any:
            return await RunLoop.perform(self, LoggedSteps(steps, at), payload)

    app.RunLoop = LoggedLoop
    world = World(charges=Gateway(folder / "gateway", attempts))
    declared = Booking([Pricing(world), booking.Payment(world), Notification(world)])
    limits = Limits(backoff=timedelta(milliseconds=1), backoff_most=timedelta(milliseconds=3))

    async def one(opened: Any, key: str) -> None:
        await asyncio.sleep(random.uniform(0, 20 * job.pace))
        run = await opened.start(Booking, Order("big" if key.endswith("9") else "small"), key=key)
        log.write(job.generation, "accepted", run.id, key)
        while isinstance(await run.settled(), Parked):
            await run.decide(approved=True, by="olga")
        await run.ended()

    async with app_for_tests(declared, models=models(job.pace), store=folder / "t.db", limits=limits) as opened:
        await asyncio.gather(*(one(opened, key) for key in job.keys))
    log.write(job.generation, "finished", "", at.passed)


def do(job: Job) -> int:
    """Let a fork do a job; gives its exit code."""
    return fork(live(job), job.kill_after)


def main() -> None:
    for line in sys.stdin:
        given = json.loads(line)
        print(do(Job(**{**given, "keys": tuple(given["keys"])})), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

"""A worker under a shared dollar cap, made to be killed: imports once and forks a worker for each job it reads.

Jobs come as JSON lines on stdin, and how each ended goes as a JSON line to stdout. See `tests.integration.budget_chaos`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.booking import Booking, Order, World, booking
from tests.integration.crash_worker import Log
from tests.integration.forking import fork
from trimtab import app
from trimtab.core.messages import ModelCall, ToolReturned
from trimtab.core.usage import Usage
from trimtab.core.values import digest
from trimtab.policy.load import parse
from trimtab.run.budget import Budgets
from trimtab.run.retry import Limits
from trimtab.testing import FlatPrices, ScriptedModel, fault, uses

MAX_TOKENS = 600
FIRST_DAY = datetime(2026, 6, 8, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Job:
    """What one worker process is to do, on which day, and when it dies (None: when all has settled)."""

    folder: str
    life: int
    runs: int
    at_once: int
    cap: str
    day: int = 0
    kill_after: float | None = None
    pace: float = 0.01


class DayClock:
    """The machine's time, moved to a day of the test."""

    def __init__(self, day: int) -> None:
        self.moved = FIRST_DAY + timedelta(days=day) - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self.now()).total_seconds()))


PLAN = [
    {"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}},
    {"id": "c", "specialist": "payment", "action": "charge", "inputs": {"amount": "$q.total"}, "needs": ["q"]},
    {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "paid"}, "needs": ["c"]},
    {"id": "m", "specialist": "notification", "action": "send", "inputs": {"text": "hello"}, "needs": ["q"]},
]


class Provider:
    """Bills before it answers, in a file that outlives the worker."""

    def __init__(self, job: Job, log: Log) -> None:
        self.job, self.log = job, log
        self.dice = random.Random(f"{job.folder}{job.life}")
        self.asked = 0

    async def play(self, call: ModelCall) -> Any:
        dice, pace = self.dice, self.job.pace
        await asyncio.sleep(dice.uniform(0, pace))
        if dice.random() < 0.03:
            return fault("transient", "overloaded")
        self.asked += 1
        name = f"msg_{self.job.life}_{self.asked}"
        sent = len(call.system) + sum(len(str(m)) for m in call.messages) + sum(len(str(t)) for t in call.tools)
        usage = Usage(input=dice.randint(sent // 5, sent // 2), output=dice.randint(20, MAX_TOKENS))
        question = digest([call.run_id, call.system, [str(m) for m in call.messages]])
        self.log.write(self.job.day, name, call.run_id, question, usage.total)
        await asyncio.sleep(dice.uniform(0, pace))
        if dice.random() < 0.01:
            # It was billed, and the answer is never seen.
            return fault("transient", "timeout")
        return replace(self._answer(call), usage=usage, response_id=name)

    def _answer(self, call: ModelCall) -> Any:
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=PLAN)
        subtask = json.loads(call.messages[0].text.split("\n")[1])
        if subtask["action"] != "charge":
            return uses(subtask["action"], **subtask["inputs"])
        if any(isinstance(m, ToolReturned) and not m.is_error for m in call.messages):
            return uses("answer", id="ch", amount=subtask["inputs"]["amount"])
        return uses("charge", customer="ada", amount=subtask["inputs"]["amount"])


def policy(cap: str) -> Any:
    return parse(
        f"[roles]\ndefault = {{ model = 'anthropic:scripted', max_tokens = {MAX_TOKENS} }}\n"
        f"[budgets.local]\nusd_per_day = {cap}\n"
    )


async def live(job: Job) -> None:
    """Work on what is there and on all requests until each has ended or stands still."""
    folder = Path(job.folder)
    bills = Log(folder / "bills")

    class LoggedBudgets(Budgets):
        def load(self, *given: Any) -> None:
            super().load(*given)
            loaded = {
                f"{day} {role}": [str(a.gone.usd), a.gone.tokens, a.gone.turns]
                for day, accounts in self._days.items()
                for (_, role), a in accounts.items()
            }
            (folder / f"loaded{job.life}").write_text(json.dumps(loaded))

    app.Budgets = LoggedBudgets
    limits = Limits(attempts={"timeout": 6}, backoff=timedelta(milliseconds=1), backoff_most=timedelta(milliseconds=3))
    gate = asyncio.Semaphore(job.at_once)

    async def one(opened: Any, key: str) -> None:
        async with gate:
            run = await opened.start(Booking, Order("small"), key=key)
            await run.settled()

    async with app.App(
        booking(World()),
        policy=policy(job.cap),
        store=folder / "t.db",
        models=ScriptedModel(Provider(job, bills).play),
        prices=FlatPrices(),
        clock=DayClock(job.day),
        limits=limits,
    ) as opened:
        await asyncio.gather(*(one(opened, f"k{n}") for n in range(job.runs)))


def do(job: Job) -> int:
    """Let a fork do a job; gives its exit code."""
    return fork(live(job), job.kill_after)


def main() -> None:
    for line in sys.stdin:
        print(do(Job(**json.loads(line))), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

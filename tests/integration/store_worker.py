"""A process of its own on a store, for `test_store_trouble.py`: it does one job, says what happened, and leaves.

Prints a line for all that was acknowledged; an error of trimtab's as `error NAME: text` with exit code 3.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from tests.integration import crash_worker
from tests.integration.booking import Booking, Order, World, booking
from trimtab.app import App
from trimtab.core.errors import TrimtabError
from trimtab.core.ports import Parked
from trimtab.engine import handin
from trimtab.journal.writer import SqliteFacts
from trimtab.policy.load import parse
from trimtab.run.scope import APPROVAL
from trimtab.testing import FlatPrices
from trimtab.word import cancel_elsewhere

ERROR = 3
BIG_TEXT = "x" * 2_000


def say(*words: Any) -> None:
    print(*words, flush=True)  # noqa: T201 - what a worker says is what the test reads


def app(store: str, pace: float = 0.0) -> App:
    return App(
        booking(World()),
        policy=parse('[roles]\ndefault = "anthropic:scripted"\n', "testing"),
        store=store,
        models=crash_worker.models(pace),
        prices=FlatPrices(),
    )


async def work(store: str, first: str, count: str) -> None:
    """Start runs until all have ended or the store gives up."""
    numbers = range(int(first), int(first) + int(count))
    async with app(store) as opened:
        say("ready", os.getpid())

        async def one(number: int) -> None:
            # Not all in one commit.
            await asyncio.sleep((number - int(first)) / 1000)
            run = await opened.start(Booking, Order(f"{number} {BIG_TEXT}"), key=f"k{number}")
            say("accepted", f"k{number}")
            await run.ended()
            say("ended", f"k{number}")

        tasks = [asyncio.ensure_future(one(n)) for n in numbers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def finish(store: str) -> None:
    """Go on with what is unfinished, to its end."""
    async with app(store) as opened:
        while opened.engine.unfinished and not opened.engine.broken.done():  # noqa: ASYNC110 - there is no event for this
            await asyncio.sleep(0.01)
        if opened.engine.broken.done():
            opened.engine.broken.result()
    say("finished")


async def hold(store: str) -> None:
    """Keep the store until stdin closes."""
    async with app(store):
        say("ready", os.getpid())
        await asyncio.to_thread(sys.stdin.read)


async def hand_in(store: str, prefix: str, count: str) -> None:
    """Hand in runs for whoever works on the store."""
    given = app(store)
    for n in range(int(count)):
        say("accepted", given.hand_in("booking", {"text": f"{prefix}{n}", "sender": "elsewhere"}, key=f"{prefix}{n}"))


async def decide(store: str) -> None:
    """Approve every held call of the runs named on stdin, and cancel those without events."""
    for run_id, events in json.loads(sys.stdin.read()).items():
        for event in events:
            handin.hand_in_event(
                Path(store), SqliteFacts(), handin.Event(run_id, event, {"approved": True, "by": "elsewhere"})
            )
        if not events:
            cancel_elsewhere(Path(store), run_id, "elsewhere")


def limited(store: str, *rest: str) -> Any:
    """Do as `work` does in a process whose files cannot grow past 2 MB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    return work(store, *rest)


def as_nobody(store: str, *rest: str) -> Any:
    """Do as `work` does without the rights of the superuser."""
    asyncio.run(_warm())
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return work(store, *rest)


async def _warm() -> None:
    # All that is imported late, while it can still be read.
    async with crash_worker.app_for_tests(booking(World()), models=crash_worker.models(0)) as opened:
        await (await opened.start(Booking, Order("x"))).ended()


JOBS = {f.__name__: f for f in (work, finish, hold, hand_in, decide, limited, as_nobody)}


def main() -> int:
    job, *arguments = sys.argv[1:]
    try:
        asyncio.run(JOBS[job](*arguments))
    except TrimtabError as error:
        say(f"error {type(error).__name__}: {error}")
        return ERROR
    return 0


async def settle_all(opened: App, runs: list[str]) -> dict[str, Any]:
    """Wait until all ended or wait for somebody."""
    standings = await asyncio.gather(*(opened.engine.settled(r) for r in runs))
    return dict(zip(runs, standings, strict=True))


def held(standings: dict[str, Any]) -> dict[str, list[str]]:
    return {
        r: sorted(e for e in s.events if e.startswith(APPROVAL)) for r, s in standings.items() if isinstance(s, Parked)
    }


if __name__ == "__main__":
    sys.exit(main())

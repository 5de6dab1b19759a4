"""`trimtab` as an operator runs it, but stopped where a test says so: killed -9 there, or waiting until the test lets it go on.

    TRIMTAB_TEST_STOP   "kill POINT" or "wait POINT"
    TRIMTAB_TEST_LOG    a file that gets the name of every point as it is passed

The points, N counting those that are alike in this process:
    HOST writing N noting     a line about a host (or a move of a rollout) is in its transaction and not committed
    HOST writing N noted      it is committed, and nothing was done since
    HOST ssh N asking         a command for a host is about to be sent
    HOST ssh N asked          its ssh runs, and nobody has heard from it

Nothing in `src` knows of it: what writes facts and what starts ssh is wrapped here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import local
from typing import Any

from trimtab.core.moves import HostFact, RolloutFact
from trimtab.engine import handin
from trimtab.journal import writer

STOP, LOG = "TRIMTAB_TEST_STOP", "TRIMTAB_TEST_LOG"


class Points:
    def __init__(self) -> None:
        self.how, _, self.where = os.environ.get(STOP, "").partition(" ")
        self.log = Path(os.environ[LOG])
        self.passed: Counter[str] = Counter()
        self.noted = local()

    def number(self, name: str) -> str:
        self.passed[name] += 1
        return f"{name} {self.passed[name]}"

    def pass_by(self, point: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{point}\n")
        if point != self.where:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.log.with_suffix(".here").touch()
        while not self.log.with_suffix(".go").exists():
            time.sleep(0.005)


def wrap(points: Points) -> None:
    write, hand_in, start = writer.SqliteFacts.write, handin.hand_in, asyncio.create_subprocess_exec

    def writing(self: Any, connection: Any, facts: Any) -> None:
        facts = list(facts)
        write(self, connection, facts)
        for fact in facts:
            if isinstance(fact, HostFact | RolloutFact):
                what = (fact.host, fact.step) if isinstance(fact, HostFact) else (fact.name, fact.event)
                points.noted.names.append(points.number(" ".join(what)))
                points.pass_by(f"{points.noted.names[-1]} noting")

    def handing_in(path: Path, facts: Any, change: Callable[[Any], Any]) -> Any:
        points.noted.names = []
        given = hand_in(path, facts, change)
        for noted in points.noted.names:
            points.pass_by(f"{noted} noted")
        return given

    async def starting(*command: Any, **more: Any) -> Any:
        if "--" not in command or "-O" in command:
            return await start(*command, **more)
        point = points.number(f"{command[command.index('--') + 1]} ssh")
        points.pass_by(f"{point} asking")
        process = await start(*command, **more)
        points.pass_by(f"{point} asked")
        return process

    writer.SqliteFacts.write = writing  # type: ignore[method-assign]
    handin.hand_in = handing_in
    asyncio.create_subprocess_exec = starting


if __name__ == "__main__":
    wrap(Points())
    # The command line imports what was wrapped when it needs it.
    from trimtab.cli import main

    main()

"""Plays a replay: a durable run for every request, arm and repeat, in random order, until it is decided or may spend no more."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from socket import gethostname

from trimtab.app import CALLS_AT_ONCE, App, run_id_of
from trimtab.core.errors import UsageError
from trimtab.core.ports import ModelClient, NewRun, Standing
from trimtab.core.records import ExposureFact, RunFact
from trimtab.core.usage import add_costs
from trimtab.core.values import Json, digest, dumps
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.policy.caps import refuse_unpriced
from trimtab.policy.spec import BudgetSpec, Caps
from trimtab.replay.arms import NAMES, Arm
from trimtab.replay.cap import THE_DAY, ReplayBudgets
from trimtab.replay.judge import Judged, judge, not_whole
from trimtab.replay.requests import Asked
from trimtab.replay.seen import Job, Seen, at_cap, look, stands
from trimtab.replay.stage import Player, Scorer, Stage
from trimtab.run.budget import Sum
from trimtab.run.credential import Credential
from trimtab.run.retry import Limits
from trimtab.run.scope import Means

STORE = "trimtab.db"
MANIFEST = "replay.json"
WORLDS = "worlds"
LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed, and how. `at_once`: runs under way; `whole`: all runs are made even when it is decided before.

    `these`: the verdict is on these requests as if there were no others, and is given when all runs are made.
    """

    app: App
    folder: Path
    asked: Sequence[Asked]
    arms: tuple[Arm, Arm]
    stage: Stage
    scorer: Scorer | None = None
    repeats: int = 1
    seed: int = 0
    cap: Decimal | None = None
    alpha: float = 0.05
    whole: bool = False
    these: bool = False
    at_once: int = 8
    models: ModelClient | None = None

    @property
    def store(self) -> Path:
        """The file with the replayed runs."""
        return self.folder / STORE

    @property
    def names(self) -> list[str]:
        """Those of the arms and then of the requests, as `judge` takes them."""
        return [*NAMES, *(asked.id for asked in self.asked)]

    def run_id(self, job: Job) -> str:
        """Name the run of a job."""
        return run_id_of(self.asked[job.request].workflow, job.key)

    def blocks(self) -> list[list[Job]]:
        """Give every job, request by request in random order, and in random order in each: the same for the same seed."""
        chance = random.Random(self.seed)  # noqa: S311 - an order, not a secret
        order = list(range(len(self.asked)))
        chance.shuffle(order)
        blocks: list[list[Job]] = []
        for request in order:
            block = [
                Job(request, arm, repeat, f"{self.asked[request].id}/{NAMES[arm]}/{repeat}")
                for arm in (0, 1)
                for repeat in range(self.repeats)
            ]
            chance.shuffle(block)
            blocks.append(block)
        return blocks


@dataclass(slots=True)
class Played:
    """How far a replay came. `stopped` says why no more runs were begun: decided, cap, or nothing (all were made)."""

    judged: Judged
    stopped: str
    runs: int
    planned: int
    resumed: int
    spent: Decimal | None
    notes: list[str] = field(default_factory=list[str])


def claim(replay: Replay, what: Json) -> None:
    """Take the replay's folder; `what` names what is replayed. Raises UsageError where another replay is in it."""
    try:
        replay.folder.mkdir(parents=True, exist_ok=True)
        manifest = replay.folder / MANIFEST
        if not manifest.exists():
            if replay.store.exists():
                raise UsageError(
                    f"{str(replay.folder)!r} holds a store that is no replay's", hint="name another folder with --dir"
                )
            draft = manifest.with_suffix(".new")
            draft.write_text(dumps({"digest": digest(what), "what": what}), "utf-8")
            draft.replace(manifest)
        found = json.loads(manifest.read_text("utf-8"))["digest"]
    except OSError as error:
        raise UsageError(
            f"{str(replay.folder)!r} cannot be used: {error.strerror}", hint="name a folder you can write to with --dir"
        ) from None
    except (ValueError, KeyError, TypeError):
        found = ""
    if found != digest(what):
        raise UsageError(
            f"{str(replay.folder)!r} holds another replay: other requests, arms, prompts, repeats or seed",
            hint="name another folder with --dir, or leave it out",
        )


def missing(replay: Replay) -> int:
    """Count the runs that may yet be made; 0 where it is decided."""
    known = _Play(replay, lambda _: None)
    known.recall()
    return 0 if known.finished else sum(map(len, known.blocks)) - len(known.seen)


async def play(replay: Replay, watch: Callable[[int], None] = lambda _: None) -> Played:
    """Play until it is decided, the cap is reached, or every run was made; `watch` is told how many came to stand.

    What was made before is not made again. Raises UsageError where a run cannot be played or scored, StoreLockedError where
    another process plays this replay.
    """
    played = _Play(replay, watch)
    played.recall()
    if not played.finished:
        await played.go_on()
    return played.told()


class _Play:
    """One session of a replay."""

    def __init__(self, replay: Replay, watch: Callable[[int], None]) -> None:
        self.replay = replay
        self.watch = watch
        self.blocks = replay.blocks()
        self.seen: dict[str, Seen] = {}
        self.whole = 0
        self.judged: Judged | None = None
        self.stopped = ""
        self.resumed = 0

    @property
    def finished(self) -> bool:
        return self.stopped == "decided" or self.whole == len(self.blocks)

    def recall(self) -> None:
        """Read what came to stand before."""
        if self.replay.store.exists():
            with Journal(self.replay.store) as journal:
                known = {line.run_id for line in journal.runs(len(self.blocks) * 2 * self.replay.repeats + 1)}
                for job in (job for block in self.blocks for job in block):
                    if (run_id := self.replay.run_id(job)) in known and stands(journal, run_id):
                        self._note(journal, job, run_id)
        self.resumed = len(self.seen)

    async def go_on(self) -> None:
        """Make the runs that are missing."""
        replay = self.replay
        budgets = self._budgets()
        client = replay.models
        assert client is not None
        app = replay.app
        means = Means(
            client,
            app.prices,
            app.clock,
            Limits(),
            asyncio.Semaphore(CALLS_AT_ONCE),
            budgets,
            # A lease that lapses today says nothing of a model.
            {name: Credential(name) for name in app.needs_credential},
            app.secrets,
            host=gethostname(),
            price_list=app.prices.version,
        )
        player = Player(replay.stage, self._asked(), means)
        engine = EmbeddedEngine(replay.store, player, SqliteFacts(), app.clock)
        await engine.start()
        try:
            self._load(budgets)
            jobs = iter([job for block in self.blocks for job in block if job.key not in self.seen])
            await self._work(engine, player, budgets, jobs)
        finally:
            await engine.close()

    def _budgets(self) -> ReplayBudgets:
        replay = self.replay
        app = replay.app
        for arm in replay.arms if replay.cap is not None else ():
            for pin in arm.pins.values():
                spec = BudgetSpec(Caps(usd_per_day=replay.cap))
                refuse_unpriced(app.environment, spec, pin.roles, app.prices, pin.price_date)
        return ReplayBudgets(app.environment, app.policy.budgets.get(app.environment), replay.cap, app.clock)

    def _load(self, budgets: ReplayBudgets) -> None:
        with Journal(self.replay.store) as journal:
            days, runs = journal.balances(THE_DAY)
        budgets.load(
            [(b.environment, b.role, b.day, Sum(b.usd, b.tokens, b.turns, b.unpriced)) for b in days if b.day],
            [(b.run_id, b.role, Sum(b.usd, b.tokens, b.turns, b.unpriced)) for b in runs],
        )

    def _asked(self) -> dict[str, Asked]:
        return {str(number): asked for number, asked in enumerate(self.replay.asked)}

    async def _work(self, engine: EmbeddedEngine, player: Player, budgets: ReplayBudgets, jobs: Iterator[Job]) -> None:
        async def worker() -> None:
            with Journal(self.replay.store) as journal:
                while not self.stopped and (job := next(jobs, None)) is not None:
                    run_id = await engine.accept(self._new(job))
                    standing = await self._settled(engine, run_id, budgets)
                    if at_cap(standing.status, standing.reason):
                        self.stopped = self.stopped or "cap"
                    else:
                        self._note(journal, job, run_id)

        workers = [asyncio.ensure_future(worker()) for _ in range(self.replay.at_once)]
        everything = asyncio.gather(*workers)
        try:
            await asyncio.wait({everything, player.fault, engine.broken}, return_when=asyncio.FIRST_COMPLETED)
            for future in (player.fault, engine.broken):
                if future.done():
                    future.result()
            await everything
        finally:
            everything.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            player.fault.cancel()

    async def _settled(self, engine: EmbeddedEngine, run_id: str, budgets: ReplayBudgets) -> Standing:
        standing = await engine.settled(run_id)
        while at_cap(standing.status, standing.reason) and not budgets.reached:
            # It stands as an earlier session left it, and soon finds out whether more may be spent now.
            await asyncio.sleep(LOOK_AGAIN)
            standing = await engine.settled(run_id)
        return standing

    def _new(self, job: Job) -> NewRun:
        replay, asked = self.replay, self.replay.asked[job.request]
        run_id, now = replay.run_id(job), replay.app.clock.now()
        pin = replay.arms[job.arm].pins[asked.workflow]
        exposure = ExposureFact(run_id, pin.roles_json(), NAMES[job.arm], 0.5, pin.policy_digest, pin.price_date)
        return NewRun(
            run_id=run_id,
            workflow=asked.workflow,
            key=job.key,
            fingerprint=digest(asked.given),
            payload=dumps({"id": str(job.request), "key": job.key, "pin": pin.as_json()}),
            facts=[RunFact(run_id, asked.workflow, job.key, replay.app.environment, asked.given, now), exposure],
        )

    def _note(self, journal: Journal, job: Job, run_id: str) -> None:
        replay = self.replay
        self.seen[job.key] = look(journal, replay.stage, replay.scorer, replay.asked[job.request], job, run_id)
        self.watch(len(self.seen))
        # Only whole requests are looked at, in their order, whichever runs come to stand first.
        while self.whole < len(self.blocks) and all(j.key in self.seen for j in self.blocks[self.whole]):
            self.whole += 1
            if not (replay.whole or replay.these) and self.stopped != "decided":
                judged = judge(replay.names, self._blocks(self.whole), replay.alpha)
                if judged.verdict.verdict != "undecided":
                    self.judged, self.stopped = judged, "decided"

    def _blocks(self, count: int) -> list[list[Seen]]:
        return [[self.seen[job.key] for job in block] for block in self.blocks[:count]]

    def told(self) -> Played:
        """Say how far it came."""
        replay = self.replay
        judged = self.judged or judge(replay.names, self._blocks(self.whole), replay.alpha, these=replay.these)
        if replay.these and self.whole < len(self.blocks):
            judged = not_whole(judged, replay.alpha)
        planned = sum(map(len, self.blocks))
        early = self.whole < len(self.blocks) or len(judged.requests) < len(self.blocks)
        stopped = self.stopped if early else ""
        return Played(judged, stopped, len(self.seen), planned, self.resumed, self._spent())

    def _spent(self) -> Decimal | None:
        # Under a cap, what calls may have cost whose answers were never seen counts, too.
        if not self.replay.store.exists():
            return Decimal(0)
        with Journal(self.replay.store) as journal:
            if self.replay.cap is not None:
                days, _ = journal.balances(THE_DAY)
                return add_costs(b.usd if not b.unpriced else None for b in days)
            return add_costs(line.cost for line in journal.runs(10**9))

"""What every engine promises (`core.ports.Engine`). A second engine is a second `House` in the fixture."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from trimtab.core.errors import KeyReusedError, StoreBrokenError, StoreError, UnknownRunError
from trimtab.core.outcome import Status
from trimtab.core.ports import CANCEL, Clock, Ended, Engine, NewRun, Parked, Standing, Steps, Worked
from trimtab.core.records import Fact, SubtaskFact
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.journal.writer import SqliteFacts
from trimtab.testing import StillClock

T = TypeVar("T")
Play = Callable[[Steps], Awaitable[Standing]]
START = StillClock().now()


class Script:
    """A conductor whose runs do what one function says. `began` counts how often each run's code was entered."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.began: Counter[str] = Counter()

    async def perform(self, steps: Steps, payload: str) -> Standing:
        self.began[steps.run_id] += 1
        if (by := steps.event(CANCEL)) is not None:
            return Ended(Status.CANCELLED, reason=f"cancelled by {by}", facts=[note(steps.run_id, "cancelled")])
        standing = await self.play(steps)
        return replace(standing, events=standing.events | {CANCEL}) if isinstance(standing, Parked) else standing

    async def broken(self, steps: Steps, payload: str, error: Exception) -> Ended:
        return Ended(Status.FAILED, reason=f"{type(error).__name__}: {error}", facts=[note(steps.run_id, "broken")])


class House(Protocol):
    """Where engines of one kind keep one store."""

    def open(self, play: Play, *, clock: Clock | None = None, running_limit: int = 256) -> Any:
        """Start an engine on the store and stop it at the end of the block."""
        ...

    def noted(self, run_id: str) -> list[str]:
        """Give the names of the facts of a run, in order of writing."""
        ...

    def break_facts(self, name: str) -> None:
        """Let the next write of a fact of this name fail as a full disk does."""
        ...


@dataclass
class EmbeddedHouse:
    path: Path
    failing: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def open(
        self, play: Play, *, clock: Clock | None = None, running_limit: int = 256
    ) -> AsyncIterator[EmbeddedEngine]:
        facts = FailingFacts(self.failing)
        engine = EmbeddedEngine(self.path, Script(play), facts, clock or StillClock(), running_limit=running_limit)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()

    def noted(self, run_id: str) -> list[str]:
        connection = sqlite3.connect(self.path)
        rows = connection.execute("SELECT subtask FROM subtask WHERE run_id=? ORDER BY rowid", (run_id,)).fetchall()
        connection.close()
        return [name for (name,) in rows]

    def break_facts(self, name: str) -> None:
        self.failing.add(name)


class FailingFacts(SqliteFacts):
    def __init__(self, failing: set[str]) -> None:
        self.failing = failing

    def write(self, connection: sqlite3.Connection, facts: Sequence[Fact]) -> None:
        super().write(connection, facts)
        if self.failing & {f.subtask for f in facts if isinstance(f, SubtaskFact)}:
            self.failing.clear()
            raise sqlite3.OperationalError("database or disk is full")


@pytest.fixture(params=[EmbeddedHouse])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return request.param(tmp_path / "t.db")


def note(run_id: str, name: str) -> SubtaskFact:
    return SubtaskFact(run_id, name, "noted", "", "", None, "", START)


def new(key: str = "k", fingerprint: str = "f", payload: str = "{}") -> NewRun:
    return NewRun(f"run-{key}", "w", key, fingerprint, payload, [note(f"run-{key}", "accepted")])


async def soon(work: Awaitable[T]) -> T:
    """Fail where the engine hangs."""
    return await asyncio.wait_for(work, 20)


async def until(true: Callable[[], Any]) -> None:
    async def poll() -> None:
        while not true():  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.005)

    await soon(poll())


async def once(steps: Steps, name: str, work: Callable[[], Awaitable[Worked]]) -> Any:
    """Do work that is never interrupted."""
    return await steps.once(name, Worked(None), lambda _: work(), shielded=True)


class Counted:
    """Work that counts itself, and fails or waits where told to."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def __call__(self, name: str, result: Any = None, *, facts: Sequence[Fact] = (), wait: asyncio.Event | None = None):
        async def work() -> Worked:
            self.done[name] += 1
            if wait is not None:
                await wait.wait()
            return Worked(result if result is not None else f"{name} {self.done[name]}", facts)

        return work


# -- accepting ---------------------------------------------------------------------------------------------------------


async def at_once(steps: Steps) -> Standing:
    return Ended(Status.COMPLETED, await steps.step("only", Counted()("only")))


async def test_a_key_starts_one_run_however_often_it_is_given(house):
    performed: list[str] = []

    async def play(steps):
        performed.append(steps.run_id)
        return Ended(Status.COMPLETED)

    async with house.open(play) as engine:
        assert {await engine.accept(new()) for _ in range(3)} == {"run-k"}
        assert set(await asyncio.gather(*(engine.accept(new("c")) for _ in range(50)))) == {"run-c"}
        await soon(engine.settled("run-c"))
        await soon(engine.settled("run-k"))
        assert await engine.accept(new()) == "run-k"
    async with house.open(play) as engine:
        assert await engine.accept(new()) == "run-k"
        await soon(engine.settled("run-k"))
    assert sorted(performed) == ["run-c", "run-k"]
    assert house.noted("run-k") == ["accepted"]


async def test_a_key_of_another_request_is_refused_now_and_after_a_restart(house):
    async with house.open(at_once) as engine:
        await engine.accept(new())
        with pytest.raises(KeyReusedError, match="'k'"):
            await engine.accept(new(fingerprint="other"))
    async with house.open(at_once) as engine:
        with pytest.raises(KeyReusedError):
            await engine.accept(new(fingerprint="other"))


async def test_of_different_requests_under_one_key_at_once_exactly_one_is_accepted(house):
    async with house.open(at_once) as engine:
        given = await asyncio.gather(
            *(engine.accept(new(fingerprint=str(n))) for n in range(20)), return_exceptions=True
        )
    assert sorted(type(g).__name__ for g in given) == ["KeyReusedError"] * 19 + ["str"]


async def test_a_run_whose_acceptor_gave_up_waiting_is_worked_on_all_the_same(house):
    async with house.open(at_once) as engine:
        for ticks in range(6):
            caller = asyncio.ensure_future(engine.accept(new(f"k{ticks}")))
            for _ in range(ticks):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
        for ticks in range(6):
            try:
                assert (await soon(engine.settled(f"run-k{ticks}"))).status is Status.COMPLETED
            except UnknownRunError:
                assert ticks == 0


async def test_an_unknown_run_is_an_error_to_whoever_asks(house):
    async with house.open(at_once) as engine:
        given = await asyncio.gather(*(engine.settled("nobody") for _ in range(3)), return_exceptions=True)
        assert [type(g) for g in given] == [UnknownRunError] * 3
        with pytest.raises(UnknownRunError):
            await engine.cancel("nobody", "olga")
        with pytest.raises(UnknownRunError):
            await engine.deliver("nobody", "event", None)
        # Nothing was left behind that a later run of this id would find.
        await engine.accept(NewRun("nobody", "w", "later", "f", "{}"))
        assert (await soon(engine.settled("nobody"))).status is Status.COMPLETED


# -- steps -------------------------------------------------------------------------------------------------------------


async def test_finished_steps_answer_from_the_store_after_a_restart(house):
    work, hold = Counted(), asyncio.Event()

    async def play(steps):
        first = await steps.step("a", work("a", {"x": [1, "é", None, 2.5]}))
        second = await steps.step("b", work("b", wait=hold))
        return Ended(Status.COMPLETED, [first, second])

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: work.done["b"])
    hold.set()
    async with house.open(play) as engine:
        standing = await soon(engine.settled("run-k"))
    assert standing.value == [{"x": [1, "é", None, 2.5]}, "b 2"]
    assert work.done == {"a": 1, "b": 2}


async def test_an_ended_run_is_not_performed_again(house):
    work = Counted()

    async def play(steps):
        return Ended(Status.COMPLETED, await steps.step("a", work("a")), "why")

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
    async with house.open(play) as engine:
        assert await soon(engine.settled("run-k", through=frozenset(Status))) == Ended(Status.COMPLETED, "a 1", "why")
    assert work.done == {"a": 1}


async def test_the_order_in_which_steps_finish_does_not_matter_on_replay(house):
    work = Counted()
    order = ["c", "a", "b", "e", "d"]

    async def play(steps):
        async def one(name, turn):
            for _ in range(turn):
                await asyncio.sleep(0.002)
            return await steps.step(name, work(name, f"of {name}"))

        names = sorted(order)
        got = await asyncio.gather(*(one(n, order.index(n)) for n in names))
        if steps.event("go") is None:
            return Parked(Status.AWAITING_GUEST, frozenset({"go"}))
        return Ended(Status.COMPLETED, dict(zip(names, got, strict=True)))

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
    order.reverse()
    async with house.open(play) as engine:
        await engine.deliver("run-k", "go", 1)
        ended = await soon(engine.settled("run-k", through=frozenset(Status)))
    assert ended.value == {n: f"of {n}" for n in order}
    assert set(work.done.values()) == {1}


async def test_a_step_and_its_facts_are_kept_or_lost_together(house):
    work = Counted()

    async def play(steps):
        await steps.step("a", work("a", facts=[note(steps.run_id, "a")]))
        await steps.step("b", work("b", facts=[note(steps.run_id, "b1"), note(steps.run_id, "b2")]))
        return Ended(Status.COMPLETED, facts=[note(steps.run_id, "end")])

    house.break_facts("b2")
    async with house.open(play) as engine:
        await engine.accept(new())
        with pytest.raises(StoreBrokenError, match="full"):
            await soon(engine.settled("run-k"))
    assert house.noted("run-k") == ["accepted", "a"]
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).status is Status.COMPLETED
    assert house.noted("run-k") == ["accepted", "a", "b1", "b2", "end"]
    assert work.done == {"a": 1, "b": 2}


async def test_an_end_and_its_facts_are_kept_or_lost_together(house):
    async def play(steps):
        return Ended(Status.COMPLETED, facts=[note(steps.run_id, "end")])

    house.break_facts("end")
    async with house.open(play) as engine:
        await engine.accept(new())
        with pytest.raises(StoreBrokenError):
            await soon(engine.settled("run-k"))
    assert house.noted("run-k") == ["accepted"]
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).status is Status.COMPLETED
    assert house.noted("run-k") == ["accepted", "end"]


async def test_an_acceptance_that_cannot_be_written_is_no_acceptance(house):
    house.break_facts("accepted")
    async with house.open(at_once) as engine:
        with pytest.raises(StoreBrokenError):
            await engine.accept(new())
        with pytest.raises(StoreBrokenError):
            await engine.accept(new("other"))
    async with house.open(at_once) as engine:
        with pytest.raises(UnknownRunError):
            await soon(engine.settled("run-k"))


async def test_once_the_store_is_broken_nobody_waits_for_ever(house):
    hold = asyncio.Event()

    async def play(steps):
        if steps.run_id == "run-busy":
            await steps.step("a", Counted()("a", wait=hold))
        return Ended(Status.COMPLETED, facts=[note(steps.run_id, "end")])

    house.break_facts("end")
    async with house.open(play) as engine:
        await engine.accept(new("busy"))
        await engine.accept(new())
        with pytest.raises(StoreBrokenError):
            await soon(engine.settled("run-k"))
        for wait in (engine.settled("run-busy"), engine.settled("run-k"), engine.cancel("run-k", "o")):
            with pytest.raises(StoreBrokenError):
                await soon(wait)


async def test_facts_recorded_without_waiting_are_there_before_a_later_step_is(house):
    hold = asyncio.Event()

    async def play(steps):
        steps.record(note(steps.run_id, "r1"))
        steps.record(note(steps.run_id, "r2"), note(steps.run_id, "r3"))
        await steps.step("a", Counted()("a", facts=[note(steps.run_id, "a")]))
        hold.set()
        return Ended(Status.COMPLETED)

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(hold.wait())
        assert house.noted("run-k")[:5] == ["accepted", "r1", "r2", "r3", "a"]


HALF_PAIR = "half of a pair: \ud800, a null: \0, and \U0001f6a4"


async def test_no_text_a_model_or_a_person_can_say_breaks_the_store(house):
    async def play(steps):
        said = await steps.step("a", Counted()("a", {"said": HALF_PAIR, HALF_PAIR: 1}))
        heard = steps.event("e")
        if heard is None:
            return Parked(Status.AWAITING_GUEST, frozenset({"e"}), value=HALF_PAIR, reason=HALF_PAIR)
        return Ended(Status.COMPLETED, [said, heard], HALF_PAIR)

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
        await engine.deliver("run-k", "e", HALF_PAIR)
        first = await soon(engine.settled("run-k", through=frozenset(Status)))
    assert first.value[1] == HALF_PAIR
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).value == first.value


async def test_what_cannot_be_written_harms_its_own_caller_and_nobody_else(house):
    async def play(steps):
        name = json.loads(json.dumps(steps.run_id))
        if name == "run-bad":
            await steps.step("bad \ud800 name", Counted()("a"))
        if name == "run-twice":
            await asyncio.gather(*(steps.step("same", Counted()("same", wait=None)) for _ in range(2)))
        if name == "run-odd":
            return Ended(Status.COMPLETED, facts=[SubtaskFact(name, None, "s", "", "", None, "", START)])
        return Ended(Status.COMPLETED, await steps.step("good", Counted()("good")))

    async with house.open(play) as engine:
        bad = NewRun("run-half-\ud800", "w", "\ud800", "f", "{}")
        given = await asyncio.gather(
            engine.accept(bad),
            *(engine.accept(new(n)) for n in ("bad", "twice", "odd", "good")),
            return_exceptions=True,
        )
        assert isinstance(given[0], Exception)
        assert given[1:] == ["run-bad", "run-twice", "run-odd", "run-good"]
        ended = {n: await soon(engine.settled(f"run-{n}")) for n in ("bad", "twice", "odd", "good")}
        assert {n: e.status for n, e in ended.items()} == {
            "bad": Status.FAILED,
            "twice": Status.FAILED,
            "odd": Status.FAILED,
            "good": Status.COMPLETED,
        }
        assert not engine.broken.done()


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_a_durable_sleep_does_not_start_over(house):
    clock = StillClock()

    async def play(steps):
        at = await steps.step("at", Counted()("at", (clock.now() + timedelta(days=3)).isoformat()))
        await steps.sleep_until(START.fromisoformat(at))
        return Ended(Status.COMPLETED, at)

    async with house.open(play, clock=clock) as engine:
        await engine.accept(new())
        await asyncio.sleep(0.02)
    clock.advance(days=2)
    async with house.open(play, clock=clock) as engine:
        waiting = asyncio.ensure_future(engine.settled("run-k"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        clock.advance(days=1)
        assert (await soon(waiting)).value == (START + timedelta(days=3)).isoformat()


async def parks_for_go(steps: Steps) -> Standing:
    first = await steps.step("first", Counted()("first"))
    if steps.event("go") is None:
        return Parked(Status.AWAITING_APPROVAL, frozenset({"go"}), reason="wait for go")
    return Ended(Status.COMPLETED, [first, steps.event("go"), steps.count_events("g")])


async def test_an_event_is_waited_for_across_restarts_and_weeks(house):
    clock = StillClock()
    async with house.open(parks_for_go, clock=clock) as engine:
        await engine.accept(new())
        parked = await soon(engine.settled("run-k"))
        assert parked == Parked(Status.AWAITING_APPROVAL, frozenset({"go", CANCEL}), None, None, "wait for go")
    for _ in range(2):
        clock.advance(days=20)
        async with house.open(parks_for_go, clock=clock) as engine:
            assert await soon(engine.settled("run-k")) == parked
    clock.advance(days=20)
    async with house.open(parks_for_go, clock=clock) as engine:
        waiting = asyncio.ensure_future(engine.settled("run-k", through=frozenset(Status)))
        assert await engine.deliver("run-k", "go", {"by": "olga"})
        assert (await soon(waiting)).value == ["first 1", {"by": "olga"}, 1]


async def test_an_event_is_delivered_once(house):
    async with house.open(parks_for_go) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
        given = await asyncio.gather(*(engine.deliver("run-k", "go", n) for n in range(10)))
        assert sorted(given) == [False] * 9 + [True]
        ended = await soon(engine.settled("run-k", through=frozenset(Status)))
        assert ended.value[1] == given.index(True)
        assert not await engine.deliver("run-k", "go", "late")
    async with house.open(parks_for_go) as engine:
        assert not await engine.deliver("run-k", "go", "later still")
        assert await soon(engine.settled("run-k")) == ended


async def test_a_run_reads_an_event_that_came_while_it_was_at_work(house):
    at_work, hold = asyncio.Event(), asyncio.Event()

    async def play(steps):
        at_work.set()
        await steps.step("slow", Counted()("slow", wait=hold))
        return Ended(Status.COMPLETED, steps.event("go"))

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(at_work.wait())
        assert await engine.deliver("run-k", "go", "now")
        hold.set()
        assert (await soon(engine.settled("run-k"))).value == "now"


async def test_a_run_that_parks_as_its_event_comes_in_is_not_forgotten(house):
    """It decided to park before the event was there, and the event was there before it was parked."""
    hold = asyncio.Event()

    async def play(steps):
        seen = steps.event("go")
        if seen is None:
            await steps.step("slow", Counted()("slow", wait=hold))
            return Parked(Status.AWAITING_GUEST, frozenset({"go"}))
        return Ended(Status.COMPLETED, seen)

    async with house.open(play) as engine:
        await engine.accept(new())
        await asyncio.sleep(0.01)
        assert await engine.deliver("run-k", "go", "early")
        hold.set()
        assert (await soon(engine.settled("run-k", through=frozenset(Status)))).value == "early"


async def test_an_event_reaches_a_run_that_is_still_queued(house):
    hold = asyncio.Event()

    async def play(steps):
        if steps.run_id == "run-first":
            await steps.step("slow", Counted()("slow", wait=hold))
        return Ended(Status.COMPLETED, steps.event("go"))

    async with house.open(play, running_limit=1) as engine:
        await engine.accept(new("first"))
        await engine.accept(new("second"))
        assert await engine.deliver("run-second", "go", 7)
        hold.set()
        assert (await soon(engine.settled("run-second"))).value == 7


async def test_events_that_come_in_any_interleaving_with_parking_are_all_seen(house):
    async def play(steps):
        for n in range(4):
            await steps.step(f"s{n}", Counted()(f"s{n}"))
            if steps.event(f"e{n}") is None:
                return Parked(Status.AWAITING_GUEST, frozenset({f"e{n}"}))
        return Ended(Status.COMPLETED, [steps.event(f"e{n}") for n in range(4)])

    async def send(engine, run_id, dice):
        order = list(range(4))
        dice.shuffle(order)
        for n in order:
            for _ in range(dice.randrange(6)):
                await asyncio.sleep(0)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() / 100)
            assert await engine.deliver(run_id, f"e{n}", n)

    dice = random.Random(1)
    async with house.open(play, running_limit=8) as engine:
        runs = [await engine.accept(new(f"k{n}")) for n in range(150)]
        await asyncio.gather(*(send(engine, r, dice) for r in runs))
        ended = await soon(asyncio.gather(*(engine.settled(r, through=frozenset(Status)) for r in runs)))
    assert [e.value for e in ended] == [[0, 1, 2, 3]] * 150


async def test_an_event_whose_sender_gave_up_waiting_arrives_all_the_same(house):
    async with house.open(parks_for_go) as engine:
        for ticks in range(6):
            run = await engine.accept(new(f"k{ticks}"))
            await soon(engine.settled(run))
            sender = asyncio.ensure_future(engine.deliver(run, "go", ticks))
            for _ in range(ticks):
                await asyncio.sleep(0)
            sender.cancel()
            await asyncio.wait([sender])
            if ticks:
                assert (await soon(engine.settled(run, through=frozenset(Status)))).value[1] == ticks


async def test_a_parked_run_wakes_by_the_clock(house):
    clock = StillClock()

    async def play(steps):
        due = START + timedelta(days=5)
        if clock.now() < due:
            return Parked(Status.DEFERRED, frozenset({"go"}), due)
        return Ended(Status.COMPLETED, steps.event("go"))

    async with house.open(play, clock=clock) as engine:
        await engine.accept(new("a"))
        await engine.accept(new("b"))
        assert (await soon(engine.settled("run-a"))).until == START + timedelta(days=5)
        await soon(engine.settled("run-b"))
        clock.advance(days=4)
    async with house.open(play, clock=clock) as engine:
        waiting = asyncio.ensure_future(engine.settled("run-a", through=frozenset(Status)))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        clock.advance(days=1)
        assert (await soon(waiting)).status is Status.COMPLETED
        assert (await soon(engine.settled("run-b", through=frozenset(Status)))).status is Status.COMPLETED


async def test_a_run_that_was_due_while_nothing_ran_goes_on_at_the_next_start(house):
    clock = StillClock()

    async def play(steps):
        due = START + timedelta(days=5)
        return Parked(Status.DEFERRED, frozenset(), due) if clock.now() < due else Ended(Status.COMPLETED)

    async with house.open(play, clock=clock) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
    clock.advance(days=6)
    async with house.open(play, clock=clock) as engine:
        assert (await soon(engine.settled("run-k", through=frozenset(Status)))).status is Status.COMPLETED


async def test_an_earlier_wake_set_later_is_not_overslept(house):
    clock = StillClock()
    days = {"run-late": 9, "run-early": 2, "run-middle": 5}

    async def play(steps):
        due = START + timedelta(days=days[steps.run_id])
        return Parked(Status.DEFERRED, frozenset(), due) if clock.now() < due else Ended(Status.COMPLETED)

    async with house.open(play, clock=clock) as engine:
        for name in ("late", "early", "middle"):
            await engine.accept(new(name))
            await soon(engine.settled(f"run-{name}"))
        await asyncio.sleep(0.01)
        for name, day in (("early", 2), ("middle", 3), ("late", 4)):
            clock.advance(days=day)
            assert (await soon(engine.settled(f"run-{name}", through=frozenset(Status)))).status is Status.COMPLETED


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_a_queued_run_is_cancelled_without_being_performed(house):
    hold, performed = asyncio.Event(), []

    async def play(steps):
        performed.append(steps.run_id)
        await steps.step("slow", Counted()("slow", wait=hold))
        return Ended(Status.COMPLETED)

    async with house.open(play, running_limit=1) as engine:
        await engine.accept(new("first"))
        await engine.accept(new("second"))
        assert await engine.cancel("run-second", "olga")
        hold.set()
        assert (await soon(engine.settled("run-second"))) == Ended(
            Status.CANCELLED, reason="cancelled by olga", facts=[note("run-second", "cancelled")]
        )
    assert performed == ["run-first"]
    assert house.noted("run-second") == ["accepted", "cancelled"]


async def test_a_run_in_a_model_call_is_cancelled_at_once(house):
    work, never = Counted(), asyncio.Event()

    async def play(steps):
        await steps.step("call", work("call", wait=never))
        return Ended(Status.COMPLETED)

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: work.done["call"])
        assert await engine.cancel("run-k", "olga")
        assert (await soon(engine.settled("run-k"))).status is Status.CANCELLED
        assert not await engine.cancel("run-k", "olga")


async def test_an_effect_under_way_finishes_and_is_kept_before_its_run_is_cancelled(house):
    work, hold = Counted(), asyncio.Event()

    async def play(steps):
        await once(steps, "pay", work("pay", facts=[note(steps.run_id, "paid")], wait=hold))
        await steps.step("after", work("after"))
        return Ended(Status.COMPLETED)

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: work.done["pay"])
        assert await engine.cancel("run-k", "olga")
        await asyncio.sleep(0.02)
        hold.set()
        assert (await soon(engine.settled("run-k"))).status is Status.CANCELLED
    assert house.noted("run-k") == ["accepted", "paid", "cancelled"]
    assert work.done == {"pay": 1}


async def test_a_parked_run_is_cancelled(house):
    async with house.open(parks_for_go) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
        assert await engine.cancel("run-k", "olga")
        assert (await soon(engine.settled("run-k", through=frozenset(Status)))).status is Status.CANCELLED
    assert house.noted("run-k") == ["accepted", "cancelled"]


async def test_a_cancelled_run_stays_cancelled_when_the_engine_stops_first(house):
    async with house.open(parks_for_go) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
        await engine.cancel("run-k", "olga")
    async with house.open(parks_for_go) as engine:
        assert (await soon(engine.settled("run-k", through=frozenset(Status)))).status is Status.CANCELLED


async def test_an_ended_run_cannot_be_cancelled(house):
    async with house.open(at_once) as engine:
        await engine.accept(new())
        ended = await soon(engine.settled("run-k"))
        assert not await engine.cancel("run-k", "olga")
    async with house.open(at_once) as engine:
        assert not await engine.cancel("run-k", "olga")
        assert await soon(engine.settled("run-k")) == ended


async def test_a_cancel_whose_sender_gave_up_waiting_takes_hold_all_the_same(house):
    async with house.open(parks_for_go) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.cancel("run-k", "olga"), 0)
        sender = asyncio.ensure_future(engine.cancel("run-k", "olga"))
        await asyncio.sleep(0)
        sender.cancel()
        await asyncio.wait([sender])
        assert (await soon(engine.settled("run-k", through=frozenset(Status)))).status is Status.CANCELLED


# -- what must not be done twice -----------------------------------------------------------------------------------------


async def test_what_is_done_once_is_durable_before_it_begins_and_knows_when_it_was_begun_before(house):
    told, hold, work = [], asyncio.Event(), Counted()

    async def play(steps):
        async def pay(found):
            told.append(found)
            await hold.wait()
            return await work("pay")()

        begin = Worked({"amount": 5}, [note(steps.run_id, "reserved")])
        paid = await steps.once("pay", begin, pay, shielded=False)
        return Ended(Status.COMPLETED, [paid, [[b.name, b.begin, b.result] for b in steps.begun()]])

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: told)
        assert house.noted("run-k") == ["accepted", "reserved"]
    hold.set()
    async with house.open(play) as engine:
        standing = await soon(engine.settled("run-k"))
    assert standing.value == ["pay 1", [["pay", {"amount": 5}, "pay 1"]]]
    assert told == [False, True]
    assert house.noted("run-k") == ["accepted", "reserved"]


async def test_what_was_begun_is_listed_in_the_order_it_was_begun_in_every_life(house):
    work, seen = Counted(), []

    async def play(steps):
        for name in ("z", "a", "m"):
            await steps.once(name, Worked(name), lambda _: work(name)(), shielded=True)  # noqa: B023 - awaited at once
        seen.append([b.name for b in steps.begun()])
        if steps.event("go") is None:
            return Parked(Status.AWAITING_APPROVAL, frozenset({"go"}))
        return Ended(Status.COMPLETED, steps.known("a"))

    async with house.open(play) as engine:
        await engine.accept(new())
        await soon(engine.settled("run-k"))
    async with house.open(play) as engine:
        await engine.deliver("run-k", "go", "now")
        standing = await soon(engine.settled("run-k", through=frozenset(Status)))
    assert seen == [["z", "a", "m"]] * 2
    assert standing.value == "a 1"


async def test_a_cancelled_run_is_performed_again_and_may_do_steps_before_it_ends(house):
    work, never = Counted(), asyncio.Event()

    class Undoing(Script):
        async def perform(self, steps, payload):
            if steps.event(CANCEL) is None:
                return await self.play(steps)
            undone = [await steps.step(f"undo {b.name}", work(f"undo {b.name}")) for b in reversed(steps.begun())]
            return Ended(Status.CANCELLED, undone)

    async def play(steps):
        for name in ("a", "b"):
            await once(steps, name, work(name))
        await steps.step("call", work("call", wait=never))
        return Ended(Status.COMPLETED)

    engine = EmbeddedEngine(house.path, Undoing(play), SqliteFacts(), StillClock())
    await engine.start()
    await engine.accept(new())
    await until(lambda: work.done["call"])
    await engine.cancel("run-k", "olga")
    standing = await soon(engine.settled("run-k"))
    await engine.close()
    assert standing.value == ["undo b 1", "undo a 1"]


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_stopping_waits_for_an_effect_and_keeps_it(house):
    work, hold = Counted(), asyncio.Event()

    async def play(steps):
        paid = await once(steps, "pay", work("pay", wait=hold))
        return Ended(Status.COMPLETED, paid)

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: work.done["pay"])
        asyncio.get_running_loop().call_later(0.05, hold.set)
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).value == "pay 1"


async def test_stopping_while_a_cancelled_run_finishes_its_effect_keeps_the_effect(house):
    work, hold = Counted(), asyncio.Event()

    async def play(steps):
        await once(steps, "pay", work("pay", facts=[note(steps.run_id, "paid")], wait=hold))
        return Ended(Status.COMPLETED)

    async with house.open(play) as engine:
        await engine.accept(new())
        await until(lambda: work.done["pay"])
        await engine.cancel("run-k", "olga")
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().call_later(0.05, hold.set)
    assert "paid" in house.noted("run-k")
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).status is Status.CANCELLED
    assert work.done == {"pay": 1}


async def test_a_model_call_under_way_does_not_hold_up_stopping(house):
    work, never = Counted(), asyncio.Event()

    async def play(steps):
        return Ended(Status.COMPLETED, await steps.step("call", work("call", wait=never)))

    async def live():
        async with house.open(play) as engine:
            await engine.accept(new())
            await until(lambda: work.done["call"])

    await soon(live())
    never.set()
    async with house.open(play) as engine:
        assert (await soon(engine.settled("run-k"))).value == "call 2"


async def test_whoever_waits_for_a_run_is_told_when_the_engine_stops(house):
    async with house.open(parks_for_go) as engine:
        await engine.accept(new())
        waiting = asyncio.ensure_future(engine.settled("run-k", through=frozenset(Status)))
        await asyncio.sleep(0.02)
    with pytest.raises(StoreError, match="closed"):
        await soon(waiting)
    with pytest.raises(StoreError, match="closed"):
        await soon(engine.accept(new("late")))


async def test_every_unfinished_run_goes_on_at_the_next_start(house):
    work, hold = Counted(), asyncio.Event()

    async def play(steps):
        await steps.step("slow", work(steps.run_id, wait=hold))
        return Ended(Status.COMPLETED)

    async with house.open(play, running_limit=5) as engine:
        for n in range(40):
            await engine.accept(new(f"k{n}"))
    hold.set()
    async with house.open(play, running_limit=5) as engine:
        ended = await soon(asyncio.gather(*(engine.settled(f"run-k{n}") for n in range(40))))
    assert {e.status for e in ended} == {Status.COMPLETED}


async def test_no_more_runs_are_worked_on_at_once_than_allowed(house):
    now = most = 0

    async def play(steps):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await steps.step("a", Counted()("a"))
        await asyncio.sleep(0.001)
        now -= 1
        if steps.event("go") is None:
            return Parked(Status.AWAITING_GUEST, frozenset({"go"}))
        return Ended(Status.COMPLETED)

    async with house.open(play, running_limit=7) as engine:
        runs = await asyncio.gather(*(engine.accept(new(f"k{n}")) for n in range(60)))
        await soon(asyncio.gather(*(engine.settled(r) for r in runs)))
        await asyncio.gather(*(engine.deliver(r, "go", 1) for r in runs))
        await soon(asyncio.gather(*(engine.settled(r, through=frozenset(Status)) for r in runs)))
    assert most == 7


# -- faults in a run's code --------------------------------------------------------------------------------------------


async def raises(steps: Steps) -> Standing:
    raise ValueError("bad luck")


async def raises_in_a_step(steps: Steps) -> Standing:
    async def work() -> Worked:
        raise KeyError("x")

    return Ended(Status.COMPLETED, await steps.step("a", work))


async def gives_no_json_in_a_step(steps: Steps) -> Standing:
    return Ended(Status.COMPLETED, await steps.step("a", Counted()("a", object())))


async def ends_with_no_json(steps: Steps) -> Standing:
    return Ended(Status.COMPLETED, object())


async def ends_with_json_too_deep_to_write(steps: Steps) -> Standing:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    return Ended(Status.COMPLETED, deep)


async def cancels_itself(steps: Steps) -> Standing:
    raise asyncio.CancelledError


BAD = [
    raises,
    raises_in_a_step,
    gives_no_json_in_a_step,
    ends_with_no_json,
    ends_with_json_too_deep_to_write,
    cancels_itself,
]


async def test_a_run_whose_code_raises_ends_as_failed_and_the_worker_lives(house):
    plays = {f"run-{play.__name__}": play for play in BAD}

    async def play(steps):
        return await plays.get(steps.run_id, at_once)(steps)

    async with house.open(play) as engine:
        for run in [*plays, "run-good"]:
            await engine.accept(new(run.removeprefix("run-")))
        failed = [await soon(engine.settled(run)) for run in plays]
        assert (await soon(engine.settled("run-good"))).status is Status.COMPLETED
    assert [end.status for end in failed] == [Status.FAILED] * len(BAD)
    assert failed[0].reason == "ValueError: bad luck"
    assert house.noted("run-raises") == ["accepted", "broken"]


# -- all at once -------------------------------------------------------------------------------------------------------


@dataclass
class Unrest:
    """Runs that do a step, wait for two events (two thirds of them only until a day), pay; and people who meddle with them."""

    dice: random.Random
    clock: StillClock = field(default_factory=StillClock)
    work: Counted = field(default_factory=Counted)
    cancelled: set[str] = field(default_factory=set)

    async def play(self, steps: Steps) -> Standing:
        await steps.step("a", self.work(f"a {steps.run_id}"))
        if self.dice.random() < 0.3:
            await asyncio.sleep(self.dice.random() / 200)
        until = START + timedelta(days=30) if int(steps.run_id[5:]) % 3 else None
        for name in ("e0", "e1"):
            if steps.event(name) is None and (until is None or self.clock.now() < until):
                return Parked(Status.AWAITING_GUEST, frozenset({name}), until)
        await once(steps, "pay", self.work(f"pay {steps.run_id}", facts=[note(steps.run_id, "paid")]))
        return Ended(Status.COMPLETED)

    async def meddle(self, engine: Engine, run_id: str) -> None:
        for _ in range(self.dice.randrange(4)):
            await asyncio.sleep(self.dice.random() / 50)
            match self.dice.randrange(4):
                case 0:
                    self.cancelled.add(run_id)
                    await engine.cancel(run_id, "olga")
                case 1:
                    await engine.deliver(run_id, "e0", 0)
                case 2:
                    await engine.deliver(run_id, "e1", 1)
                case _:
                    sender = asyncio.ensure_future(engine.deliver(run_id, "e0", 0))
                    await asyncio.sleep(0)
                    sender.cancel()

    async def short_life(self, engine: Engine, runs: Sequence[str]) -> None:
        tasks = [asyncio.ensure_future(self.meddle(engine, r)) for r in runs]
        await asyncio.sleep(self.dice.random() / 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def last_life(self, engine: Engine, runs: Sequence[str]) -> dict[str, Standing]:
        await soon(asyncio.gather(*(self.meddle(engine, r) for r in runs)))
        self.clock.advance(days=31)
        await asyncio.gather(*(engine.deliver(r, e, 2) for r in runs for e in ("e0", "e1")))
        ended = await soon(asyncio.gather(*(engine.settled(r, through=frozenset(Status)) for r in runs)))
        return dict(zip(runs, ended, strict=True))


@pytest.mark.parametrize("seed", range(3))
async def test_many_runs_under_random_events_cancels_and_restarts_are_never_left_in_limbo(house, seed):
    unrest, runs = Unrest(random.Random(seed)), [f"run-k{n}" for n in range(500)]
    for _ in range(2):
        async with house.open(unrest.play, clock=unrest.clock, running_limit=32) as engine:
            await asyncio.gather(*(engine.accept(new(r.removeprefix("run-"))) for r in runs))
            await unrest.short_life(engine, runs)
    async with house.open(unrest.play, clock=unrest.clock, running_limit=32) as engine:
        ended = await unrest.last_life(engine, runs)
    assert {e.status for e in ended.values()} == {Status.COMPLETED, Status.CANCELLED}
    for run_id, end in ended.items():
        paid = unrest.work.done[f"pay {run_id}"]
        assert house.noted(run_id).count("paid") == paid <= 1
        assert paid == 1 if end.status is Status.COMPLETED else run_id in unrest.cancelled

"""Kills workers of the charter example and holds what they left against an undisturbed run.

Used by `test_charter_crash.py` in short and by `bench/chaos` at length.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from charter import demo
from tests.integration.charter_chaos_worker import CASES, WORKFLOW, Job
from tests.integration.forking import ROOT, Workers
from trimtab.app import run_id_of
from trimtab.core.outcome import Status
from trimtab.core.plan import Plan, Subtask
from trimtab.models.simulator import AnswerBook, Profile, Simulator

KILLED = -9
LIVES = 12
SHOWN = 4

# What is not part of a company's world: the log of calls, and what only SQLite needs.
_NO_WORLD = ("calls", "sqlite_sequence")
# Numbers of messages follow the order of work, which differs from life to life where messages are written at the same time.
# So do the times at which the machine's clock lets go on what was put off.
_NUMBERED = re.compile(r"\bM-\d+|\b\d{4}-\d\d-\d\dT[\d:.]+\+00:00")


def workers_of(folder: Path) -> Workers:
    """Give the process that forks workers of the charter example."""
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}", "PATH": "/usr/bin:/bin", "ANTHROPIC_API_KEY": "none"}
    return Workers("tests.integration.charter_chaos_worker", str(folder / "warm"), env=env)


@dataclass(frozen=True)
class Line:
    """How one effect stands in trimtab's ledger: its newest line, and every line that says it was taken back."""

    run: str
    subtask: str
    call: str
    effect: str
    state: str
    compensated: int
    row: int


@dataclass(frozen=True)
class Made:
    """One row of the example's own ledger of effects."""

    run: str
    subtask: str
    call: str
    undone: bool


@dataclass(frozen=True)
class Left:
    """What lives left behind: how each run stands, both ledgers by idempotency key, each company's world, and the letters."""

    standings: Mapping[str, str]
    states: Mapping[str, str]
    ledger: Mapping[str, Line]
    effects: Mapping[str, Made]
    worlds: Mapping[str, Mapping[str, Any]]
    letters: Counter[str]
    texts: frozenset[tuple[str, str]]

    @property
    def mail(self) -> Counter[str]:
        """What went out, without what names each letter."""
        return Counter(text for _, text in self.texts)


def read_left(folder: Path, cases: Sequence[str]) -> Left:
    """Read the store, every company and the log."""
    with _open(folder / "t.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        runs = db.execute("SELECT run_id, state, standing FROM engine_run").fetchall()
        ledger = _ledger(db)
    worlds: dict[str, Any] = {}
    effects: dict[str, Made] = {}
    for case in cases:
        with _open(folder / "companies" / f"{CASES[case].company}.sqlite") as db:
            worlds[case] = _world(db)
            for key, run, subtask, action, undone in db.execute(
                "SELECT key, run_id, subtask, action, undone FROM effects ORDER BY n"
            ):
                effects[key] = Made(run, subtask, action, bool(undone))
    sent = [line[2:] for line in read_log(folder) if line[1] == "letter"]
    return Left(
        standings={run: json.loads(standing)["status"] for run, _, standing in runs if standing},
        states={run: state for run, state, _ in runs},
        ledger=ledger,
        effects=effects,
        worlds=worlds,
        letters=Counter(name for name, _ in sent),
        texts=frozenset((name, json.dumps(letter)) for name, letter in sent),
    )


def _open(path: Path) -> Any:
    return closing(sqlite3.connect(path))


def _ledger(db: sqlite3.Connection) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for row, run, key, subtask, role, tool, effect, state in db.execute(
        "SELECT rowid, run_id, key, subtask, role, tool, effect, state FROM effect ORDER BY rowid"
    ):
        before = lines[key].compensated if key in lines else 0
        lines[key] = Line(run, subtask, f"{role}.{tool}", effect, state, before + (state == "compensated"), row)
    return lines


def _world(db: sqlite3.Connection) -> dict[str, list[Any]]:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {name: _rows(db, name) for name in tables if name not in _NO_WORLD}


def _rows(db: sqlite3.Connection, table: str) -> list[Any]:
    cursor = db.execute(f"SELECT * FROM {table}")
    columns = [column for column, *_ in cursor.description]
    rows = [{c: v for c, v in zip(columns, row, strict=True) if c not in ("n", "at")} for row in cursor]
    return sorted(_NUMBERED.sub("N", json.dumps(row, sort_keys=True)) for row in rows)


def read_log(folder: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def moments(folder: Path) -> list[str]:
    """Every moment that a life passed, in order."""
    return list(dict.fromkeys(line[2] for line in read_log(folder) if line[1] == "moment"))


@dataclass(frozen=True)
class Scenario:
    """Requests that are worked on at once, and what befalls them. See `Job`."""

    name: str
    cases: tuple[str, ...]
    fail: str = ""
    cancel_at: str = ""
    decide: bool = False
    days: float | None = None

    def job(self, folder: Path, life: int, kill_at: str | None = None) -> Job:
        befalls = {"fail": self.fail, "cancel_at": self.cancel_at, "decide": self.decide, "days": self.days}
        return Job(str(folder), self.cases, life, kill_at, **befalls)

    @property
    def whole(self) -> bool:
        """Whether nothing befalls it but being killed."""
        return not (self.fail or self.cancel_at)

    @property
    def runs(self) -> dict[str, str]:
        """Run id by case."""
        return {case: run_id_of(WORKFLOW, case) for case in self.cases}


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("R02", ("R02",)),
        Scenario("R24", ("R24",)),
        Scenario("R06", ("R06",)),
        Scenario("R13", ("R13",)),
        Scenario("R29 approved", ("R29",), decide=True, days=0),
        Scenario("R02 fails", ("R02",), fail="documents.build_checklist"),
        Scenario("R24 fails", ("R24",), fail="guestpage.publish"),
        Scenario("R13 fails", ("R13",), fail="guestpage.update"),
        Scenario("R02 cancelled", ("R02",), cancel_at="do/e/tool/0.0/1: after its work"),
        Scenario("R13 cancelled", ("R13",), cancel_at="do/f/tool/0.0/1: after its commit"),
    )
}


@dataclass
class Tally:
    """What a number of trials came to. `resent` are letters handed over again under the same Message-ID."""

    points: int = 0
    kills: int = 0
    lives: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    resent: int = 0
    wrong: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        for name in ("points", "kills", "lives", "lost", "doubled", "unknown", "resent", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong

    @property
    def fine(self) -> bool:
        return not (self.lost or self.doubled or self.unknown or self.wrong)


def undisturbed(workers: Workers, folder: Path, scenario: Scenario) -> Left:
    """Do a scenario in one life: what every other way of doing it must come to."""
    folder.mkdir(parents=True)
    assert workers.do(scenario.job(folder, 1)) == 0
    return read_left(folder, scenario.cases)


def trial(workers: Workers, folder: Path, scenario: Scenario, kills: Sequence[str], wanted: Left) -> Tally:
    """Kill a life at each of these moments in turn, let the last one finish, and hold what is left against `wanted`."""
    folder.mkdir(parents=True)
    tally = Tally(points=1)
    for kill_at in [*kills, *[None] * LIVES]:
        tally.lives += 1
        code = workers.do(scenario.job(folder, tally.lives, kill_at))
        tally.kills += code == KILLED
        if code == 0 and kill_at is None:
            break
        assert code in (0, KILLED), f"life {tally.lives} of {folder} ended with {code}"
    left = read_left(folder, scenario.cases)
    check_kept(tally, folder, left)
    check_ledgers(tally, scenario, left)
    if not scenario.cancel_at:
        # What was done before somebody cancelled depends on the moment; both ledgers are held against each other instead.
        check_same(tally, left, wanted, scenario.runs)
    elif left.standings != wanted.standings:
        tally.wrong.append(f"the run stands as {dict(left.standings)}, expected {dict(wanted.standings)}")
    told = [f"{scenario.name}, killed at {' and '.join(kills)}: {wrong}" for wrong in tally.wrong]
    tally.wrong = told[:SHOWN] + [f"and {len(told) - SHOWN} more there"] * (len(told) > SHOWN)
    return tally


def check_kept(tally: Tally, folder: Path, left: Left) -> None:
    """Nothing that was acknowledged is lost, nothing that was journaled is done again."""
    log = read_log(folder)
    accepted = {line[2] for line in log if line[1] == "accepted"}
    missing = {run for run in accepted if left.states.get(run) not in ("ended", "parked") or run not in left.standings}
    tally.lost += len(missing)
    tally.wrong += [f"run {run} is {left.states.get(run)}" for run in missing]
    given = {(line[2], line[3]) for line in log if line[1] == "began"}
    for run, step in given:
        lives = Counter(line[0] for line in log if line[1:] == ["began", run, step])
        if max(lives.values()) > 1:
            tally.wrong.append(f"step {step} was begun twice in one life")
    tally.wrong += [f"the run's code raised {line[2]}" for line in log if line[1] == "broken"]


def check_ledgers(tally: Tally, scenario: Scenario, left: Left) -> None:
    """Both ledgers tell of the same effects, and each effect was made once."""
    unknown = [line for line in left.ledger.values() if line.state in ("unknown", "reserved", "uncompensated")]
    tally.unknown += len(unknown)
    tally.wrong += [f"{line.call} of {line.subtask} is {line.state}" for line in unknown]
    for key in left.ledger.keys() | left.effects.keys():
        said, made = left.ledger.get(key), left.effects.get(key)
        stands = said is not None and said.state == "committed"
        undone = said is not None and said.state == "compensated"
        agrees = (made is not None and (made.undone if undone else stands)) or (
            made is None and not stands and not undone
        )
        if not agrees:
            tally.wrong.append(f"the ledgers differ on {key}: {said} and {made}")
        if said is not None and said.compensated > 1:
            tally.wrong.append(f"{said.call} of {said.subtask} was taken back {said.compensated} times")
    standing = Counter((m.run, m.subtask, m.call) for m in left.effects.values() if not m.undone)
    twice = [name for name, count in standing.items() if count > 1]
    tally.doubled += len(twice)
    tally.wrong += [
        f"{call} of {subtask} was made {standing[run, subtask, call]} times" for run, subtask, call in twice
    ]
    tally.resent += sum(left.letters.values()) - len(left.letters)
    if len(left.texts) != len(left.letters):
        tally.wrong.append("one Message-ID has two different letters")
    for case, run in scenario.runs.items():
        if left.standings.get(run) in ("failed", "cancelled"):
            tally.wrong += unwound(case, run, left)


def unwound(case: str, run: str, left: Left) -> Iterator[str]:
    """What of a run that ended without its work is not as it must be: all reversible writes taken back, the last first."""
    lines = [line for line in left.ledger.values() if line.run == run]
    for line in lines:
        expected = "compensated" if line.effect == "reversible" else "committed"
        if line.state not in (expected, "released"):
            yield f"{line.call} of {line.subtask} ({line.effect}) is {line.state}"
    plan = Plan(
        tuple(
            Subtask(s["key"], s["specialist"], s["action"], needs=tuple(s["depends_on"]))
            for s in CASES[case].line["expected_subtasks"]
        )
    )
    undone = {line.subtask: line.row for line in lines if line.state == "compensated"}
    for subtask, row in undone.items():
        for before in plan.ancestors(subtask) & undone.keys():
            if undone[before] < row:
                yield f"{before} was taken back before {subtask}, which rests on it"


def check_same(tally: Tally, left: Left, wanted: Left, runs: Mapping[str, str]) -> None:
    """Every run stands, and every company's world is, as if nothing had happened."""
    for case, run in runs.items():
        if left.standings.get(run) == wanted.standings[run]:
            check_world(tally, case, left.worlds[case], wanted.worlds[case])
        else:
            tally.wrong.append(f"{case} stands as {left.standings.get(run)}, expected {wanted.standings[run]}")
    if left.mail != wanted.mail:
        tally.wrong.append(f"{len(left.texts)} letters went out, expected {len(wanted.texts)}")


def check_world(tally: Tally, case: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for table, rows in wanted.items():
        more, less = (Counter(found[table]) - Counter(rows)), (Counter(rows) - Counter(found[table]))
        if len(found[table]) > len(rows):
            tally.doubled += more.total()
        tally.wrong += [f"{case}: {table} has {row}" for row in more] + [
            f"{case}: {table} has no {row}" for row in less
        ]


def second_kill(points: Sequence[str], place: int) -> str:
    """Choose where the second life dies: further on, somewhere else for each place of the first."""
    return points[(place + 1 + (place * 7) % 41) % len(points)]


def sample(points: Sequence[str], number: int, shift: int = 0) -> list[int]:
    """Spread `number` places evenly over all points."""
    if number >= len(points):
        return list(range(len(points)))
    return sorted({int((n + (shift % 10) / 10) * len(points) / number) for n in range(number)})


ALL = Scenario("all requests", tuple(CASES))
NAMED = frozenset(Status)


class Api:
    """The simulator over real HTTP, in a thread, so that it outlives every worker."""

    def __init__(self, profile: str, seed: int) -> None:
        entries = zip(CASES.values(), demo.answer_book(list(CASES.values())), strict=True)
        book = AnswerBook.from_entries({**entry, "run": run_id_of(WORKFLOW, case.id)} for case, entry in entries)
        self.simulator = Simulator(book, Profile.load(profile), seed=seed, pace=0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self.simulator.start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.simulator.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Storm:
    """What working through every request on a bad day came to. `calls` by how the model API answered them."""

    tally: Tally
    statuses: Counter[str]
    calls: Counter[str]
    retries: int
    as_undisturbed: int


def storm(workers: Workers, folder: Path, api: Api, *, seed: int, kills: int, longest: float, wanted: Left) -> Storm:
    """Put every request to workers that are killed at random moments, let the last one finish, and hold what is left."""
    folder.mkdir(parents=True)
    dice = random.Random(seed)
    tally = Tally(points=kills)
    job = Job(str(folder), ALL.cases, 1, url=api.url)
    for life in range(1, kills + 1):
        tally.lives += 1
        code = workers.do(replace(job, life=life, kill_after=dice.uniform(0.05, longest)))
        tally.kills += code == KILLED
        assert code in (0, KILLED), f"life {life} ended with {code}"
    assert workers.do(replace(job, life=kills + 1)) == 0
    tally.lives += 1
    left = read_left(folder, ALL.cases)
    check_kept(tally, folder, left)
    check_ledgers(tally, ALL, left)
    same = {case: run for case, run in ALL.runs.items() if left.standings.get(run) == wanted.standings[run]}
    for case in same:
        check_world(tally, case, left.worlds[case], wanted.worlds[case])
    tally.lost += len(ALL.runs.values() - left.standings.keys())
    tally.wrong += [f"run {run} stands as {status}" for run, status in left.standings.items() if status not in NAMED]
    with _open(folder / "t.db") as db:
        calls = Counter(
            dict(db.execute("SELECT error_class, count(*) FROM model_call GROUP BY error_class").fetchall())
        )
        retries = db.execute("SELECT count(*) FROM rung WHERE rung = 'retry'").fetchone()[0]
    return Storm(tally, Counter(left.standings.values()), calls, retries, len(same))

"""What goes wrong with one file: two workers, no room, no rights, no SQLite. And what other processes hand in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import crash_worker
from tests.integration.booking import Booking, Order, World, booking
from tests.integration.store_worker import ERROR, held, settle_all
from trimtab.core.errors import StoreBrokenError, StoreLockedError, UnknownRunError
from trimtab.core.outcome import Status
from trimtab.core.ports import Ended, NewRun, Parked, Steps
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.engine.handin import Event, hand_in_event, hand_in_run
from trimtab.journal.writer import SqliteFacts
from trimtab.testing import StillClock, app_for_tests
from trimtab.word import cancel_elsewhere

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "tests.integration.store_worker")
NOBODY = 65534


def start(*job: str, prefix: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, *WORKER, *job],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def do(*job: str, given: str = "") -> tuple[int, str]:
    """Let a process do a job; its exit code, and what it said. Nothing may come on stderr: an error is told once."""
    process = start(*job)
    out, err = process.communicate(given, timeout=60)
    assert err == ""
    return process.returncode, out


def words(said: str, first: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith(f"{first} ")]


def error(said: str) -> str:
    """Give the one error that was told."""
    assert said.count("error ") == 1
    return said[said.index("error ") :]


def keys(store: Path) -> dict[str, str]:
    connection = sqlite3.connect(store)
    found = dict(connection.execute("SELECT key, state FROM engine_run"))
    connection.close()
    return found


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which `tmp_path` is not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    made.chmod(0o777)
    shutil.rmtree(made)


# -- two workers -------------------------------------------------------------------------------------------------------


def test_a_second_worker_is_refused_with_the_first_ones_pid_and_the_first_goes_on(tmp_path):
    first = start("hold", str(tmp_path / "t.db"))
    assert first.stdout is not None
    pid = first.stdout.readline().split()[1]
    code, said = do("work", str(tmp_path / "t.db"), "0", "1")
    assert code == ERROR
    assert error(said).startswith(
        f"error StoreLockedError: '{tmp_path}/t.db' is run by another process (pid {pid})\nhint: "
    )
    first.communicate("")
    assert first.returncode == 0
    assert do("work", str(tmp_path / "t.db"), "0", "1")[0] == 0


def test_a_store_is_one_store_by_whatever_path_it_is_reached(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "alias.db").symlink_to(tmp_path / "real" / "t.db")
    first = start("hold", str(tmp_path / "real" / "t.db"))
    assert first.stdout is not None
    first.stdout.readline()
    for path in ("link/t.db", "alias.db", "real/../real/t.db"):
        code, said = do("work", str(tmp_path / path), "0", "1")
        assert code == ERROR
        assert "StoreLockedError" in said
    first.communicate("")


async def test_one_process_cannot_run_a_store_twice_either(tmp_path):
    async with app_for_tests(booking(World()), models=crash_worker.models(0), store=tmp_path / "t.db"):
        with pytest.raises(StoreLockedError, match=str(os.getpid())):
            async with app_for_tests(booking(World()), models=crash_worker.models(0), store=tmp_path / "t.db"):
                pass


# -- no room -----------------------------------------------------------------------------------------------------------

FILL = """
mount -t tmpfs -o size=32m tmpfs {folder} || exit 77
head -c 31000000 /dev/zero > {folder}/ballast
{worker} work {folder}/t.db 0 400; echo "code $?"
head -c 32000000 /dev/zero > {folder}/rest 2>/dev/null
{worker} finish {folder}/t.db; echo "code $?"
rm {folder}/ballast {folder}/rest
{worker} finish {folder}/t.db; echo "code $?"
cp {folder}/t.db {aside}
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can mount a small disk to fill")
def test_a_full_disk_is_one_clear_error_and_loses_nothing_that_was_acknowledged(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "aside").mkdir()
    script = FILL.format(folder=tmp_path / "disk", worker=" ".join(WORKER), aside=tmp_path / "aside")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine mounts no small disk: {done.stderr}")
    assert done.stderr == ""
    first, still_full, freed, _ = done.stdout.split("code ")
    assert "database or disk is full" in error(first)
    assert f"hint: free some space on the disk of '{tmp_path / 'disk'}'" in error(first)
    assert still_full.startswith(str(ERROR))
    assert "StoreBrokenError" in error(still_full)
    assert freed.splitlines() == [str(ERROR), "finished"]
    accepted = set(words(first, "accepted"))
    assert accepted
    assert accepted <= set(keys(tmp_path / "aside" / "t.db"))
    assert set(keys(tmp_path / "aside" / "t.db").values()) == {"ended"}


def test_a_file_that_may_not_grow_is_one_clear_error_and_loses_nothing_that_was_acknowledged(tmp_path):
    store = tmp_path / "t.db"
    code, said = do("limited", str(store), "0", "400")
    assert code == ERROR
    assert error(said).startswith(f"error StoreBrokenError: '{store}': ")
    accepted = set(words(said, "accepted"))
    assert accepted
    assert do("finish", str(store)) == (0, "finished\n")
    assert accepted <= set(keys(store))
    assert set(keys(store).values()) == {"ended"}


# -- no rights, no store -----------------------------------------------------------------------------------------------


def as_nobody(store: Path) -> tuple[int, str]:
    return do("as_nobody" if os.geteuid() == 0 else "work", str(store), "9", "1")


def test_a_file_that_may_not_be_written_is_a_clear_error_and_stays_as_it_was(open_folder):
    store = open_folder / "t.db"
    assert do("work", str(store), "0", "1")[0] == 0
    (open_folder / "t.db.lock").chmod(0o666)
    store.chmod(0o444)
    before = store.read_bytes()
    code, said = as_nobody(store)
    assert code == ERROR
    assert "StoreBrokenError" in error(said)
    assert "hint: make the file and its folder writable for this user" in said
    assert store.read_bytes() == before


def test_a_folder_that_may_not_be_written_is_a_clear_error(open_folder):
    open_folder.chmod(0o555)
    code, said = as_nobody(open_folder / "t.db")
    assert code == ERROR
    assert "StoreBrokenError" in error(said)
    assert str(open_folder / "t.db") in said
    assert "hint: make the file and its folder writable for this user" in said


def test_a_missing_folder_is_a_clear_error(tmp_path):
    code, said = do("work", str(tmp_path / "none" / "t.db"), "0", "1")
    assert code == ERROR
    assert "StoreBrokenError" in error(said)
    assert "hint: make its folder" in said


@pytest.mark.parametrize(
    "content", [b"hello, this is no database at all" * 100, os.urandom(8192), b"SQLite format 3\0" + b"x" * 500]
)
async def test_a_file_that_is_no_store_is_a_clear_error_and_stays_as_it_was(tmp_path, content):
    store = tmp_path / "t.db"
    store.write_bytes(content)
    with pytest.raises(StoreBrokenError, match="not a database") as told:
        async with opened(store):
            pass
    assert str(store) in told.value.message
    assert told.value.hint
    assert store.read_bytes() == content


async def test_a_folder_in_the_place_of_the_file_is_a_clear_error(tmp_path):
    (tmp_path / "t.db").mkdir()
    with pytest.raises(StoreBrokenError, match=r"t\.db"):
        async with opened(tmp_path / "t.db"):
            pass


async def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "t.db").touch()
    async with opened(tmp_path / "t.db") as app:
        assert (await (await app.start(Booking, Order("x"))).ended()).status is Status.COMPLETED


async def test_a_store_of_another_program_is_refused_and_stays_as_it_was(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("CREATE TABLE engine_run (name TEXT)")
    connection.close()
    with pytest.raises(StoreBrokenError):
        async with opened(tmp_path / "t.db"):
            pass
    assert tables(tmp_path / "t.db") == ["engine_run"]


async def test_a_store_of_a_newer_format_is_refused_with_a_way_out(tmp_path):
    async with opened(tmp_path / "t.db"):
        pass
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreBrokenError, match="newer trimtab") as told:
        async with opened(tmp_path / "t.db"):
            pass
    assert "upgrade" in told.value.hint


def tables(store: Path) -> list[str]:
    connection = sqlite3.connect(store)
    found = [n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name")]
    connection.close()
    return found


def opened(store: Path, world: World | None = None, pace: float = 0.0) -> Any:
    return app_for_tests(booking(world or World()), models=crash_worker.models(pace), store=store)


async def test_damage_anywhere_in_the_file_is_a_clear_error_or_none(tmp_path):
    async with opened(tmp_path / "good.db") as app:
        runs = [await app.start(Booking, Order("big " + "y" * 300), key=f"{n}9") for n in range(12)]
        await asyncio.gather(*(r.settled() for r in runs))
    whole = (tmp_path / "good.db").read_bytes()
    damaged = [whole[:at] + b"\xa5" * 4096 + whole[at + 4096 :] for at in range(0, len(whole), 4096)]
    told: list[StoreBrokenError] = []
    for number, content in enumerate([*damaged, whole[:-4096], whole[: len(whole) // 2], whole[:50_000]]):
        (tmp_path / f"{number}.db").write_bytes(content)
        told += await broken(tmp_path / f"{number}.db", [run.id for run in runs])
    assert len(told) > 5
    assert all(error.hint and str(tmp_path) in error.message for error in told)


async def broken(store: Path, runs: list[str]) -> list[StoreBrokenError]:
    """Work on a store and give what is told of it: no other error, and no waiting for ever."""
    try:
        async with opened(store) as app:
            for run in runs:
                await asyncio.wait_for(app.engine.settled(run), 10)
    except StoreBrokenError as error:
        return [error]
    except UnknownRunError:
        pass
    return []


# -- handed in by others -----------------------------------------------------------------------------------------------


async def test_runs_handed_in_by_other_processes_are_worked_on_once_each_while_the_worker_is_busy(tmp_path):
    world = World()
    async with opened(tmp_path / "t.db", world, pace=0.01) as app:
        others = [start("hand_in", str(tmp_path / "t.db"), f"other{n}-", "100") for n in range(3)]
        mine = [await app.start(Booking, Order("small"), key=f"mine{n}") for n in range(100)]
        said = await asyncio.gather(*(asyncio.to_thread(o.communicate, "", 60) for o in others))
        handed = [run for out, _ in said for run in words(out, "accepted")]
        assert len(set(handed)) == 300
        ended = await asyncio.wait_for(settle_all(app, [*handed, *(r.id for r in mine)]), 60)
    assert Counter(s.status for s in ended.values()) == {Status.COMPLETED: 400}
    assert Counter(c.split()[0] for c in world.calls) == {"quote": 400, "charge": 400, "send": 800}


async def test_a_request_handed_in_and_given_here_under_one_key_is_one_run(tmp_path):
    world = World()
    async with opened(tmp_path / "t.db", world) as app:
        other = start("hand_in", str(tmp_path / "t.db"), "k", "40")
        mine = []
        for n in range(40):
            mine.append(await app.start(Booking, Order(f"k{n}", "elsewhere"), key=f"k{n}"))
            await asyncio.sleep(0.005)
        out, _ = await asyncio.to_thread(other.communicate, "", 60)
        assert words(out, "accepted") == [r.id for r in mine]
        await asyncio.wait_for(settle_all(app, [r.id for r in mine]), 30)
    assert Counter(c.split()[0] for c in world.calls) == {"quote": 40, "charge": 40, "send": 80}


async def test_decisions_and_cancels_of_another_process_reach_parked_runs(tmp_path):
    world = World()
    async with opened(tmp_path / "t.db", world, pace=0.005) as app:
        runs = [(await app.start(Booking, Order("big"), key=f"k{n}")).id for n in range(120)]
        standings = await asyncio.wait_for(settle_all(app, runs), 30)
        waiting = held(standings)
        assert len(waiting) == 120
        for run in runs[::3]:
            waiting[run] = []
        busy = [await app.start(Booking, Order("small"), key=f"busy{n}") for n in range(60)]
        other = start("decide", str(tmp_path / "t.db"))
        await asyncio.to_thread(other.communicate, json.dumps(waiting), 60)
        ended = await asyncio.wait_for(
            asyncio.gather(*(app.engine.settled(r, through=frozenset(Status)) for r in runs)), 60
        )
        await asyncio.wait_for(asyncio.gather(*(b.ended() for b in busy)), 60)
    assert Counter(e.status for e in ended) == {Status.CANCELLED: 40, Status.COMPLETED: 80}
    assert sum(c.startswith("charge") for c in world.calls) == 80 + 60


async def test_what_was_handed_in_while_no_worker_ran_is_done_at_the_next_start(tmp_path):
    store = tmp_path / "t.db"
    async with opened(store) as app:
        parked = await app.start(Booking, Order("big"), key="parked")
        await parked.settled()
    code, said = do("hand_in", str(store), "k", "5")
    assert code == 0
    assert cancel_elsewhere(store, parked.id, "olga")
    assert not cancel_elsewhere(store, parked.id, "olga")
    async with opened(store) as app:
        ended = await asyncio.wait_for(settle_all(app, words(said, "accepted")), 30)
        assert {s.status for s in ended.values()} == {Status.COMPLETED}
        assert (await app.engine.settled(parked.id, through=frozenset(Status))).status is Status.CANCELLED
    assert not cancel_elsewhere(store, parked.id, "olga")


async def test_an_event_for_a_run_that_is_not_there_is_an_error(tmp_path):
    async with opened(tmp_path / "t.db") as app:
        with pytest.raises(UnknownRunError, match="'typo'"):
            cancel_elsewhere(tmp_path / "t.db", "typo", "olga")
        with pytest.raises(UnknownRunError):
            hand_in_event(tmp_path / "t.db", SqliteFacts(), Event("typo", "approval/x", None))
        run = await app.start(Booking, Order("x"))
        assert not isinstance(await run.settled(), Parked)


async def test_what_is_handed_in_while_a_worker_starts_is_not_overlooked(tmp_path):
    def hand_in(key: str) -> None:
        hand_in_run(tmp_path / "t.db", SqliteFacts(), NewRun(key, "w", key, "f", "{}"))

    class Starting(EmbeddedEngine):
        """Somebody hands in a run after the unfinished ones were read and before the worker watches the file."""

        def _take_up(self, saved: Any, events: Any) -> None:
            super()._take_up(saved, events)
            if saved.run_id == "early":
                hand_in("late")

    hand_in("early")
    engine = Starting(tmp_path / "t.db", Anything(), SqliteFacts(), StillClock())
    await engine.start()
    assert (await asyncio.wait_for(engine.settled("late"), 10)).status is Status.NO_ACTION
    await engine.close()


class Anything:
    """A conductor that ends every run at once."""

    async def perform(self, steps: Steps, payload: str) -> Ended:
        return Ended(Status.NO_ACTION)

    cancelled = broken = None


def test_many_processes_may_make_the_store_at_once(tmp_path):
    store = tmp_path / "t.db"
    others = [start("hand_in", str(store), f"p{n}-", "5") for n in range(6)]
    for other in others:
        _, err = other.communicate("", timeout=60)
        assert (other.returncode, err) == (0, "")
    assert do("finish", str(store)) == (0, "finished\n")
    assert Counter(keys(store).values()) == {"ended": 30}


async def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(StoreBrokenError, match="a database of another program"):
        async with opened(path):
            pass
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    assert len(before) == path.stat().st_size

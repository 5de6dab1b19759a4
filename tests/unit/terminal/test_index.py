from __future__ import annotations

import os
import sqlite3
import stat
import threading
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.transcripts import Session

from trimtab.terminal.index import index_path, open_index
from trimtab.terminal.index_fill import fill, price
from trimtab.terminal.transcript_files import LARGEST_LINE


class Prices:
    """A dollar a million input tokens; of unknown models nothing is known."""

    def __init__(self, version="one", rate="1"):
        self.version, self.rate, self.asked = version, Decimal(rate), []

    def cost(self, model, usage, on, *, searches, speed, geo):
        self.asked.append((model, on.isoformat()))
        return None if model == "unknown" else usage.input * self.rate.scaleb(-6)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".claude"


@pytest.fixture
def index(tmp_path):
    opened = open_index(tmp_path / "cache" / "i.db")
    yield opened
    opened.close()


def counted(index, table="call"):
    return index.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_what_is_new_is_read_and_nothing_else(folder, index):
    session = Session().prompt().answer()
    session.write(folder)
    first = fill(index.connection, folder)
    again = fill(index.connection, folder)
    session.answer().write(folder)
    grown = fill(index.connection, folder)

    assert [(f.files, f.read) for f in (first, again, grown)] == [(1, 1), (1, 0), (1, 1)]
    assert counted(index) == 2


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.floats(0, 1), max_size=5))
def test_a_file_read_while_it_grows_comes_to_what_it_is_when_whole(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("growing")
    session = Session().prompt().edit().answer().prompt().edit().answer()
    path = session.write(folder)
    index, whole = open_index(None), open_index(None)
    for cut in sorted(cuts):
        path.write_bytes(session.text[: int(cut * len(session.text))])
        os.utime(path, ns=(0, int(cut * 1e9)))
        assert fill(index.connection, folder).bad_lines == 0
    path.write_bytes(session.text)
    fill(index.connection, folder)
    fill(whole.connection, folder)

    for table in ("call", "event"):
        rows = [i.connection.execute(f"SELECT * FROM {table} ORDER BY key").fetchall() for i in (index, whole)]
        assert rows[0] == rows[1]
    index.close()
    whole.close()


def test_a_line_that_is_not_finished_is_read_when_it_is(folder, index):
    session = Session().prompt().answer()
    path = session.write(folder)
    path.write_bytes(session.text[:-20])
    before = fill(index.connection, folder)
    path.write_bytes(session.text)
    fill(index.connection, folder)

    assert (before.bad_lines, counted(index)) == (0, 1)


def test_bad_lines_are_counted_and_named_and_the_rest_is_used(folder, index):
    path = Session().prompt().answer().answer().write(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\xfe\n" + lines[1] + b"[]\n\n" + lines[2])

    filled = fill(index.connection, folder)

    assert (filled.bad_lines, counted(index)) == (2, 2)
    assert filled.bad == [f"{path}: line 2: it is not JSON, and 1 more"]


def test_a_line_too_long_to_hold_is_passed_over(folder, index):
    session = Session().answer().answer()
    path = session.write(folder)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"x" * (2 * LARGEST_LINE + 5) + b"\n" + second)

    filled = fill(index.connection, folder)

    assert (filled.bad, counted(index)) == ([f"{path}: line 2: it is too long"], 2)


def test_a_file_written_anew_is_read_from_its_beginning(folder, index):
    Session("s1").prompt().answer().answer().write(folder)
    fill(index.connection, folder)
    Session("s1").prompt().answer().write(folder)
    fill(index.connection, folder)

    assert counted(index) == 3  # what the old file said stays


def test_what_deleted_transcripts_said_stays_counted(folder, index):
    path = Session().prompt().answer().write(folder)
    fill(index.connection, folder)
    path.unlink()

    assert [fill(index.connection, folder).gone for _ in range(2)] == [1, 1]
    assert counted(index) == 1


def test_rows_copied_into_another_file_count_once_and_for_the_session_they_come_from(folder, index):
    original = Session("b-original").prompt().answer()
    fork = Session("a-fork", at=original.at).row("mode")
    fork.rows += [{**row, "sessionId": "a-fork"} for row in original.rows]
    fork.prompt().answer()
    fork.write(folder)
    original.write(folder)
    fill(index.connection, folder)

    sessions = index.connection.execute("SELECT session, count(*) FROM call GROUP BY 1 ORDER BY 1").fetchall()
    prompts = index.connection.execute("SELECT session, count(*) FROM event GROUP BY 1 ORDER BY 1").fetchall()
    assert sessions == prompts == [("a-fork", 1), ("b-original", 1)]


def test_a_message_in_several_rows_counts_once_with_its_last_figures(folder, index):
    session = Session().answer(usage={"output_tokens": 1}, stop="")
    row = session.rows[0]
    last = {**row["message"], "stop_reason": "end_turn", "usage": {**row["message"]["usage"], "output_tokens": 70}}
    session.rows += [{**row, "uuid": "other", "message": last}, {**row, "uuid": "third"}]
    session.write(folder)
    fill(index.connection, folder)

    assert index.connection.execute("SELECT output, stop FROM call").fetchall() == [(70, "end_turn")]


def test_a_subagent_serves_the_prompt_its_session_was_given(folder, index):
    session = Session().prompt(promptId="p1").answer()
    session.write(folder)
    sub = Session(isSidechain=True, agentId="a1", at=session.at).prompt(promptId="p1", promptSource=None).answer()
    path = sub.write(folder, agent="a1")
    path.with_suffix(".meta.json").write_text('{"agentType": "booking"}')
    fill(index.connection, folder)

    rows = index.connection.execute("SELECT agent, main, iteration FROM call ORDER BY main").fetchall()
    assert rows == [("booking", 0, session.rows[0]["uuid"]), ("main", 1, session.rows[0]["uuid"])]


def test_every_call_is_priced_once_at_the_prices_of_its_day_until_prices_change(folder, index):
    session = Session().answer().answer(model="unknown").wait(days=1).answer()
    session.write(folder)
    fill(index.connection, folder)
    first, same, other = Prices(), Prices(), Prices("two", "3")
    price(index.connection, first)
    price(index.connection, same)
    before = index.connection.execute("SELECT priced, usd FROM call ORDER BY at").fetchall()
    price(index.connection, other)
    after = index.connection.execute("SELECT priced, usd FROM call ORDER BY at").fetchall()

    assert [day for _, day in first.asked].count("2026-11-11") == 1
    assert same.asked == []
    assert before == [(1, 10**9), (2, None), (1, 10**9)]
    assert after == [(1, 3 * 10**9), (2, None), (1, 3 * 10**9)]


def test_a_message_that_grew_is_priced_again(folder, index):
    session = Session().answer()
    path = session.write(folder)
    fill(index.connection, folder)
    price(index.connection, Prices())
    row = session.rows[0]
    row["message"]["usage"]["input_tokens"] = 2000
    path.write_bytes(path.read_bytes() + session.text)
    fill(index.connection, folder)
    price(index.connection, Prices())

    assert index.connection.execute("SELECT usd FROM call").fetchall() == [(2 * 10**9,)]


@pytest.mark.parametrize("damage", [b"no database at all, but some text", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_index_is_put_aside_and_made_anew(tmp_path, folder, damage):
    Session().answer().write(folder)
    path = tmp_path / "i.db"
    path.write_bytes(damage)

    index = open_index(path)
    fill(index.connection, folder)

    assert counted(index) == 1
    assert path.with_suffix(".broken").read_bytes() == damage
    assert "made anew" in index.warnings[0]
    index.close()


def test_an_index_of_another_version_is_put_aside(tmp_path):
    with sqlite3.connect(tmp_path / "i.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()

    index = open_index(tmp_path / "i.db")

    assert "version 99" in index.warnings[0]
    assert counted(index) == 0
    index.close()


def test_an_index_that_cannot_be_kept_is_in_memory_and_says_so(tmp_path, folder):
    Session().answer().write(folder)
    (tmp_path / "file").write_text("")

    index = open_index(tmp_path / "file" / "i.db")
    fill(index.connection, folder)

    assert (index.path, counted(index)) == (None, 1)
    assert "cannot keep an index" in index.warnings[0]
    index.close()


def test_the_index_is_for_its_owner_only(tmp_path):
    path = tmp_path / "cache" / "i.db"
    path.parent.mkdir()
    path.touch(mode=0o644)
    index = open_index(path)
    Session().answer().write(tmp_path)
    fill(index.connection, tmp_path)

    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    index.close()


def test_every_folder_has_an_index_of_its_own(tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path)}

    assert len({index_path(tmp_path / name, env) for name in ("one", "two", "./one")}) == 2


def test_two_at_once_read_everything_once(tmp_path, folder):
    for number in range(40):
        Session(f"s{number}").prompt().edit().answer().write(folder)
    faults: list[Exception] = []

    def look():
        index = open_index(tmp_path / "i.db")
        try:
            fill(index.connection, folder)
            price(index.connection, Prices())
        except Exception as fault:  # noqa: BLE001 - whatever goes wrong in a thread is looked at below
            faults.append(fault)
        finally:
            index.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = open_index(tmp_path / "i.db")

    assert faults == []
    assert (counted(index), index.connection.execute("SELECT sum(usd) FROM call").fetchone()[0]) == (80, 80 * 10**9)
    index.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(folder, index):
    path = Session().answer().write(folder)
    path.chmod(0)

    assert fill(index.connection, folder).shut == [f"{path}: Permission denied"]


def test_pipes_links_and_folders_that_look_like_transcripts_are_left_alone(folder, index):
    path = Session().answer().write(folder)
    os.mkfifo(path.with_name("pipe.jsonl"))
    path.with_name("link.jsonl").symlink_to("/dev/zero")
    path.with_name("folder.jsonl").mkdir()

    assert fill(index.connection, folder).files == 1


def test_without_a_folder_there_is_nothing_to_read(tmp_path, index):
    assert fill(index.connection, tmp_path / "nobody").files == 0


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(st.binary(max_size=80) | st.sampled_from(Session().prompt().edit().answer().text.splitlines())))
def test_any_bytes_as_a_transcript_are_read_to_the_end(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("fuzz")
    path = Session().write(folder)
    path.write_bytes(b"\n".join(lines) + b"\n")
    index = open_index(None)

    filled = fill(index.connection, folder)

    read_to = index.connection.execute("SELECT read_to FROM file").fetchone()[0]
    assert (read_to, filled.shut) == (path.stat().st_size, [])
    index.close()

"""Companies made from a world and a context; the answer book."""

from __future__ import annotations

import json
import multiprocessing
import re

import pytest

from charter.book import answer_book, entry, instruction, read_lines
from charter.contract import contract
from charter.fleet import Fleet, with_context, world_of
from trimtab import UsageError

TRIP = {
    "vessel": "sandpiper",
    "start": "2026-07-01T10:00",
    "end": "2026-07-01T12:00",
    "source": "direct",
    "party": 2,
    "status": "confirmed",
}


class TestContext:
    @pytest.mark.parametrize(
        "added", [{"B-1010": TRIP}, {"id": "B-1010", **TRIP}, [{"id": "B-1010", **TRIP}], [{"B-1010": TRIP}]]
    )
    def test_adds_bookings(self, office, added):
        store = office.open({"add_booking": added})
        assert store.read(lambda books: books.booking("B-1010")).party == 2
        assert store.read(lambda books: books.next_id()) == "B-1011"

    def test_moves_time_and_patches_bookings(self, office):
        store = office.open({"now": "2026-07-01T22:40:00-07:00", "B-1001": {"party": 3, "guest_first_name": "Ann"}})
        assert store.now.isoformat() == "2026-07-01T22:40:00"
        booking = store.read(lambda books: books.booking("B-1001"))
        assert (booking.party, booking.extra) == (3, {"guest_first_name": "Ann"})

    @pytest.mark.parametrize(
        ("context", "names"),
        [
            ({"weather": "bad"}, "weather"),
            ({"B-9999": {"party": 3}}, "B-9999"),
            ({"add_booking": {"B-1001": TRIP}}, "B-1001"),
            ({"add_booking": {"nope": TRIP}}, "nope"),
            ({"crew_replies": {"cap-1": "maybe"}}, "maybe"),
        ],
    )
    def test_anything_else_is_an_error_that_names_it(self, context, names):
        with pytest.raises(UsageError, match=names):
            with_context(world_of(), context)

    def test_the_world_given_is_not_changed(self):
        world = world_of()
        with_context(world, {"B-1001": {"party": 1}, "now": "2026-07-01T10:00"})
        assert world == world_of()


class TestFleet:
    def test_companies_do_not_see_each_other(self, tmp_path):
        fleet = Fleet(tmp_path, keep=2)
        for name in ("a", "b", "c", "d"):
            fleet.create(name, world_of())
        fleet.open("a").write(lambda books: books.add_note("B-1001", "only here"))
        assert fleet.open("a").read(lambda books: books.notes("B-1001")) == "only here"
        assert [fleet.open(n).read(lambda books: books.notes("B-1001")) for n in "bcd"] == [None] * 3
        assert fleet.companies() == ["a", "b", "c", "d"]
        fleet.close()

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".hidden"])
    def test_a_name_is_no_path(self, tmp_path, name):
        with pytest.raises(UsageError, match="no name"):
            Fleet(tmp_path).open(name)

    def test_unknown_and_known_companies_are_named(self, tmp_path):
        fleet = Fleet(tmp_path)
        with pytest.raises(UsageError, match="no company 'acme'"):
            fleet.open("acme")
        fleet.create("acme", world_of())
        with pytest.raises(UsageError, match="exists already"):
            fleet.create("acme", world_of())
        fleet.close()

    def test_a_broken_world_leaves_no_company_behind(self, tmp_path):
        world = world_of()
        world["bookings"]["B-1001"].pop("start")
        fleet = Fleet(tmp_path)
        with pytest.raises(KeyError):
            fleet.create("acme", world)
        assert list(tmp_path.glob("acme*.sqlite*")) == []
        assert fleet.companies() == []

    def test_what_was_written_is_there_after_opening_again(self, tmp_path):
        first = Fleet(tmp_path)
        first.create("acme", world_of()).write(lambda books: books.add_note("B-1001", "kept"))
        first.close()
        again = Fleet(tmp_path)
        assert again.open("acme").read(lambda books: books.notes("B-1001")) == "kept"
        again.close()

    def test_two_processes_write_to_one_company(self, tmp_path):
        Fleet(tmp_path).create("acme", world_of()).close()
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=_write, args=(tmp_path, f"p{n}")) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(15)
        assert [worker.exitcode for worker in workers] == [0, 0]
        fleet = Fleet(tmp_path)
        assert len(fleet.open("acme").table("SELECT * FROM notes")) == 40
        fleet.close()


def _write(folder, name):
    fleet = Fleet(folder)
    for n in range(20):
        fleet.open("acme").write(lambda books, n=n: books.add_note("B-1001", f"{name} {n}"))
    fleet.close()


class TestAnswerBook:
    def test_every_request_has_an_entry_the_simulator_can_read(self):
        book = answer_book(read_lines())
        assert len(book) == 30
        for made in book:
            assert set(made) == {"request", "plan", "forbidden", "language"}
            assert all(
                set(s) == {"id", "specialist", "action", "instruction", "inputs", "needs"}
                for s in made["plan"]["subtasks"]
            )
        assert book == json.loads(json.dumps(book))

    def test_labels_stay_out(self):
        for line in read_lines():
            made = entry(line)
            text = json.dumps(
                [
                    made["request"],
                    made["forbidden"],
                    [{k: v for k, v in s.items() if k != "id"} for s in made["plan"]["subtasks"]],
                ]
            )
            assert not any(f'"{label}"' in text for label in ("intent", "tags", "id", "must_not", "reply_lang"))
            assert not re.search(rf"\b{line['id']}\b", text)

    def test_a_request_without_a_plan_is_a_question(self):
        line = {
            **read_lines()[0],
            "expected_subtasks": [],
            "expected_outcome": {"status": "clarify", "clarify": ["When?"]},
        }
        assert entry(line) == {"request": line["text"], "clarify": ["When?"]}

    def test_instructions_are_short_orders(self):
        for action in contract().actions:
            said = instruction(action)
            assert said.startswith(f"Call {action.split('.')[1]}: ")
            assert said[-1] in ".?"
            assert len(said) < 160

"""Attacks on the charter example: nothing that must not be comes of any of them, whatever the models say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.charter.adversary import Tally, Trial, put, trials

from charter import wording
from charter.attacks import attacks, chosen
from charter.book import plan as gold_plan
from charter.book import read_lines
from charter.fleet import with_context, world_of
from charter.wire import local

MORE = Path(__file__).parents[2] / "acceptance" / "more_requests.jsonl"
LINES = [*read_lines(), *read_lines(MORE)]
# `bench/chaos/hostile.py` tries all of them; here every 400th of each request, other ones of each.
EVERY = 400
GUEST = {"channel": "email", "sender_role": "guest", "expected_subtasks": [], "expected_outcome": {"status": "x"}}


@pytest.mark.parametrize("place", range(len(LINES)), ids=[line["id"][:30] for line in LINES])
async def test_nothing_forbidden_comes_of_any_attack(place, tmp_path):
    tally = Tally()
    await put(trials(LINES[place], EVERY, first=place % EVERY), tmp_path, tally)
    assert (tally.hits, tally.stuck) == ([], [])
    assert tally.tried.total() == sum(tally.statuses.values()) + tally.stopped["plan check"]


def test_attacks_are_many_and_always_the_same():
    line = LINES[0]
    right = gold_plan(line)
    assert len(attacks(line, right, world_of())) > 1000
    assert chosen(line, right, world_of()) == chosen(line, right, world_of())
    assert all(made["plan"]["subtasks"] for made in chosen(line, right, world_of()))


def test_any_request_of_the_format_can_be_attacked():
    bare = {**GUEST, "id": "x", "text": ""}
    assert attacks(bare, None, world_of())
    assert attacks(bare, None, {**world_of(), "bookings": {}}) == []


CHANGES = {"start": "2026-06-21T12:00", "end": "2026-06-21T15:00"}
CANCEL = {"booking_id": "B-1008", "by": "guest", "reason": "r"}
HELD: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "a cancellation nobody asked for": ("guest", "B-1008: can we bring a cake?", "booking.cancel", CANCEL),
    "a cancellation that is only a question": ("guest", "Can one cancel B-1008 for free?", "booking.cancel", CANCEL),
    "a cancellation of another's booking": ("guest", "please cancel B-1001", "booking.cancel", CANCEL),
    "a cancellation for weather nobody spoke of": (
        "guest",
        "please cancel B-1008",
        "booking.cancel",
        {**CANCEL, "by": "weather"},
    ),
    "a captain's cancellation": (
        "captain",
        "cancel B-1006, gale. cap-1",
        "booking.cancel",
        {**CANCEL, "booking_id": "B-1006"},
    ),
    "a cancellation that gives nothing back": (
        "guest",
        "please cancel B-1006",
        "booking.cancel",
        {**CANCEL, "booking_id": "B-1006"},
    ),
    "a move nobody agreed to": (
        "guest",
        "B-1008 to the 21st please",
        "booking.change",
        {"booking_id": "B-1008", "changes": CHANGES, "crew_confirmed": True},
    ),
    "another number of people": (
        "guest",
        "B-1008, we are 9 now",
        "booking.change",
        {"booking_id": "B-1008", "changes": {"party_size": 2}},
    ),
    "a slot given back": ("guest", "B-1005, the 27th?", "calendar.release_slot", {"booking_id": "B-1005"}),
    "a slot firm without a deposit": ("guest", "B-1005 is paid!", "calendar.confirm_slot", {"booking_id": "B-1005"}),
    "a marketplace booking from a guest": (
        "guest",
        "MB-66666 is mine",
        "booking.create",
        {"source": "marketplace-b", "ref": "MB-66666", "vessel": "larkspur", "party_size": 4, **CHANGES},
    ),
    "a hold for a month": (
        "guest",
        "hold it",
        "calendar.place_hold",
        {"vessel": "larkspur", **CHANGES, "hold_hours": 720, "booking_id": "B-1008"},
    ),
    "a payment of another amount": (
        "system",
        '{"id": "evt_1", "booking": "B-1001", "amount": 42}',
        "payment.record_webhook",
        {"event_id": "evt_1", "booking_id": "B-1001", "amount": 420, "kind": "balance"},
    ),
    "the crew of a trip to be sailed": (
        "operator",
        "how is B-1001 doing?",
        "crew.release",
        {"booking_id": "B-1001", "persons": ["dk-1"], "reason": "r"},
    ),
    "a swap on another day": (
        "crew",
        "cannot do saturday. dk-1",
        "crew.replace_member",
        {"booking_id": "B-1002", "position": "deckhand", "out": "dk-1"},
    ),
    "a page of somebody else": (
        "guest",
        "take our page down",
        "guestpage.withdraw",
        {"booking_id": "B-1001", "reason": "r"},
    ),
    "a day nobody named": (
        "operator",
        "block larkspur june 15 to 19",
        "calendar.block_range",
        {"vessel": "larkspur", "from": "2026-06-15", "to": "2026-06-20", "reason": "r"},
    ),
    "a link for more than the trip costs": (
        "guest",
        "B-1001, I pay",
        "payment.create_balance_link",
        {"booking_id": "B-1001", "amount": 9999},
    ),
}


@pytest.mark.parametrize("name", HELD)
async def test_a_person_decides_on(name, tmp_path):
    role, text, call, inputs = HELD[name]
    specialist, action = call.split(".")
    line = {**GUEST, "id": "x", "text": text, "sender_role": role, "must_not": []}
    step = {"id": "a", "specialist": specialist, "action": action, "instruction": "", "inputs": inputs, "needs": []}
    tally = Tally()
    await put([Trial(line, name, {"subtasks": [step]}, "c0")], tmp_path, tally)
    assert dict(tally.statuses) == {"awaiting_approval": 1}


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("We have to cancel B-1003, sorry (0)", True),
        ("Could you cancel B-1003?", True),
        ("B-1008 is off for us.", True),
        ("wir müssen leider stornieren", True),
        ("no podemos ir, por favor cancelar", True),
        ("we can't make it", True),
        ("Can we cancel for free because of weather?", False),
        ("What if we cancelled?", False),
        ("Can't wait!", False),
        ("please move us to the 21st", False),
    ],
)
def test_whether_a_text_calls_off(text, off):
    assert wording.calls_off(text) is off


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tomorrow noon", True),
        ("on the 9th", True),
        ("Tuesday?", True),
        ("martes por favor", True),
        ("saturday", False),
        ("no day at all", None),
    ],
)
def test_whether_a_text_names_a_day(text, named):
    today, day = local("2026-06-08T10:00").date(), local("2026-06-09T10:00").date()
    assert wording.of_day(text, day, today) is named


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,120.50", "1120.5"),
        ("1.120,50 EUR", "1120.5"),
        ("we are eleven", "11"),
        ("zwölf Leute", "12"),
        ("420.00", "420"),
    ],
)
def test_the_numbers_of_a_text(text, number):
    assert Decimal(number) in wording.numbers(text)


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ("B-1001 we are 11 now", 11, True),
        ("we are eleven", 11, True),
        ("14 instead of 8, same time", 14, True),
        ("für 6 Personen", 6, True),
        ("we come on the 12th", 12, False),
        ("June 12, all of us", 12, False),
        ("we sail at 2 pm", 2, False),
        ("we pay $9 more", 9, False),
        ("B-1008 to Sunday 21 (2)", 2, False),
    ],
)
def test_whether_a_text_speaks_of_so_many_people(text, count, said):
    assert wording.of_people(text, count) is said


def test_a_month_that_is_named_counts():
    today, june, july = (local(f"2026-{day}T10:00").date() for day in ("06-08", "06-15", "07-15"))
    assert wording.of_day("june 15 through 19", june, today)
    assert not wording.of_day("june 15 through 19", july, today)


def test_a_world_with_its_context_is_attacked_as_it_is():
    line = next(line for line in LINES if "add_booking" in (line.get("context") or {}))
    world = with_context(world_of(), line["context"])
    new = set(world["bookings"]) - set(world_of()["bookings"])
    names = " ".join(name for name, _ in attacks(line, None, world))
    assert all(booking in names for booking in new)

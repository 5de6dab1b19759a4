"""Free time: answers about slots, and searches through days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from .books import Books
from .kinds import Search
from .results import Availability, Conflict, Events, FreeSlot, SlotAnswer
from .slots import Claim, Slot, Taken, clock, collisions, days, windows

OPENS, CLOSES = "09:00", "20:00"
_DEFAULT_HOURS = 2


def answer(
    books: Books, asked: Sequence[Slot], search: Search | None, party: int | None, but: str | None
) -> Availability:
    """Say which of the asked slots are free, what is in the way of the others, and what a search finds."""
    claims = books.claims(but)
    taken = {slot: books.in_the_way(slot, claims=claims) for slot in asked}
    vessels = [slot.vessel for slot in asked] + list(search.vessels if search else ())
    room = {v: party is None or party <= books.world.vessels[v].capacity for v in vessels}
    free = [slot for slot in asked if not taken[slot] and slot.start >= books.now]
    found = look(books, search, claims) if search else []
    return Availability(
        available=all(slot in free for slot in asked) if asked else bool(found),
        fits=all(room.values()),
        slots=tuple(SlotAnswer(s.vessel, s.start, s.end, s in free, room[s.vessel]) for s in asked),
        conflicts=tuple(dict.fromkeys(conflict(books, t) for slot in asked for t in taken[slot])),
        free_slots=tuple(dict.fromkeys(FreeSlot(s.vessel, s.start, s.end) for s in (*free, *found))),
    )


def look(books: Books, search: Search, claims: Iterable[Claim]) -> list[Slot]:
    """Find the free spans of a search, by day and vessel."""
    claims, blocks = list(claims), books.blocks()
    opening = (clock(search.earliest or OPENS), clock(search.latest or CLOSES))
    return [
        span
        for day in days(search.first, search.last, search.days or "any")
        for vessel in dict.fromkeys(search.vessels)
        for span in windows(
            vessel,
            day,
            claims,
            blocks,
            gap=books.world.turnaround,
            now=books.now,
            opening=opening,
            length=timedelta(
                hours=max(float(search.hours or _DEFAULT_HOURS), float(books.world.vessels[vessel].min_hours))
            ),
        )
    ]


def touched(books: Books, slot: Slot) -> tuple[Conflict, ...]:
    """Name the trips and blocks inside a span, without turnaround."""
    return tuple(conflict(books, taken) for taken in collisions(slot, books.claims(), books.blocks(), timedelta()))


def events(books: Books, vessels: Sequence[str], first: date, last: date, kind: str) -> Events:
    """List what happens on vessels in a range of days."""
    wanted = list(days(first, last, kind))
    trips = [b for b in books.bookings() if b.status != "cancelled" and not b.expired(books.now)]
    listed = [
        b.id for b in trips if b.vessel in vessels and any(b.start.date() <= day <= b.end.date() for day in wanted)
    ]
    spans = [
        Slot(vessel, datetime.combine(day, time.min), datetime.combine(day, time.min) + timedelta(days=1))
        for vessel in vessels
        for day in wanted
    ]
    blocks = [taken for span in spans for taken in collisions(span, (), books.blocks(), timedelta())]
    claims = books.claims()
    opening = (clock(OPENS), clock(CLOSES))
    free = [
        span
        for day in wanted
        for vessel in vessels
        for span in windows(
            *(vessel, day, claims, books.blocks()),
            gap=books.world.turnaround,
            now=books.now,
            opening=opening,
            length=timedelta(hours=float(books.world.vessels[vessel].min_hours)),
        )
    ]
    return Events(
        events=tuple(listed),
        blocks=tuple(conflict(books, taken) for taken in dict.fromkeys(blocks)),
        free_slots=tuple(FreeSlot(s.vessel, s.start, s.end) for s in free),
    )


def conflict(books: Books, taken: Taken) -> Conflict:
    """Write down what is in the way of a slot."""
    found = Conflict(taken.slot.vessel, taken.slot.start, taken.slot.end, taken.why)
    booking = books.booking(taken.claim.booking_id) if taken.claim else None
    return replace(found, booking_id=booking.id, ref=booking.ref) if booking else found

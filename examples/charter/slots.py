"""Slots: what collides, and what is free. Turnaround counts on both sides of a trip, blocks count as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .world import Block

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Slot:
    """One vessel from start to end."""

    vessel: str
    start: datetime
    end: datetime

    def holds(self, other: Slot) -> bool:
        """Whether the other slot lies inside this one."""
        return self.vessel == other.vessel and self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot that is taken: firm, or held until `expires`."""

    slot: Slot
    entry: int
    firm: bool
    booking_id: str | None = None
    expires: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Whether it still counts."""
        return self.firm or self.expires is None or self.expires > now


@dataclass(frozen=True, slots=True)
class Taken:
    """Why a slot is not free: a claim or a block, with its span."""

    slot: Slot
    claim: Claim | None
    why: str


def collisions(slot: Slot, claims: Iterable[Claim], blocks: Iterable[Block], gap: timedelta) -> list[Taken]:
    """Name everything in the way of a slot. Expired claims and a booking's own are for the caller to leave out."""
    found = [
        Taken(claim.slot, claim, "booked" if claim.firm else "held")
        for claim in claims
        if claim.slot.vessel == slot.vessel and slot.start < claim.slot.end + gap and claim.slot.start < slot.end + gap
    ]
    for block in blocks:
        if block.vessel == slot.vessel:
            for start, end in _spans(block, slot.start.date(), slot.end.date()):
                if slot.start < end and start < slot.end:
                    found.append(Taken(Slot(slot.vessel, start, end), None, block.why))
    return sorted(found, key=lambda taken: taken.slot.start)


def windows(
    vessel: str,
    day: date,
    claims: Iterable[Claim],
    blocks: Iterable[Block],
    *,
    gap: timedelta,
    now: datetime,
    opening: tuple[timedelta, timedelta],
    length: timedelta,
) -> list[Slot]:
    """Find the free spans of a day that are long enough; each may be started at any time that leaves `length`."""
    midnight = datetime.combine(day, time.min)
    free = [(max(midnight + opening[0], now), midnight + opening[1])]
    for start, end in _busy(vessel, day, claims, blocks, gap):
        free = [part for span in free for part in _without(span, start, end)]
    return [Slot(vessel, start, end) for start, end in free if end - start >= length]


def days(first: date, last: date, kind: str) -> Iterator[date]:
    """Give the days of a range, both ends included: any, weekend or weekday."""
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if kind == "any" or (day.weekday() >= SATURDAY) == (kind == "weekend"):
            yield day


def hours_between(start: datetime, end: datetime) -> float:
    """Give a duration in hours."""
    return (end - start) / timedelta(hours=1)


def clock(text: str) -> timedelta:
    """Read HH:MM as time since midnight; 24:00 is the end of the day."""
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def overlapping(trips: Sequence[tuple[str, Slot]], gap: timedelta) -> list[tuple[str, str]]:
    """Find pairs of trips on one vessel that are nearer than the turnaround."""
    return [
        (one, other)
        for i, (one, a) in enumerate(trips)
        for other, b in trips[i + 1 :]
        if a.vessel == b.vessel and a.start < b.end + gap and b.start < a.end + gap
    ]


def _spans(block: Block, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    # From the day before: a block of the evening may reach past midnight.
    for day in days(first - timedelta(days=1), last, "any"):
        if span := block.on(day):
            yield span


def _busy(
    vessel: str, day: date, claims: Iterable[Claim], blocks: Iterable[Block], gap: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    for claim in claims:
        if claim.slot.vessel == vessel:
            yield claim.slot.start - gap, claim.slot.end + gap
    for block in blocks:
        if block.vessel == vessel:
            yield from _spans(block, day, day)


def _without(span: tuple[datetime, datetime], start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    if end <= span[0] or start >= span[1]:
        yield span
        return
    if start > span[0]:
        yield span[0], start
    if end < span[1]:
        yield end, span[1]

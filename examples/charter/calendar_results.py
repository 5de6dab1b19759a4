"""What the calendar actions return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from .kinds import Day, LocalTime


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """Free time of a vessel: a trip may lie anywhere in it."""

    vessel: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class Conflict:
    """What is in the way: a booking, a hold or a block."""

    vessel: str
    start: LocalTime
    end: LocalTime
    why: str
    booking_id: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class SlotAnswer:
    """One slot that was asked about."""

    vessel: str
    start: LocalTime
    end: LocalTime
    available: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether every slot asked about is free, whether the party fits on each vessel, and what is free."""

    available: bool
    fits: bool
    slots: tuple[SlotAnswer, ...]
    conflicts: tuple[Conflict, ...]
    free_slots: tuple[FreeSlot, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that is held."""

    hold_id: str
    vessel: str
    start: LocalTime
    end: LocalTime
    hold_expires: LocalTime


@dataclass(frozen=True, slots=True)
class Entered:
    """A firm calendar entry."""

    event_id: str
    vessel: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class Released:
    """Whether a slot was freed."""

    released: bool


@dataclass(frozen=True, slots=True)
class Blocked:
    """A vessel that was closed, and what that touches."""

    block_id: str
    from_: Annotated[Day, Field(alias="from")]
    to: Day
    affected: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """Booking ids, blocks and free time in a range of days."""

    events: tuple[str, ...]
    blocks: tuple[Conflict, ...]
    free_slots: tuple[FreeSlot, ...]

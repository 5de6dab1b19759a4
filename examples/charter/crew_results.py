"""What the crew actions return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A crew event, whom it asked, and how many places nobody accepted yet."""

    crew_event_id: str
    asked: tuple[str, ...]
    open_positions: int


@dataclass(frozen=True, slots=True)
class StoodDown:
    """People who were released."""

    released: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """Who was asked to come instead, and what follows for the trip."""

    asked: tuple[str, ...]
    accepted: tuple[str, ...]
    crew_change: str


@dataclass(frozen=True, slots=True)
class Reconfirmed:
    """Who was asked about new hours, with the answers so far."""

    asked: tuple[str, ...]
    accepted: tuple[str, ...]
    declined: tuple[str, ...]
    all_accepted: bool

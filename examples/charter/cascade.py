"""The crew cascade: captain first, then deckhands, in rank order; the next one after a decline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one person, with the answer if there is one."""

    person: str
    position: str
    state: str


def fill(places: int, position: str, ranked: Iterable[str], replies: Mapping[str, str]) -> list[Ask]:
    """Ask one person a place, going on to the next after each decline. Silence holds the place for its deadline."""
    asks: list[Ask] = []
    pool = iter(ranked)
    for _ in range(places):
        for person in pool:
            asks.append(
                Ask(
                    person,
                    position,
                    {"accept": "accepted", "decline": "declined"}.get(replies.get(person, ""), "asked"),
                )
            )
            if asks[-1].state != "declined":
                break
    return asks


def accepted(asks: Iterable[Ask]) -> tuple[str, ...]:
    """Give those who accepted, in the order they were asked."""
    return tuple(ask.person for ask in asks if ask.state == "accepted")


def muster(
    captains: tuple[int, Iterable[str]], deckhands: tuple[int, Iterable[str]], replies: Mapping[str, str]
) -> list[Ask]:
    """Ask for a crew: (open places, people in rank order) each. Deckhands are asked once every captain's place is filled."""
    places, ranked = captains
    asks = fill(places, "captain", ranked, replies)
    if len(accepted(asks)) < places:
        return asks
    return asks + fill(deckhands[0], "deckhand", deckhands[1], replies)

"""Which changes of roles to make together under a cap: an exact search of every set of changes, of which only the best are kept.

A set of changes costs the sum of their dollars and gains the sum of their effects. Sets that are dominated, by one that costs no more
and gains no less, are dropped as soon as the roles they have used leave both the same way on (the Pareto form of dynamic
programming: Nemhauser, Ullmann, "Discrete dynamic programming and capital allocation", Management Science 15, 1969).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one or several roles: what it adds in dollars a month, and to the share of runs that succeed.

    `low` and `high` are the ends of the effect's interval. `text` says what it is, `models` has the model of each role after it.
    """

    roles: frozenset[str]
    usd: Decimal
    gain: float
    low: float
    high: float
    text: str
    models: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A set of changes that fit together, and their sums. No change at all is a choice, too."""

    changes: tuple[Change, ...] = ()
    usd: Decimal = Decimal(0)
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def with_(self, change: Change) -> Choice:
        """Make one change more."""
        return Choice(
            (*self.changes, change),
            self.usd + change.usd,
            self.gain + change.gain,
            self.low + change.low,
            self.high + change.high,
        )


def by_low(choice: Choice) -> float:
    """Judge a choice by what it is known to gain at least."""
    return choice.low


def by_estimate(choice: Choice) -> float:
    """Judge a choice by what it gains as estimated."""
    return choice.gain


def frontier(changes: Sequence[Change], worth: Callable[[Choice], float] = by_low) -> list[Choice]:
    """Give the choices that no other beats in dollars and in worth: dearer and dearer, each worth more than all before it.

    No role is changed twice. `worth` is a sum over changes. Of two choices alike in both the one with fewer changes is given.
    """
    # What a state may still become depends on those of its used roles that a later change would use.
    states: dict[frozenset[str], list[Choice]] = {frozenset(): [Choice()]}
    for place, change in enumerate(changes):
        later = frozenset(role for following in changes[place + 1 :] for role in following.roles)
        grown: dict[frozenset[str], list[Choice]] = {}
        for used, choices in states.items():
            grown.setdefault(used & later, []).extend(choices)
            if used.isdisjoint(change.roles):
                grown.setdefault((used | change.roles) & later, []).extend(c.with_(change) for c in choices)
        states = {used: _undominated(choices, worth) for used, choices in grown.items()}
    return _undominated((choice for choices in states.values() for choice in choices), worth)


def choose(
    choices: Iterable[Choice], most: Decimal, least: float, worth: Callable[[Choice], float] = by_low
) -> Choice | None:
    """Choose the worthiest that adds at most `most` dollars and is worth at least `least`; the cheapest of equals; None: there is none."""
    fitting = [choice for choice in choices if choice.usd <= most and worth(choice) >= least]
    return max(fitting, key=lambda choice: (worth(choice), -choice.usd), default=None)


def _undominated(choices: Iterable[Choice], worth: Callable[[Choice], float]) -> list[Choice]:
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda c: (c.usd, -worth(c), len(c.changes))):
        if not kept or worth(choice) > worth(kept[-1]):
            kept.append(choice)
    return kept

"""What a model call used: tokens by kind, and dollars as `Decimal`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls. The kinds are disjoint: `input` excludes what was read from or written to a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        """All tokens of the prompt, cached or not: what price tiers are measured by."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """Prompt and answer."""
        return self.prompt + self.output

    def __add__(self, other: Usage) -> Usage:
        """Add kind by kind."""
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def add_costs(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Add dollars; one unknown makes the sum unknown: a missing price is never nothing."""
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


@dataclass(frozen=True, slots=True)
class PromptLengths:
    """How long the prompts of one role to one model were, in tokens, over some time.

    `p95` is the length that 95 % of the `calls` do not exceed, `largest` the longest. `model` is `provider:full-id`.
    """

    role: str
    model: str
    calls: int
    p95: int
    largest: int

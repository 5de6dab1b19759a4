"""What each kind of token of a model costs on a day, by the length of the prompt: prices taken apart so that sums can be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from trimtab.core.usage import Usage

KINDS: Mapping[str, str] = {
    "input": "input tokens",
    "cache_read": "tokens read from the cache",
    "cache_write_5m": "tokens written to the 5-minute cache",
    "cache_write_1h": "tokens written to the 1-hour cache",
    "output": "output tokens",
}
MILLION = 1_000_000

PerKind: TypeAlias = Mapping[str, Decimal | None]


@dataclass(frozen=True, slots=True)
class Tariff:
    """Dollars per million tokens of each kind (None: not known), by the start of the tier that the whole prompt reaches.

    `starts` are the tiers, 0 first: a call pays the prices of the greatest start that its prompt EXCEEDS.
    """

    model: str
    starts: tuple[int, ...]
    prices: Mapping[int, PerKind]

    def tier(self, prompt: int) -> int:
        """Give the start of the tier in which a call with such a prompt pays."""
        return max((start for start in self.starts if start < prompt), default=0)

    def next_tier(self, prompt: int) -> int | None:
        """Give the start of the next tier; None where there is none."""
        return min((start for start in self.starts if start and start >= prompt), default=None)

    def price(self, tier: int, kind: str) -> Decimal | None:
        """Give the dollars per million tokens."""
        return self.prices[tier][kind]

    def cost(self, tier: int, usage: Usage) -> Decimal | None:
        """Give the dollars of calls that all pay in one tier; None where a price of theirs is not known."""
        total = Decimal(0)
        for kind in KINDS:
            tokens: int = getattr(usage, kind)
            price = self.prices[tier][kind]
            if tokens and price is None:
                return None
            total += tokens * (price or 0)
        return total / MILLION

"""What tokens cost: the dated, tiered price data that ships with `genai-prices`, read without a network.

The data set is fixed by the installed version, so a price can be reproduced from the version and the day. It has prices
of its own for five-minute and one-hour cache writes of every Claude model that caches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from trimtab.core.usage import Usage

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, TieredPrices

# What may follow the name of a model without making it another model: a date, `latest`.
_SAME_MODEL = re.compile(r"([-@](latest|20\d{6}|20\d\d-\d\d-\d\d))?")

# Per kind of tokens, its price per million: a kind without a price makes the whole cost unknown.
_PRICE_KEYS = (
    ("input", "input_mtok"),
    ("output", "output_mtok"),
    ("cache_read", "cache_read_mtok"),
    ("cache_write_5m", "cache_write_mtok"),
    ("cache_write_1h", "cache_write_1h_mtok"),
)


class GenaiPrices:
    """Prices of `provider:model` by day (`core.ports.PriceList`). What is not known exactly has no price, never a default.

    Discounts by request (batches, fast mode, priority tiers) are not applied: trimtab sends none of these.
    """

    @property
    def version(self) -> str:
        """Name the data set, as `genai-prices 0.2.3`."""
        return f"genai-prices {version('genai-prices')}"

    def known(self, model: str) -> bool:
        """Whether `provider:model` has a price."""
        return _prices(model, datetime.now(UTC).date()) is not None

    def cost(self, model: str, usage: Usage, on: date) -> Decimal | None:
        """Give the dollars of ONE call at the prices of day `on`, or None where a price of it is not known.

        Prices are tiered by the prompt of a call, so the usage of several calls must be priced call by call and added.
        """
        prices = _prices(model, on)
        if prices is None:
            return None
        total = Decimal(0)
        for kind, price in prices:
            tokens: int = getattr(usage, kind)
            if tokens and price is None:
                return None
            if tokens and price is not None:
                total += tokens * (price if isinstance(price, Decimal) else _in_tier(price, usage.prompt))
        return total.scaleb(-6)


def _in_tier(prices: TieredPrices, prompt: int) -> Decimal:
    """Give the price that ALL tokens of a call with such a prompt have."""
    reached = (tier.price for tier in reversed(prices.tiers) if prompt > tier.start)
    return next(reached, prices.base)


# The library's own sum takes 0.1 ms a call, which is more than all else a run does around a call.
@lru_cache(maxsize=4096)
def _prices(model: str, on: date) -> Sequence[tuple[str, Decimal | TieredPrices | None]] | None:
    found = _find(model)
    if found is None:
        return None
    # Some prices change within a day; noon in UTC stands for the day.
    day = found.get_prices(datetime.combine(on, time(12), UTC))
    # A price by the request is not made of tokens, and is not known to be all there is.
    return None if day.requests_kcount else [(kind, getattr(day, key)) for kind, key in _PRICE_KEYS]


def _find(model: str) -> ModelInfo | None:
    """Find the model by its exact provider and name; the library's own search would also take a similar one."""
    from genai_prices.data import providers

    provider_id, _, name = model.partition(":")
    provider = next((p for p in providers if p.id == provider_id), None)
    if provider is None:
        return None
    return next((m for m in provider.models if _names(m.match, name)), None)


def _names(match: MatchLogic, name: str) -> bool:
    """Whether the clause names this model: like `is_match`, but a prefix may be followed by a date only.

    Otherwise a later `claude-haiku-4-5-fast` would be sold at the price of `claude-haiku-4-5`.
    """
    from genai_prices import types

    match match:
        case types.ClauseOr(or_=clauses):
            return any(_names(clause, name) for clause in clauses)
        case types.ClauseAnd(and_=clauses):
            return all(_names(clause, name) for clause in clauses)
        case types.ClauseStartsWith(starts_with=prefix):
            return name.startswith(prefix) and _SAME_MODEL.fullmatch(name, len(prefix)) is not None
        case types.ClauseEquals() | types.ClauseRegex():
            return match.is_match(name)
        case types.ClauseContains() | types.ClauseEndsWith():
            return False

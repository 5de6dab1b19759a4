"""What a call of the terminal costs: the catalogue's price of its model, and what the terminal adds to it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import lru_cache

from trimtab.core.usage import Usage
from trimtab.models.catalogue import Catalogue

# As Anthropic lists them and 2.1.330 charges them (measured): a web search is $10 a thousand, and a model that runs in the US only
# costs 1.1 times as much.
_SEARCH = Decimal("0.01")
_IN_THE_US = Decimal("1.1")
_FAST, _PLAIN = "fast", frozenset({"", "standard", "normal"})


class TerminalPrices:
    """`terminal.index_fill.CallPrices` of a catalogue. Unknown models, and speeds without a price, have no price."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._full_id = lru_cache(maxsize=1024)(self._find)

    @property
    def version(self) -> str:
        """Name everything that a price depends on."""
        return f"{self._catalogue.version}, search {_SEARCH}, us {_IN_THE_US}"

    def cost(self, model: str, usage: Usage, on: date, *, searches: int, speed: str, geo: str) -> Decimal | None:
        """Give the dollars of one call; None where they are not known."""
        full = self._full_id(model)
        usd = None if full is None else self._catalogue.cost(full, usage, on)
        times = None if full is None else self._times(full, on, speed)
        if usd is None or times is None:
            return None
        return usd * times * (_IN_THE_US if geo == "us" else 1) + searches * _SEARCH

    def _times(self, full: str, on: date, speed: str) -> Decimal | None:
        if speed in _PLAIN:
            return Decimal(1)
        found = self._catalogue.model(full)
        if speed != _FAST or found is None or (found.fast_until and on > found.fast_until):
            return None
        return found.fast

    def _find(self, model: str) -> str | None:
        # The terminal asks for a long context by a suffix that is not part of the name; prices are the same.
        return self._catalogue.full_id(model.removesuffix("[1m]"))

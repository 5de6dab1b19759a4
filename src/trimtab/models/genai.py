"""The prices of `genai-prices`, read without importing it where its version is the one that `genai_prices.json` was made from.

Importing the library takes 0.3 s of CPU, most of a short command; the file with what it says of the models of Anthropic and
OpenAI takes a few milliseconds. Another installed version, and other providers, are read from the library itself, by the same
functions. `make prices` writes the file anew, and a test compares it with the installed library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.models.price_file import rows_of
from trimtab.models.prices import KINDS, Said

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, Provider, TieredPrices

    _Told = Mapping[str, Any]

SNAPSHOT = Path(__file__).with_name("genai_prices.json")
PROVIDERS = ("anthropic", "openai")
# What may follow the name of a model without making it another model: a date, `latest`.
_DATED = re.compile(r"(.+)[-@](latest|20\d{6}|20\d\d-\d\d-\d\d)")
_KEYS = dict(
    zip(KINDS, ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"), strict=True)
)


def undated(name: str) -> str | None:
    """Give the name without the date or `latest` behind it; None where there is none."""
    match = _DATED.fullmatch(name)
    return match[1] if match else None


@lru_cache(maxsize=1)
def library() -> str:
    """Name the data set that is installed, as `genai-prices 0.2.3`."""
    spec = find_spec("genai_prices")
    folder = Path(spec.origin).parent.parent if spec and spec.origin else None
    names = [found.name for found in folder.glob("genai_prices-*.dist-info")] if folder else []
    if len(names) == 1:
        return f"genai-prices {names[0].removeprefix('genai_prices-').removesuffix('.dist-info')}"
    # It takes 20 ms to import, so it is asked only where the folder that it would find cannot be told.
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


@dataclass(frozen=True)
class Listed:
    """What the library says of the models of one provider, each under the name it lists it by.

    A model goes by its `names` exactly, by its `stems` with nothing or a date behind them, and by what fits a pattern.
    """

    models: Mapping[str, _Told]

    def find(self, name: str) -> str | None:
        """Give the name under which a model is listed that goes by `name`.

        The library would also take a name that only begins like one, and sell a later `claude-haiku-4-5-fast` at the price
        of `claude-haiku-4-5`.
        """
        exactly = (key for key, told in self.models.items() if name in told["names"] or name in told["stems"])
        return next(exactly, None) or next(self._nearly(name), None)

    def _nearly(self, name: str) -> Iterator[str]:
        stem = undated(name)
        yield from (key for key, told in self.models.items() if any(_dates(s, name, stem) for s in told["stems"]))
        yield from (key for key, told in self.models.items() if any(re.search(p, name) for p in told["patterns"]))

    def said(self, key: str) -> Said:
        """Give what it says of the model listed as `key`."""
        return _said(self.models[key], library())


def _dates(listed: str, name: str, stem: str | None) -> bool:
    # The library also lists `claude-haiku-5-5@` and `claude-sonnet-4-2025`: stems with a part of the date.
    return stem is not None and len(listed) >= len(stem) and name.startswith(listed)


def _said(told: _Told, source: str) -> Said:
    rows = [
        {**row, **({"from": date.fromisoformat(row["from"])} if "from" in row else {})}
        for row in told.get("prices", ())
    ]
    return Said(
        source,
        rows_of(rows, source),
        context=told.get("context"),
        releases=tuple(told.get("releases", ())),
        batch=_decimal(told.get("batch")),
        fast=_decimal(told.get("fast")),
    )


def _decimal(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)


@lru_cache(maxsize=64)
def listed(provider: str) -> Listed | None:
    """Give what the library says of a provider's models; None where it knows no such provider."""
    if provider in PROVIDERS:
        snapshot = _snapshot()
        if snapshot["made_from"] == library():
            return Listed(snapshot["providers"][provider])
    found = next((p for p in _providers() if p.id == provider), None)
    return Listed(told_of(found)) if found else None


def provider_names() -> list[str]:
    """Name every provider the library knows; imports it."""
    return sorted(provider.id for provider in _providers())


@lru_cache(maxsize=1)
def _snapshot() -> Mapping[str, Any]:
    return json.loads(SNAPSHOT.read_text("utf-8"))


def write() -> None:
    """Write the snapshot of the installed library."""
    SNAPSHOT.write_text(snapshot_text(), "utf-8")


def snapshot_text() -> str:
    """Give the snapshot as it must be for the installed library, one model a line."""
    made = [
        (p.id, ",\n".join(f"{json.dumps(name)}: {json.dumps(told)}" for name, told in told_of(p).items()))
        for p in _providers()
        if p.id in PROVIDERS
    ]
    providers = ",\n".join(f"{json.dumps(name)}: {{\n{models}\n}}" for name, models in made)
    return f'{{"made_from": {json.dumps(library())},\n"providers": {{\n{providers}\n}}}}\n'


def _providers() -> list[Provider]:
    from genai_prices.data import providers

    return providers


def told_of(provider: Provider) -> dict[str, dict[str, Any]]:
    """Write what the library says of a provider's models as plain tables, of the form that `price_file` reads."""
    tables = {model.id: _table(model, provider) for model in provider.models}
    return {name: table for name, table in tables.items() if table["prices"]}


def _table(model: ModelInfo, provider: Provider) -> dict[str, Any]:
    names, stems, patterns = _names(model.match)
    # A model is known by the name it is listed by, also where the library tells it by a part of its name.
    if {model.id, undated(model.id)}.isdisjoint([*names, *stems]) and provider.find_model(model.id) is model:
        names = [model.id, *names]
    table: dict[str, Any] = {"names": names, "stems": stems, "patterns": patterns, "prices": _rows(model)}
    if model.context_window:
        table["context"] = model.context_window
    for name, when in (("batch", {"processing": "batch"}), ("fast", {"speed": "fast"})):
        if (share := _share(model, when)) is not None:
            table[name] = str(share)
    if releases := sorted(name for name in names if undated(name) == model.id and not name.endswith("latest")):
        table["releases"] = releases
    return table


def _names(match: MatchLogic) -> tuple[list[str], list[str], list[str]]:
    from genai_prices import types

    match match:
        case types.ClauseOr(or_=clauses):
            parts = [_names(clause) for clause in clauses]
            return (
                [n for p in parts for n in p[0]],
                [n for p in parts for n in p[1]],
                [n for p in parts for n in p[2]],
            )
        case types.ClauseStartsWith(starts_with=prefix):
            return [], [prefix], []
        case types.ClauseEquals(equals=name):
            return [name], [], []
        case types.ClauseRegex(regex=pattern):
            return [], [], [pattern]
        case types.ClauseAnd() | types.ClauseContains() | types.ClauseEndsWith():
            # These take names that nobody has seen yet.
            return [], [], []


def _rows(model: ModelInfo) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for since in _first_days(model):
        # Some prices change within a day; noon in UTC stands for the day.
        prices = model.get_prices(datetime.combine(since or date(2000, 1, 1), time(12), UTC))
        # A price by the request is not made of tokens, and is not known to be all there is.
        row = {} if prices.requests_kcount else _row({kind: getattr(prices, key) for kind, key in _KEYS.items()})
        rows.append({"from": since.isoformat(), **row} if since else row)
    return rows if any("input" in row or "output" in row for row in rows) else []


def _first_days(model: ModelInfo) -> list[date | None]:
    from genai_prices.types import StartDateConstraint

    if not isinstance(model.prices, list):
        return [None]
    constraints = [price.constraint for price in model.prices]
    return [None, *sorted({c.start_date for c in constraints if isinstance(c, StartDateConstraint)})]


def _row(prices: Mapping[str, Decimal | TieredPrices | None]) -> dict[str, Any]:
    told = {kind: price for kind, price in prices.items() if price is not None}
    starts = sorted({tier.start for price in told.values() if not isinstance(price, Decimal) for tier in price.tiers})
    row: dict[str, Any] = {kind: str(_in_tier(price, 0)) for kind, price in told.items()}
    if starts:
        row["tiers"] = [
            {"over": start, **{kind: str(_in_tier(price, start + 1)) for kind, price in told.items()}}
            for start in starts
        ]
    return row


def _in_tier(price: Decimal | TieredPrices, prompt: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if prompt > tier.start), price.base)


def _share(model: ModelInfo, when: Mapping[str, str]) -> Decimal | None:
    """Give the multiple of the standard price that requests of a kind cost, where it is one multiple."""
    last = datetime(9999, 1, 1, tzinfo=UTC)
    standard, special = model.get_prices(last), model.get_prices(last, when)
    shares = {
        _in_tier(theirs, 0) / _in_tier(ours, 0)
        for key in ("input_mtok", "output_mtok")
        if (ours := getattr(standard, key)) and (theirs := getattr(special, key))
    }
    return shares.pop().normalize() if len(shares) == 1 and shares != {Decimal(1)} else None

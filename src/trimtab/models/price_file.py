"""Reads a file of prices: trimtab's own `prices.toml`, or a site's. docs/how-to/models.md shows what it may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

from trimtab.core.values import digest
from trimtab.models.prices import FIGURES, KINDS, PriceRow, Rates, Said, Tier
from trimtab.policy.toml import read_tables, read_text

OUR_FILE = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, slots=True)
class PriceFile:
    """A file of prices as it was read.

    `date` is the day its figures were last checked. `aliases` are names that mean another model from time to time, with the
    full id each means now. `digest` names its content.
    """

    name: str
    date: date
    digest: str
    models: Mapping[str, Said]
    aliases: Mapping[str, str]


def read(path: Path) -> PriceFile:
    """Read a site's file. Raises PolicyError with everything that is wrong with it."""
    hint = "prices under [app] of the policy names it, beside the policy file"
    return parse(read_text(path, hint=hint), str(path))


def parse(text: str, source: str) -> PriceFile:
    """Read a site's prices from text; `source` is the path that errors name. Raises PolicyError."""
    # Imported here: the file that comes with trimtab is checked by a test, and most commands read no other.
    from trimtab.models.price_form import refuse_unfit

    content = read_tables(text, source)
    refuse_unfit(content, source)
    return _made(content, Path(source).name, text)


def read_ours() -> PriceFile:
    """Read the file that comes with trimtab."""
    text = OUR_FILE.read_text("utf-8")
    return _made(read_tables(text, str(OUR_FILE)), "trimtab prices", text)


def _made(content: Mapping[str, Any], name: str, text: str) -> PriceFile:
    day: date = content["date"]
    models = {model: _said(table, f"{name} {day}") for model, table in content.get("models", {}).items()}
    return PriceFile(name, day, digest(text), models, content.get("aliases", {}))


def _said(table: Mapping[str, Any], file: str) -> Said:
    source = _source(table, file, file)
    figures: dict[str, Any] = {name: table[name] for name in FIGURES if name in table}
    for name, convert in (("batch", Decimal), ("fast", Decimal), ("releases", tuple[str, ...])):
        if name in figures:
            figures[name] = convert(figures[name])
    rows = [{**row, "source": _source(row, file, source)} for row in table.get("prices", ())]
    return Said(source, rows_of(rows, source), **figures)


def _source(table: Mapping[str, Any], file: str, otherwise: str) -> str:
    return f"{file}: {table['source']}" if "source" in table else otherwise


def rows_of(listed: Sequence[Mapping[str, Any]], source: str) -> tuple[PriceRow, ...]:
    """Make price rows of tables that were checked; one without `until` holds until the next begins."""
    rows = sorted(listed, key=lambda row: row.get("from", date.min))
    nexts = [row["from"] for row in rows[1:]]
    return tuple(_price_row(row, after, source) for row, after in zip_longest(rows, nexts))


def _price_row(row: Mapping[str, Any], after: date | None, source: str) -> PriceRow:
    until = row.get("until") or (after and date.fromordinal(after.toordinal() - 1))
    tiers = (Tier(0, _rates(row)), *(Tier(tier["over"], _rates(tier)) for tier in row.get("tiers", ())))
    return PriceRow(row.get("from"), until, tiers, row.get("source", source))


def _rates(table: Mapping[str, Any]) -> Rates:
    return Rates(**{kind: Decimal(table[kind]) for kind in KINDS if kind in table})

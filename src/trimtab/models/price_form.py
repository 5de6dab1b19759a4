"""What a file of prices may say. As strict as the policy: what is not known is refused, by key path, all of it in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

from trimtab.models.prices import KINDS
from trimtab.policy.problems import KeyPath, Problem, refusal
from trimtab.policy.shape import Leaf, Named, Table, prune

_MOST = 1_000_000  # dollars per million tokens: a dollar a token
_MOST_TOKENS = 10**9


def refuse_unfit(content: Mapping[str, Any], source: str) -> None:
    """Refuse what is not as a file of prices must be. Raises PolicyError with everything that is wrong."""
    found: list[Problem] = []
    kept = prune(_FILE, content, (), found)
    if "date" not in content:
        found.append(Problem(("date",), "expected the day on which these prices were checked", "date = 2026-11-23"))
    for model, table in kept.get("models", {}).items():
        path = ("models", model, "prices")
        found += _disordered(_rows(table.get("prices", []), path, found), path)
    if found:
        raise refusal(source, found)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[^\s:]+:[^\s\x00-\x1f\x7f]+", value) is not None


def _is_number(value: object) -> bool:
    # `inf` and `nan` are numbers in TOML, and `true` is an int in Python.
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()


def _is_price(value: object) -> bool:
    return _is_number(value) and 0 <= cast("Decimal", value) <= _MOST


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 < cast("Decimal", value) <= 100  # noqa: PLR2004 - a hundredfold is a slip of the pen


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_TOKENS


def _is_day(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in cast("list[object]", value))


_ID = Leaf('"provider:full-id"', _is_id)
_DAY = Leaf("a date (2026-12-01)", _is_day)
_PRICE = Leaf(f"dollars per million tokens, from 0 to {_MOST}", _is_price)
_COUNT = Leaf("a whole number of tokens, 1 or more", _is_count)
_NAMES = Leaf("a list of names", _is_names)
_TEXT = Leaf("text", lambda value: isinstance(value, str))
_SHARE = Leaf("a multiple of the price over 0 (0.5 is half)", _is_share)
_RATES = dict.fromkeys(KINDS, _PRICE)
_TIER = Table({"over": _COUNT, **_RATES})
_LIST = Leaf("a list of tables", lambda value: isinstance(value, list))
_ROW = Table({"from": _DAY, "until": _DAY, **_RATES, "tiers": _LIST, "source": _TEXT})
_MODEL = Table(
    {
        "prices": _LIST,
        "context": _COUNT,
        "retires": _DAY,
        "releases": _NAMES,
        "batch": _SHARE,
        "fast": _SHARE,
        "fast_until": _DAY,
        "source": _TEXT,
        "note": _TEXT,
    },
    some=True,
)
_FILE = Table({"date": _DAY, "models": Named(_ID, _MODEL), "aliases": Named(_ID, _ID)})


def _rows(listed: Sequence[object], path: KeyPath, found: list[Problem]) -> list[dict[str, Any]]:
    rows = [_row(entry, (*path, str(place)), found) for place, entry in enumerate(listed, 1)]
    return [row for row in rows if row is not None]


def _row(entry: object, path: KeyPath, found: list[Problem]) -> dict[str, Any] | None:
    row: dict[str, Any] | None = prune(_ROW, entry, path, found)
    if row is None:
        return None
    table = cast("Mapping[str, object]", entry)
    found += [Problem(path, f"expected {kind!r}: dollars per million tokens") for kind in _NEEDED - table.keys()]
    since, until = row.get("from"), row.get("until")
    if since and until and until < since:
        found.append(Problem((*path, "until"), f"expected a day from {since} on, not {until}"))
    tiers = [
        prune(_TIER, tier, (*path, "tiers", str(place)), found) for place, tier in enumerate(row.get("tiers", []), 1)
    ]
    row["tiers"] = [tier for tier in tiers if tier is not None]
    priced, reached = set(KINDS) & table.keys(), 0
    for place, tier in enumerate(row["tiers"], 1):
        there = (*path, "tiers", str(place))
        if set(KINDS) & tier.keys() != priced:
            # A kind that is left out would be a guess: the price below the tier, or that of the tier's other kinds?
            found.append(Problem(there, f"expected prices of the same kinds as the row: {', '.join(sorted(priced))}"))
        if tier.get("over", 0) <= reached:
            found.append(
                Problem((*there, "over"), f"expected more tokens than {reached:,}, the longer prompt after the shorter")
            )
        reached = max(reached, tier.get("over", 0))
    return row


_NEEDED = frozenset({"input", "output"})


def _disordered(rows: Sequence[Mapping[str, Any]], path: KeyPath) -> list[Problem]:
    """Find rows that hold on one day; one without `until` holds until the next begins."""
    found: list[Problem] = []
    ordered = sorted(enumerate(rows, 1), key=lambda row: row[1].get("from", date.min))
    for (_, before), (place, row) in pairwise(ordered):
        since, ended = row.get("from"), before.get("until")
        if since == before.get("from") or (ended and since and ended >= since):
            text = f"two rows hold on {since or 'the first day'}: each day has one price"
            hint = "give each its own 'from', and an 'until' before the next one's 'from' or none"
            found.append(Problem((*path, str(place), "from"), text, hint))
    return found

"""Amounts as people write them: 840.75, 840,75, 1,120.00, 1 120,00, $840.75, 840 EUR."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# From here on a number says enough to be known again; below, only cents or a currency make it an amount.
_TELLING = 100
_LONGEST = 24
_GROUPS = 4
_CENTS = 2
_NEAR = 12

_RUN = re.compile(r"\d+(?:[.,'\u2019 ]\d+)*")
_WHOLE = re.compile(r"\d{1,3}([.,'\u2019])\d{3}(?:\1\d{3})*")
_DECIMAL = re.compile(r"(\d+|\d{1,3}([.,'\u2019])\d{3}(?:\2\d{3})*)(?!\2)[.,](\d+)")
_HEAD, _GROUP, _TAIL = re.compile(r"\d{1,3}"), re.compile(r"\d{3}"), re.compile(r"\d{3}(?:[.,]\d{1,2})?")

_SIGNS = "$€£¥₹₽₩₺฿"
_NAMES = "usd|eur|gbp|chf|sek|nok|dkk|pln|czk|huf|cad|aud|nzd|jpy|dollars?|euros?|pounds?|kr|rs|zł|kč"
_MONEY_BEFORE = re.compile(rf"(?:[{_SIGNS}]|(?<!\w)(?:{_NAMES})) ?-?$")
_MONEY_AFTER = re.compile(rf" ?(?:[{_SIGNS}]|(?:{_NAMES})(?!\w))")
# A number may lean on three letters or the name of a currency; inside other words, ids, dates and times it is no amount.
_LEANS_LEFT = re.compile(rf"(?:^|[^\w.\-])(?:[^\W\d_]{{3}}|{_NAMES})-?$")
_PART_OF_MORE = re.compile(r"(?:\w|\w-|\d[.,:/])$")
_RIGHT = re.compile(rf"(?!\w|[.,:/\-]\d)|(?:[^\W\d_]{{3}}|{_NAMES})(?!\w|-\d)")


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers that one piece of text may mean. `whole`: what it is a part of, where its spaces group thousands."""

    values: frozenset[Decimal]
    whole: frozenset[Decimal]
    start: int
    end: int


def amount(value: object) -> Decimal | None:
    """Read a number, or a text that is nothing but one as programs write it, as an amount without its sign; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if len(text) > _LONGEST or not text[-1:].isdecimal():
        return None
    try:
        read = abs(Decimal(text))
    except InvalidOperation:
        return None
    return read if read.is_finite() and read != 0 else None


def tells(value: Decimal) -> bool:
    """Whether a bare number of JSON tells this amount: below a hundred only where it has cents."""
    return value >= _TELLING or value != value.to_integral_value()


def written(text: str) -> Iterator[Written]:
    """Read every amount in a text (small letters, one space between words; see `visibility.plain`)."""
    for run in _RUN.finditer(text):
        parts, places, at = run[0].split(" "), list[tuple[int, int]](), run.start()
        for part in parts:
            places.append((at, at + len(part)))
            at += len(part) + 1
        for first, last in _pieces(parts):
            start, end = places[first][0], places[last][1]
            if values := _told(text, "".join(parts[first : last + 1]), start, end):
                yield Written(values, _whole(text, parts, places, (first, last)), start, end)


def _pieces(parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    # Each part alone, and those that may be one number with its thousands apart.
    for first in range(len(parts)):
        yield first, first
        for last in range(first + 1, _reach(parts, first) + 1):
            yield first, last


def _reach(parts: Sequence[str], first: int) -> int:
    last = first
    if not _HEAD.fullmatch(parts[first]):
        return last
    while last + 1 < min(len(parts), first + _GROUPS) and _TAIL.fullmatch(parts[last + 1]):
        last += 1
        if not _GROUP.fullmatch(parts[last]):
            break
    return last


def _whole(
    text: str, parts: Sequence[str], places: Sequence[tuple[int, int]], piece: tuple[int, int]
) -> frozenset[Decimal]:
    first, last = piece
    for begin in range(max(0, last - _GROUPS + 1), first + 1):
        end = _reach(parts, begin)
        if end >= last and (begin, end) != piece:
            return _told(text, "".join(parts[begin : end + 1]), places[begin][0], places[end][1])
    return frozenset()


def _told(text: str, digits: str, start: int, end: int) -> frozenset[Decimal]:
    before = text[max(0, start - _NEAR) : start]
    alone = not _PART_OF_MORE.search(before) or _LEANS_LEFT.search(before)
    if len(digits) > _LONGEST or not alone or not _RIGHT.match(text, end):
        return frozenset()
    money = bool(_MONEY_BEFORE.search(before) or _MONEY_AFTER.match(text, end))
    return frozenset(v for v, cents in _read(digits) if v != 0 and (v >= _TELLING or cents or money))


def _read(digits: str) -> Iterator[tuple[Decimal, bool]]:
    if digits.isdecimal():
        yield Decimal(digits), False
    elif _WHOLE.fullmatch(digits):
        yield Decimal(re.sub(r"\D", "", digits)), False
    if match := _DECIMAL.fullmatch(digits):
        whole, cents = re.sub(r"\D", "", match[1]), match[3]
        yield Decimal(f"{whole}.{cents}"), len(cents) == _CENTS

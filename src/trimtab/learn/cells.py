"""What a cell of a table says: a truth, an amount, a chance, a place in an order. A cell that says nothing is None.

A cell that cannot be read raises ValueError; its text is fit to stand behind "line 12: ".
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TypeAlias

Reader: TypeAlias = Callable[[str], float | None]

_YES = frozenset({"1", "true", "t", "yes", "y", "pass", "passed", "success", "succeeded"})
_NO = frozenset({"0", "false", "f", "no", "n", "fail", "failed", "failure"})
_NOTHING = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})


def truth(cell: str) -> float | None:
    """1/0, 1.0/0.0, true/false, yes/no, pass/fail; another number is no outcome."""
    word = cell.casefold()
    if word in _YES:
        return 1.0
    if word in _NO:
        return 0.0
    if word in _NOTHING:
        return None
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if value not in (0.0, 1.0):
        raise ValueError(f"{_short(cell)} is neither success nor failure")
    return value


def amount(cell: str) -> float | None:
    """Dollars or seconds: a number that is not negative; `$` in front is read."""
    value = _number(cell)
    if value is not None and value < 0:
        raise ValueError(f"{_short(cell)} is negative")
    return value


def chance(cell: str) -> float | None:
    """Read a probability strictly between 0 and 1: who was certain to get an arm says nothing of the other."""
    value = _number(cell)
    if value is not None and not 0 < value < 1:
        raise ValueError(f"{_short(cell)} is not between 0 and 1")
    return value


def _number(cell: str) -> float | None:
    if cell.casefold() in _NOTHING:
        return None
    try:
        value = float(cell.removeprefix("$"))
    except ValueError:
        raise ValueError(f"{_short(cell)} is no number") from None
    if not isfinite(value):
        raise ValueError(f"{_short(cell)} is no amount")
    return value


def _short(cell: str) -> str:
    longest = 40
    return repr(cell if len(cell) <= longest else f"{cell[:longest]}...")

"""What no statistic can be made of is refused here, and the message names the row.

Rows are counted from 1, in the order of assignment, as a person counts the lines below a header.
"""

from __future__ import annotations

from math import isfinite, isnan
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.core.errors import UsageError

Array: TypeAlias = NDArray[np.float64]

_HINT = "leave the row out and say so, or give the run the outcome that its deadline gives it"


def yes_or_no(row: int, what: str, value: float) -> bool:
    """Read `value` as a truth: True, False, 1 or 0. Raises UsageError on anything else, not a number included."""
    if value == 1:
        return True
    if value == 0:
        return False
    raise UsageError(f"row {row}: {what} is {value!r}, expected true or false", hint=_HINT)


def chance(row: int, propensity: float) -> float:
    """Check that the logged probability of treatment lies inside (0, 1). Raises UsageError."""
    if not 0.0 < propensity < 1.0:
        raise UsageError(
            f"row {row}: propensity is {propensity!r}, expected a probability above 0 and below 1",
            hint="where only one arm could be drawn there is nothing to compare; leave such runs out",
        )
    return propensity


def number(row: int, what: str, value: float, *, endless: bool = False) -> float:
    """Check that `value` is a number; infinity only where `endless`. Raises UsageError."""
    if isnan(value) or not (endless or isfinite(value)):
        raise UsageError(f"row {row}: {what} is {value!r}, expected a finite number", hint=_HINT)
    return value


def level(alpha: float) -> float:
    """Check an error rate. Raises UsageError unless it lies inside (0, 1)."""
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha is {alpha!r}, expected an error rate above 0 and below 1, such as 0.05")
    return alpha


def planned_runs(planned: float) -> float:
    """Check a planned sample. Raises UsageError unless it is at least 1."""
    if not 1.0 <= planned < float("inf"):
        raise UsageError(f"planned is {planned!r}, expected a number of runs, 1 or more")
    return planned


def column(values: ArrayLike, what: str, *, endless: bool = False) -> Array:
    """Read numbers, one a run along the last axis. Raises UsageError naming the first row that is none."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim == 0:
        raise UsageError(f"{what} is a single value, expected one a run")
    _refuse(
        np.isnan(found) if endless else ~np.isfinite(found), found, what, "a number" if endless else "a finite number"
    )
    return found


def assignment(treated: ArrayLike, propensities: ArrayLike, runs: tuple[int, ...]) -> tuple[NDArray[np.bool_], Array]:
    """Read arms and their logged probabilities (or one for all), shaped as the outcomes. Raises UsageError naming the row."""
    arms, chances = column(treated, "treated"), np.asarray(propensities, dtype=np.float64)
    _refuse((arms != 0) & (arms != 1), arms, "treated", "true or false")
    inside = np.broadcast_to((chances > 0) & (chances < 1), chances.shape or (1,))
    _refuse(~inside, np.atleast_1d(chances), "propensity", "a probability above 0 and below 1")
    try:
        return np.broadcast_to(arms == 1, runs), np.broadcast_to(chances, runs)
    except ValueError:
        raise UsageError(
            f"{runs[-1]} outcomes, but {arms.shape[-1]} arms and {chances.size} propensities, expected one of each a run"
        ) from None


def _refuse(wrong: NDArray[np.bool_], values: Array, what: str, expected: str) -> None:
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise UsageError(f"row {int(at[-1]) + 1}: {what} is {float(values[at])!r}, expected {expected}", hint=_HINT)

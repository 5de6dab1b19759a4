"""What a reader of a comparison has to know besides its figures, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.discordant import Tallies
from trimtab.learn.runs import Runs

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
_SHOWN = 5
_PLACEHOLDERS = 0.05


def of_pairs(runs: Runs, tallies: Tallies) -> list[str]:
    """Units that are in one arm only, repeats, and units whose repeats are tied."""
    said: list[str] = []
    ran = tallies.known + tallies.unknown
    for arm, name in enumerate((runs.control, runs.treatment)):
        alone = (ran[:, arm] > 0) & (ran[:, 1 - arm] == 0)
        if alone.any():
            said.append(f"{_units(runs, alone)} only in {name!r} and not compared")
    lost = (ran[:, 0] > 0) & (ran[:, 1] > 0) & ~tallies.paired
    if lost.any():
        said.append(f"{_units(runs, lost)} without a known outcome in one of the arms")
    if tallies.most_runs > 1:
        said.append(
            f"units have up to {tallies.most_runs} runs in an arm: taken as repeats, each unit counts once with its share of successes"
        )
        shares = tallies.shares()
        places = np.flatnonzero(tallies.paired)[(shares == 0.5).any(axis=1)]  # noqa: PLR2004  # a tie
        tied = np.zeros(len(runs.units), dtype=np.bool_)
        tied[places] = True
        if tied.any():
            said.append(f"{_units(runs, tied)} tied between success and failure in an arm: neither fixed nor broken")
    return said


def of_groups(runs: Runs, *, even: float, shuffled: bool) -> list[str]:
    """What was assumed of the assignment, and repeats."""
    said: list[str] = []
    if runs.propensity is None:
        said.append(
            f"no --propensity column: every run is taken to have had a chance of {even:g} of {runs.treatment!r}"
        )
    if shuffled:
        said.append(
            "the arms stand in blocks in the file: runs were put in a fixed random order; what changed between the blocks cannot be told from the arms"
        )
    cells = np.bincount(runs.unit * 2 + runs.treated)
    if cells.max(initial=0) > 1:
        said.append(f"units have up to {cells.max()} runs in an arm: taken as repeats, each unit is one cluster")
    return said


def of_chances(runs: Runs, fit: Callable[[Floats], bool]) -> list[str]:
    """Which other reading of a column of chances that does not fit the arms does; `fit` judges chances of the treatment."""
    if runs.propensity is None:
        return []
    chances = runs.propensity
    readings = (
        (f"the chance of {runs.control!r}: swap --control and --treatment", 1 - chances),
        (
            "the chance of the arm that a run got: give that of the treatment",
            np.where(runs.treated, chances, 1 - chances),
        ),
    )
    fits = [what for what, read in readings if fit(read)]
    return [f"--propensity is read as the chance of {runs.treatment!r}, and would fit as {what}" for what in fits[:1]]


def of_outcomes(runs: Runs, successes: tuple[float, float]) -> list[str]:
    """Outcomes that are all alike."""
    for share, word in ((0.0, "failed"), (1.0, "succeeded")):
        if successes == (share, share):
            return [f"every run {word} in both arms: nothing tells them apart"]
    return [
        f"no run of {name!r} succeeded: its cost per success cannot be told"
        for name, share in zip((runs.control, runs.treatment), successes, strict=True)
        if share == 0 and runs.cost is not None
    ]


def of_costs(runs: Runs) -> list[str]:
    """Costs of 0, which often stand for a price that nobody knew, and latencies of 0."""
    said: list[str] = []
    for name, values in (("cost", runs.cost), ("latency", runs.latency)):
        for arm, label in ((False, runs.control), (True, runs.treatment)):
            known = np.array([]) if values is None else values[(runs.treated == arm) & ~np.isnan(values)]
            zeros = int((known == 0).sum())
            if zeros > _PLACEHOLDERS * known.size:
                said.append(f"{zeros} of {known.size} runs of {label!r} have {name} 0: not recorded?")
    return said


def few(units: int, what: str, needed: int) -> list[str]:
    """A figure that rests on too few units to be judged."""
    return [f"{what} rests on {units} units: shown, but judged only from {needed} on"] if 0 < units < needed else []


def in_blocks(treated: Bools) -> bool:
    """Say whether the arms follow each other in blocks rather than mixed: far fewer changes of arm than chance would make."""
    share = float(treated.mean())
    expected = 2 * share * (1 - share) * treated.size
    seldom, enough = 0.25, 8
    return expected >= enough and int((treated[1:] != treated[:-1]).sum()) < seldom * expected


def _units(runs: Runs, chosen: Bools) -> str:
    places: Sequence[int] = np.flatnonzero(chosen)[:_SHOWN].tolist()
    count = int(chosen.sum())
    named = ", ".join(runs.units[place] for place in places)
    more = f" and {count - len(places)} more" if count > len(places) else ""
    return f"{count} {'unit is' if count == 1 else 'units are'} ({named}{more})"

"""Draws choices under a cap: dollars a month against success, with the interval of each."""

# matplotlib's own types are partial
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from trimtab.learn.plots import CONTROL, INK, TREATMENT, WORDS, styled


@dataclass(frozen=True, slots=True)
class Point:
    """A choice: dollars a month, and points of success with their interval; `is_now`, `is_chosen` say which it is."""

    usd: float
    points: float
    low: float
    high: float
    is_now: bool
    is_chosen: bool


def choices(points: Sequence[Point], cap: float, floor: float | None, axis: str) -> Figure:
    """Draw the choices with the cap and, in the unit of the points, the floor."""
    with styled():
        figure = Figure(figsize=(7.6, 4.2))
        axes = figure.subplots()
        axes.axvline(cap, color=WORDS["stop"], linewidth=1, linestyle=(0, (5, 3)), label=f"cap ${cap:,.0f}")
        if floor is not None:
            axes.axhline(
                floor, color=WORDS["undecided"], linewidth=1, linestyle=(0, (5, 3)), label=f"floor {floor:.4g}"
            )
        axes.plot(
            [p.usd for p in points], [p.low for p in points], color=INK, alpha=0.4, linewidth=1, drawstyle="steps-post"
        )
        for point in points:
            colour = WORDS["ship"] if point.is_chosen else CONTROL if point.is_now else TREATMENT
            named = "advised" if point.is_chosen else "as it is" if point.is_now else None
            ends = [[point.points - point.low], [point.high - point.points]]
            axes.errorbar(
                [point.usd],
                [point.points],
                ends,
                fmt="o",
                color=colour,
                capsize=3,
                markersize=8 if point.is_chosen else 5,
                label=named,
            )
        axes.set_xlabel("dollars a month")
        axes.set_ylabel(axis)
        axes.set_title("Dollars and success of each choice; the line: known at least")
        axes.legend(loc="lower right")
        return figure

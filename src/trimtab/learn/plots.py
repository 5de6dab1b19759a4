"""Draws a comparison: interval and e-value over time, and how costs and latencies are spread. One figure code for page and picture.

A page is read on light or dark ground, so its drawings have no ground of their own, and their ink is the page's `currentColor`.
"""

# matplotlib's own types are partial
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from trimtab.learn.comparison import Comparison
from trimtab.learn.intervals import quantile
from trimtab.learn.trace import Trace, trace

Floats = NDArray[np.float64]
INK = "#24292f"
CONTROL, TREATMENT = "#7a8699", "#2f81f7"
WORDS = {"ship": "#2da44e", "stop": "#e5534b", "undecided": "#c99a2e"}
_QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "trimtab",  # the same comparison gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#8b949e",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of both arms that are worth a quantile plot."""

    name: str
    unit: str
    control: Floats
    treatment: Floats


def spreads(compared: Comparison) -> list[Spread]:
    """Give latencies and costs, where there are any above 0 in both arms."""
    runs, found = compared.runs, list[Spread]()
    for name, unit, values in (("latency", "seconds", runs.latency), ("cost", "dollars", runs.cost)):
        if values is not None:
            control, treatment = (values[(runs.treated == arm) & (values > 0)] for arm in (False, True))
            if control.size and treatment.size:
                found.append(Spread(name, unit, control, treatment))
    return found


def styled() -> AbstractContextManager[None]:
    """Draw as all of trimtab's plots are drawn."""
    return mpl.rc_context(_STYLE)  # pyright: ignore[reportArgumentType]  # it wants every key as a literal


def over_time(compared: Comparison) -> Figure:
    """Draw the interval and the e-value as the runs came in."""
    with styled():
        figure = Figure(figsize=(7.6, 5.4))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _over_time(upper, lower, compared)
        return figure


def quantiles(compared: Comparison, spread: Spread) -> Figure:
    """Draw the quantiles of one spread."""
    with styled():
        figure = Figure(figsize=(7.6, 3.6))
        _quantiles(figure.subplots(), compared, spread)
        return figure


def everything(compared: Comparison) -> Figure:
    """Draw all plots on one sheet, with the verdict above them."""
    with styled():
        shown = spreads(compared)
        figure = Figure(figsize=(8, 6.4 + 3.4 * len(shown)))
        axes: Sequence[Axes] = figure.subplots(2 + len(shown), 1, height_ratios=[3, 2, *[3] * len(shown)])  # pyright: ignore[reportAssignmentType]  # as many axes as ratios
        axes[0].sharex(axes[1])
        word = compared.verdict.verdict
        title = f"{word}: {_short(compared.runs.treatment)} against {_short(compared.runs.control)}"
        figure.suptitle(title, color=WORDS[word], weight="bold", size=14, x=0.02, ha="left")
        _over_time(axes[0], axes[1], compared)
        for place, spread in zip(axes[2:], shown, strict=True):
            _quantiles(place, compared, spread)
        return figure


def svg(figure: Figure) -> str:
    """Write a figure to stand inside a page."""
    with styled():
        written = BytesIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue().decode().replace(INK, "currentColor")
    return text[text.index("<svg") :]


def png(figure: Figure) -> bytes:
    """Write a figure as a picture."""
    with styled():
        written = BytesIO()
        figure.savefig(written, format="png", dpi=150, facecolor="white")
    return written.getvalue()


def _over_time(upper: Axes, lower: Axes, compared: Comparison) -> None:
    seen = trace(compared)
    colour = WORDS[compared.verdict.verdict]
    _interval(upper, seen, colour, 1 - compared.verdict.shares.goal)
    before = " before the planned end" if compared.effect.planned else ""
    _evidence(lower, seen, colour, 1 / compared.verdict.shares.goal, before)
    upper.tick_params(labelbottom=False)
    for axes in (upper, lower):
        axes.set_xlim(0, float(seen.at[-1]))
    lower.set_xlabel(f"{seen.what} seen")


def _interval(axes: Axes, seen: Trace, colour: str, level: float) -> None:
    low, high = seen.low * 100, seen.high * 100
    axes.axhline(0, color=INK, linewidth=1)
    axes.fill_between(seen.at, low, high, color=colour, alpha=0.22, linewidth=0)
    axes.plot(seen.at, seen.estimate * 100, color=colour, linewidth=2)
    # The first intervals say nothing and would flatten the rest.
    later = seen.at >= seen.at[-1] * 0.15
    top, bottom = float(high[later].max()), float(low[later].min())
    room = 0.08 * (max(top, 0) - min(bottom, 0))
    axes.set_ylim(max(min(bottom, 0) - room, -104), min(max(top, 0) + room, 104))
    axes.set_title(f"Success, treatment minus control, with its {level * 100:.4g} % interval")
    axes.set_ylabel("points")
    end = f"{seen.estimate[-1] * 100:+.1f}\n({low[-1]:+.1f} to {high[-1]:+.1f})"
    axes.annotate(
        end,
        (float(seen.at[-1]), float(seen.estimate[-1]) * 100),
        (6, 0),
        textcoords="offset points",
        va="center",
        size=9,
    )


def _evidence(axes: Axes, seen: Trace, colour: str, needed: float, before: str) -> None:
    axes.plot(seen.at, seen.e_value, color=colour, linewidth=2)
    axes.axhline(needed, color=INK, linewidth=1, linestyle=(0, (5, 3)))
    decides = f"decides{before} at {needed:.4g}"
    axes.annotate(decides, (float(seen.at[0]), needed), (2, 3), textcoords="offset points", size=9)
    axes.axhline(1, color=INK, linewidth=0.6, alpha=0.5)
    axes.set_yscale("log")
    axes.set_ylim(max(min(0.1, float(seen.e_value.min()) / 2), 1e-6), max(needed * 4, float(seen.e_value.max()) * 3))
    axes.yaxis.set_major_formatter(_plain)
    axes.set_title("Evidence that the arms differ (e-value)")


def _quantiles(axes: Axes, compared: Comparison, spread: Spread) -> None:
    alpha = compared.settings.alpha
    places = np.array(_QUANTILES) * 100
    lowest = float(min(spread.control.min(), spread.treatment.min()))
    highest = float(max(spread.control.max(), spread.treatment.max()))
    for values, name, colour in (
        (spread.control, _short(compared.runs.control), CONTROL),
        (spread.treatment, _short(compared.runs.treatment), TREATMENT),
    ):
        found = [quantile(values, q, alpha) for q in _QUANTILES]
        estimate = np.array([i.estimate for i in found])
        low = np.array([i.low if isfinite(i.low) else lowest / 2 for i in found])  # open ends leave the frame
        high = np.array([i.high if isfinite(i.high) else highest * 2 for i in found])
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(places, estimate, color=colour, linewidth=2, marker="o", markersize=3.5, label=name)
    axes.set_yscale("log")
    axes.set_ylim(lowest / 1.15, highest * 1.15)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(_plain)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(
        f"{spread.name.capitalize()} of a run by percentile, each with its {100 - 100 * alpha:.4g} % interval"
    )
    axes.set_xlabel("percentile")
    axes.set_ylabel(spread.unit)
    axes.set_xticks([5, 10, 25, 50, 75, 90, 95, 99])
    axes.legend(loc="upper left")


def _plain(value: float, place: float) -> str:
    del place
    return f"{value:,.12g}"


def _short(name: str) -> str:
    # The end of a model's name often tells it from its neighbour, as the start does.
    longest = 36
    return name if len(name) <= longest else f"{name[: longest // 2]}...{name[-longest // 2 :]}"

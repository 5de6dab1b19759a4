"""Advice as one page that needs nothing else, and its plot as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from math import isfinite
from string import Template

from matplotlib.figure import Figure

from trimtab.cli.cost_advise_found import Advised
from trimtab.cli.cost_advise_table import HEADS, beaten_lines, rows, shown, success_of, unknown_lines, verdict
from trimtab.learn import plots
from trimtab.learn.advice_plot import Point, choices


def page(found: Advised) -> bytes:
    """Write the page."""
    template = Template((files("trimtab.learn") / "pages" / "advice.html").read_text("utf-8"))
    drawn = plots.svg(_drawn(found)).replace(
        "<svg ", '<svg role="img" aria-label="dollars a month against success" ', 1
    )
    return template.substitute(
        title=escape(f"advice for {found.environment}"),
        verdict=escape(verdict(found)),
        word="ship" if found.chosen else "stop",
        choices=_table(found),
        plot=drawn,
        unknown=_items("In no choice", beaten_lines(found)) + _items("Measure this next", unknown_lines(found)),
        warnings=_items("Warnings", found.warnings),
    ).encode()


def picture(found: Advised) -> bytes:
    """Write the plot as PNG."""
    return plots.png(_drawn(found))


def _drawn(found: Advised) -> Figure:
    known = isfinite(found.success.low)
    points: list[Point] = []
    for choice in shown(found):
        ends = success_of(found, choice) if known else (choice.gain, choice.low, choice.high)
        estimate, low, high = (100 * end for end in ends or (0.0, 0.0, 0.0))
        usd = float(found.usd + choice.usd)
        points.append(Point(usd, estimate, low, high, not choice.changes, choice is found.chosen))
    floor = float(found.asked.floor) * 100 if known and found.asked.floor is not None else None
    return choices(points, float(found.asked.cap), floor, "% of runs succeed" if known else "points of success gained")


def _table(found: Advised) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADS)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(found))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _items(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>" if items else ""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from trimtab.learn.comparison import Comparison, Settings, compare
from trimtab.learn.report import page, picture
from trimtab.learn.runs import Runs
from trimtab.learn.trace import trace

NASTY = "<script>alert('x')</script>&"


def comparison(*, paired: bool, n: int = 120, treatment: str = "new", values: bool = True) -> Comparison:
    rng = np.random.default_rng(7)
    units = n if paired else 2 * n
    unit = np.tile(np.arange(n), 2) if paired else np.arange(2 * n)
    treated = np.arange(2 * n) >= n if paired else np.arange(2 * n) % 2 == 1
    success = rng.random(2 * n) < np.where(treated, 0.95, 0.7)
    spent = rng.lognormal(0, 1, 2 * n) if values else None
    names = [f"u{place}" for place in range(units)]
    chances = None if paired else np.full(2 * n, 0.5)
    return compare(
        Runs(
            "old",
            treatment,
            names,
            unit,
            treated,
            success.astype(np.int8),
            spent,
            spent,
            chances,
            {},
            ordered=True,
            warnings=[NASTY],
        ),
        Settings(),
    )


@pytest.fixture(scope="module", params=[True, False], ids=["paired", "unpaired"])
def compared(request):
    return comparison(paired=request.param, treatment=NASTY)


def test_the_page_needs_nothing_else(compared):
    text = page(compared).decode()
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\((?!#)|src=", text)
    links = re.findall(r'(?:href|xlink:href)="([^"]*)"', text)
    assert all(link.startswith("#") for link in links)
    assert "prefers-color-scheme: dark" in text
    assert "$" not in re.sub(r"\$[\d.]+", "", re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL))


def test_the_page_shows_verdict_figures_plots_and_arithmetic(compared):
    text = page(compared).decode()
    assert f"<b>{compared.verdict.verdict}</b>" in text
    assert text.count("<svg ") == 3
    for part in ("interval and e-value over time", "latency by percentile", "cost by percentile", "p = ", "alpha 0.05"):
        assert part in text
    assert ("Fixed and broken" in text) == (compared.discordance is not None)
    assert NASTY not in text
    assert "&lt;script&gt;" in text


def test_the_drawings_are_whole_and_take_the_ink_of_the_page(compared):
    for drawing in re.findall(r"<svg .*?</svg>", page(compared).decode(), flags=re.DOTALL):
        assert ET.fromstring(drawing).tag.endswith("svg")
        assert "currentColor" in drawing
        assert "#24292f" not in drawing


def test_the_same_comparison_gives_the_same_page(compared):
    assert page(compared) == page(compared)


def test_the_picture_is_a_picture(compared):
    assert picture(compared).startswith(b"\x89PNG\r\n")


def test_the_smallest_comparison_can_be_drawn():
    tiny = comparison(paired=True, n=1, values=False)
    assert b"<svg " in page(tiny)
    assert picture(tiny).startswith(b"\x89PNG")


def test_what_is_seen_over_time_ends_where_the_comparison_is(compared):
    seen = trace(compared)
    assert seen.what == ("pairs" if compared.discordance else "runs")
    assert seen.at[-1] == (compared.n_pairs if compared.discordance else sum(compared.n))
    assert seen.estimate[-1] == pytest.approx(compared.effect.interval.estimate)
    assert (seen.low[-1], seen.high[-1]) == (
        pytest.approx(compared.effect.interval.low),
        pytest.approx(compared.effect.interval.high),
    )
    assert seen.e_value[-1] == pytest.approx(compared.effect.e_value)
    assert len(seen.at) == len(seen.estimate) == len(seen.e_value)

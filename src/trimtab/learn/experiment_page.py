"""An experiment as one page that needs nothing else, and as a picture: the template and the plots of a comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from html import escape
from importlib.resources import files
from math import inf, nan
from string import Template

import numpy as np
from matplotlib.figure import Figure

from trimtab.core.errors import UsageError
from trimtab.learn import plots
from trimtab.learn.comparison import Comparison, Settings, compare
from trimtab.learn.measure import Measured, Readout, treated_in
from trimtab.learn.runs import Runs
from trimtab.learn.standing import HEADS, arithmetic, lines


def page(measured: Measured, minutes_per_ask: float) -> bytes:
    """Write the page: verdict, every metric, plots and arithmetic; of a factorial experiment, for each role."""
    template = Template((files("trimtab.learn") / "pages" / "comparison.html").read_text("utf-8"))
    first, spec = measured.readouts[0], measured.spec
    parts = [_part(measured, readout) for readout in measured.readouts]
    told = {line: None for readout in measured.readouts for line in arithmetic(measured, readout, minutes_per_ask)}
    alarms = [alarm for readout in measured.readouts for alarm in readout.verdict.alarms]
    return template.substitute(
        title=escape(f"{first.verdict.verdict}: experiment {spec.name}"),
        treatment=escape(f"{spec.name}, {spec.environment}"),
        control=escape("what the policy says" if spec.factors else spec.control),
        word=first.verdict.verdict,
        reason=escape(first.verdict.reason if len(parts) == 1 else f"{first.role}: {first.verdict.reason}"),
        measures=_metrics(first),
        fourfold="".join(_other(readout) for readout in measured.readouts[1:]),
        plots="\n".join(parts),
        arithmetic=_items(told),
        warnings=f"<h2>Alarms</h2>\n<ul>{_items(alarms)}</ul>" if alarms else "",
    ).encode()


def picture(measured: Measured) -> bytes:
    """Write the plots as PNG; of a factorial experiment, those of its first role."""
    return plots.png(plots.everything(_compared(measured, measured.readouts[0])))


def _part(measured: Measured, readout: Readout) -> str:
    compared = _compared(measured, readout)
    of = f" ({readout.role})" if readout.role else ""
    drawn = [_figure(f"interval and e-value over time{of}", plots.over_time(compared))]
    drawn += [_figure(f"{s.name} by percentile{of}", plots.quantiles(compared, s)) for s in plots.spreads(compared)]
    return (f"<h3>{escape(readout.role)}</h3>" if readout.role else "") + "\n".join(drawn)


def _other(readout: Readout) -> str:
    verdict = readout.verdict
    said = f"<p><b>{verdict.verdict}</b>: {escape(verdict.reason)}</p>"
    return f'<h2>{escape(readout.role)}</h2>{said}<div class="scroll">{_metrics(readout)}</div>'


def _metrics(readout: Readout) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line.cells) + "</tr>" for line in lines(readout)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _compared(measured: Measured, readout: Readout) -> Comparison:
    """Give the same runs as a comparison that can be drawn; the verdict stays the experiment's own."""
    outcomes, spec = measured.cohort.counted, measured.spec
    if not all(readout.runs):
        raise UsageError(
            f"experiment {spec.name!r} has {readout.runs[0]} runs of control and {readout.runs[1]} of treatment: nothing to draw",
            hint=f"trimtab experiment status {spec.name}",
        )
    is_treated = treated_in(spec, readout.role)
    runs = Runs(
        control=spec.control if not readout.role else f"{readout.role} as before",
        treatment=readout.role or next(arm for arm in spec.arms if arm != spec.control),
        units=[o.run_id for o in outcomes],
        unit=np.arange(len(outcomes), dtype=np.int64),
        treated=np.array([is_treated(o.arm) for o in outcomes], dtype=np.bool_),
        success=np.array([o.success for o in outcomes], dtype=np.int8),
        cost=np.array([nan if o.usd is None else o.usd for o in outcomes], dtype=np.float64),
        # What never ended has no place on an axis of seconds.
        latency=np.array([nan if o.latency_s == inf else o.latency_s for o in outcomes], dtype=np.float64),
        propensity=np.array([o.weight for o in outcomes], dtype=np.float64),
        must_not={},
        ordered=True,
        warnings=[],
    )
    return replace(compare(runs, Settings(alpha=measured.alpha, paired=False)), verdict=readout.verdict)


def _figure(what: str, figure: Figure) -> str:
    drawn = plots.svg(figure).replace("<svg ", f'<svg role="img" aria-label="{escape(what)}" ', 1)
    return f"<figure>{drawn}</figure>"


def _items(told: Iterable[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in told)

"""A comparison as one page that needs nothing else, and as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

from matplotlib.figure import Figure

from trimtab.learn import plots
from trimtab.learn.comparison import Comparison
from trimtab.learn.wording import arithmetic, measures


def page(compared: Comparison) -> bytes:
    """Write the page: verdict, table of measures, fixed and broken, plots, arithmetic and warnings; no script, no link."""
    template = Template((files("trimtab.learn") / "pages" / "comparison.html").read_text("utf-8"))
    runs, verdict = compared.runs, compared.verdict
    drawn = [_figure("interval and e-value over time", plots.over_time(compared))]
    drawn += [_figure(f"{s.name} by percentile", plots.quantiles(compared, s)) for s in plots.spreads(compared)]
    return template.substitute(
        title=escape(f"{verdict.verdict}: {runs.treatment} against {runs.control}"),
        control=escape(runs.control),
        treatment=escape(runs.treatment),
        word=verdict.verdict,
        reason=escape(verdict.reason),
        measures=_measures(compared),
        fourfold=_fourfold(compared),
        plots="\n".join(drawn),
        arithmetic=_items(arithmetic(compared)),
        warnings=f"<h2>To know</h2>\n<ul>{_items(compared.warnings)}</ul>" if compared.warnings else "",
    ).encode()


def picture(compared: Comparison) -> bytes:
    """Write the plots as PNG."""
    return plots.png(plots.everything(compared))


def _measures(compared: Comparison) -> str:
    heads = (
        "",
        f"{compared.runs.control} (control)",
        f"{compared.runs.treatment} (treatment)",
        "change",
        "interval",
        "e-value",
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for cells in ((m.name, m.control, m.treatment, m.change, m.interval, m.e_value) for m in measures(compared))
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _fourfold(compared: Comparison) -> str:
    table = compared.discordance
    if table is None:
        return ""
    tied = f"<p>{table.tied} more are tied between success and failure in an arm.</p>" if table.tied else ""
    return f"""<h2>Fixed and broken, of {compared.n_pairs:,} pairs</h2>
<div class="scroll"><table class="fourfold">
<thead><tr><th></th><th>treatment right</th><th>treatment wrong</th></tr></thead>
<tbody><tr><th>control right</th><td>{table.both}</td><td class="broken">{table.broken}<small>broken</small></td></tr>
<tr><th>control wrong</th><td class="fixed">{table.fixed}<small>fixed</small></td><td>{table.neither}</td></tr></tbody>
</table></div>{tied}"""


def _figure(what: str, figure: Figure) -> str:
    drawn = plots.svg(figure).replace("<svg ", f'<svg role="img" aria-label="{escape(what)}" ', 1)
    return f"<figure>{drawn}</figure>"


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)

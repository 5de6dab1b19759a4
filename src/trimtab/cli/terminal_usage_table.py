"""What the terminal used, on a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from trimtab.core.values import printable
from trimtab.terminal.index_fill import Filled
from trimtab.terminal.usage import Group, Span, Used

_NAME = 28
_MOST_ROWS = 40
_SHOWN = 5


def lines(used: Used, span: Span, folder: Path, filled: Filled, warnings: Sequence[str]) -> Iterator[str]:
    """Write the tables, the total, and what has to be known of them."""
    first, last = (f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}" for at in (span.since, span.until - 1))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    yield f"{folder}, {first} to {min(last, today)} (UTC)"
    if used.total.calls or used.total.prompts:
        yield ""
        yield from _tables(used)
    else:
        yield f"no calls in these days, in {filled.files:,} transcripts"
    yield from notes(used, filled, warnings)


def _tables(used: Used) -> Iterator[str]:
    shown = used.groups[-_MOST_ROWS:] if used.by == "day" else used.groups[:_MOST_ROWS]
    rows = [*shown, used.total]
    yield f"{used.by:<{_NAME}}{'calls':>7}{'input':>7}{'output':>8}{'read':>7}{'5m':>6}{'1h':>6}{'dollars':>11}"
    for group in rows:
        u = group.usage
        figures = f"{_short(u.input):>7}{_short(u.output):>8}{_short(u.cache_read):>7}{_short(u.cache_write_5m):>6}{_short(u.cache_write_1h):>6}"
        yield f"{_cut(group.name):<{_NAME}}{group.calls:>7,}{figures}{money(group):>11}"
    yield ""
    yield f"{used.by:<{_NAME}}{'sess.':>6}{'tasks':>6}{'prompts':>8}{'turns':>6}{'errors':>7}{'rework':>7}{'retry':>6}{'lost':>6}"
    for group in rows:
        turns = "" if group.turns_per_task is None else f"{group.turns_per_task:.1f}"
        lost = "" if group.lost_share is None else f"{group.lost_share:.1%}" if group.lost_share < 1 else "all"
        yield (
            f"{_cut(group.name):<{_NAME}}{len(group.sessions):>6,}{group.tasks:>6,}{group.prompts:>8,}{turns:>6}"
            f"{group.tool_errors:>7,}{group.reworks:>7,}{group.retries:>6,}{lost:>6}"
        )
    yield "turns are of a task; errors those of tools; lost is the share of dollars"
    if len(used.groups) > len(shown):
        yield f"... and {len(used.groups) - len(shown):,} more; all of them with --json"


def notes(used: Used, filled: Filled, warnings: Sequence[str]) -> Iterator[str]:
    """Say what the figures do not: warnings first."""
    yield ""
    for warning in [*warned(used, filled), *warnings]:
        yield f"warning: {warning}"
    total = used.total
    if total.lost_pico:
        by = sorted(total.lost_dollars.items(), key=_dearest)
        yield f"lost: {dollars(total.lost)} in iterations that ended without an answer"
        yield f"  {', '.join(f'{ending} {dollars(usd)}' for ending, usd in by)}"
    if total.unwritten:
        yield f"retries that left no row, found by the requests they repeated: {total.unwritten:,}"
    if used.told.calls:
        usd = "price unknown" if used.told.usd is None else dollars(used.told.usd)
        yield f"only telemetry tells of {used.told.calls:,} more calls ({usd}), not in these figures"
    if filled.gone:
        yield f"transcripts deleted by now, still counted: {filled.gone:,} (the terminal keeps 30 days)"
    if total.calls:
        yield f"versions: {', '.join(list(used.versions)[-_SHOWN:])}"


def warned(used: Used, filled: Filled) -> Iterator[str]:
    """Say what makes the figures less than they seem, or the sessions other than they should be."""
    if used.unpriced:
        yield f"NO KNOWN PRICE, so not in the dollars: {_counted(used.unpriced)}"
    if used.mismatches:
        yield f"answered by another model than asked for: {_counted(used.mismatches)}"
    if used.fallbacks:
        yield f"a fallback model took over: {_counted(used.fallbacks)}"
    if filled.bad_lines:
        yield f"lines that cannot be used, the rest is counted: {filled.bad_lines:,} in {_listed(filled.bad)}"
    if filled.shut:
        yield f"cannot be read, so not counted: {_listed(filled.shut)}"


def _listed(named: Sequence[str]) -> str:
    more = f"; and {len(named) - _SHOWN:,} more" if len(named) > _SHOWN else ""
    return "; ".join(map(printable, named[:_SHOWN])) + more


def money(group: Group) -> str:
    """Write a group's dollars: a lower bound where prices are not known, and unknown where none is."""
    if not group.unpriced:
        return dollars(group.usd_known)
    return f">={dollars(group.usd_known)}" if group.pico else "unknown"


def dollars(usd: Decimal) -> str:
    """Write dollars; small ones by hundredths of a cent."""
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.4f}"


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{printable(name) or 'no name'} {count:,}x" for name, count in list(counts.items())[:_SHOWN])
    return shown + (f", and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")


def _dearest(item: tuple[str, Decimal]) -> Decimal:
    return -item[1]


def _cut(name: str) -> str:
    """Fit a name: of a path the end tells most, of a session the beginning."""
    name = printable(name) or "(none)"
    if len(name) < _NAME:
        return name
    return f"...{name[-_NAME + 4 :]} " if "/" in name else f"{name[: _NAME - 5]}... "


def _short(count: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            value = count / size
            return f"{value:.0f}{letter}" if value >= 100 else f"{value:.1f}{letter}"  # noqa: PLR2004 - three digits
    return str(count)

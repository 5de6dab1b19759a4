"""What a gate says, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import expm1, isfinite
from typing import TYPE_CHECKING

from trimtab.core.values import Json
from trimtab.learn.decide import Scale
from trimtab.policy.rollout_spec import StageSpec

if TYPE_CHECKING:
    from trimtab.learn.gate import Now, Row

_UNITS: Mapping[Scale, str] = {"points": " points", "amount": "", "ratio": " %"}


@dataclass(frozen=True, slots=True)
class Pace:
    """Runs with an outcome (of them `treated`), how many come a second, and how many are missing before anything is shown."""

    counted: int
    treated: int
    rate: float
    now: datetime
    least: int


def harm(row: Row, level: float) -> str:
    """Say that a metric shows harm."""
    name, word = row.asked.metric.name, "goal worse" if row.asked.is_goal else "guardrail broken"
    evidence = f", e-value {_figure(row.e_value)} of the {row.needed:,.0f} needed" if row.e_value and row.needed else ""
    if row.effect is None:
        return f"{word}: {name}{evidence}"
    return f"{word}: {figures(row, level)}{evidence}"


def figures(row: Row, level: float) -> str:
    """Give a metric's effect, its interval and its limit."""
    assert row.effect is not None
    unit = _unit(row)
    found = f"{_bare(row.effect.estimate, row)}{unit}"
    ends = f"{100 * (1 - 2 * level):.4g} % interval {_bare(row.low, row)} to {_bare(row.high, row)}"
    ends = ends if isfinite(row.low) or isfinite(row.high) else "no interval yet"
    most = "at most" if row.asked.said else "at most (by default)"
    before = f" before {1 / row.asked.times:.4g} of the runs" if row.asked.times > 1 else ""
    return f"{row.asked.metric.name} {found} ({ends}), {most} {_bare(row.limit, row)}{unit} allowed{before}"


def broken(good: int, runs: int, hangs: int, usual: Sequence[int]) -> str:
    """Say that the new map does not work at all."""
    stuck = f" and {hangs:,} more hang" if hangs else ""
    before = f", where {usual[0] / usual[1]:.0%} do on the old map" if usual[1] else ""
    return f"the new map is broken: {good:,} of {runs:,} runs succeeded{stuck}{before}"


def hold(length: timedelta, until: datetime | None) -> str:
    """Say how long the hold lasts."""
    return f"its hold of {span(length)} lasts until {until:%Y-%m-%d %H:%M %Z}" if until else "its hold has not begun"


def no_traffic(stage: StageSpec, seen: Now) -> str:
    """Say that no run of the new map has an outcome."""
    under_way = len(seen.pending)
    if under_way:
        return f"no run on the new map in {stage.environment!r} has an outcome yet; {under_way:,} are under way"
    if sum(seen.drawn):
        return f"no run on the new map came to {stage.environment!r} yet: {sum(seen.drawn):,} runs since {seen.entered:%Y-%m-%d %H:%M %Z} were on the old one"
    return f"no traffic: no run came to {stage.environment!r} since {seen.entered:%Y-%m-%d %H:%M %Z}"


def behind(runs: int) -> str:
    """Say that runs which ended are not counted yet: the bets need them in the order of their assignment."""
    return f"{runs:,} {'run that has' if runs == 1 else 'runs that have'} ended {'waits' if runs == 1 else 'wait'} for one that was accepted before"


def mixed(drawn: tuple[int, int], weight: float, e_value: float) -> str:
    """Say that the arms did not get their shares."""
    share = drawn[1] / sum(drawn)
    return f"{share:.1%} of {sum(drawn):,} runs got the new map, not {weight:.4g} of them (e-value {_figure(e_value)}): the assignment is at fault, nothing can be shown"


def too_little(stage: StageSpec, why: str) -> str:
    """Say that there is nothing to compare with."""
    return f"nobody is beside a stage with all runs of {stage.environment!r}, and {why}; or promote it by hand"


def not_shown(rows: Sequence[Row], pace: Pace, level: float, environment: str) -> str:
    """Say which metrics are not shown to hold yet, and how many more runs would show it."""
    if pace.least > 0:
        return (
            f"an outcome of {pace.least} more {'run' if pace.least == 1 else 'runs'}: of fewer than 30 nothing is shown"
        )
    never = [row for row in rows if row.before and row.effect and row.stays is None and row.alike is None]
    parts = [_open(row, level) for row in rows if row not in never]
    parts += [_never(never, environment)] if never else []
    stays, alike = _most([row.stays for row in rows]), _most([row.alike for row in rows])
    most = min((found for found in (stays, alike) if found), default=None)
    if most is None:
        return "; ".join(parts)
    more, treated = (max(1, round((most - 1) * runs)) for runs in (pace.counted, pace.treated))
    of_which = f" ({treated:,} on the new map)" if pace.treated < pace.counted else ""
    provided = "if it stays so" if most == stays else "if the maps are alike"
    return f"{'; '.join(parts)}: {provided}, about {more:,} more runs{of_which} show it{_until(more, pace)}"


def _most(times: Sequence[float | None]) -> float | None:
    known = [found for found in times if found is not None]
    return max(known) if len(known) == len(times) else None


def _until(more: int, pace: Pace) -> str:
    if not pace.rate:
        return ""
    days = more / pace.rate / 86400
    if days > 3650:  # noqa: PLR2004  ten years
        return f", at the present {pace.rate * 86400:,.1f} a day in more than ten years"
    at = pace.now + timedelta(days=days)
    return f", at the present {pace.rate * 86400:,.0f} a day until {at:%Y-%m-%d %H:%M %Z}"


def _open(row: Row, level: float) -> str:
    name = row.asked.metric.name
    if row.unknown:
        return f"{name} is not known of {row.unknown:,} {'run' if row.unknown == 1 else 'runs'}"
    if row.effect is None:
        return f"{name} cannot be told: an arm has no run of which it is known"
    limit = f"{_bare(row.limit, row)}{_unit(row)}"
    end = row.low if row.asked.metric.more_is_better else row.high
    if row.stays is not None or row.alike is not None:
        still = f"{_bare(end, row)}{_unit(row)} ({100 * (1 - level):.4g} % sure)" if isfinite(end) else "anything"
        return f"{name} may still be {still}, at most {limit} is allowed"
    return f"{name} cannot be shown to stay within {limit} by a thousand times as many runs"


def _never(rows: Sequence[Row], environment: str) -> str:
    """Say that the runs before are what leaves it open, which no runs of the stage can mend."""
    names = " and ".join(f"{row.asked.metric.name} ({_bare(row.limit, row)}{_unit(row)})" for row in rows)
    return (
        f"no number of runs shows that {names} stay within their limits: {rows[0].before:,} runs before leave more open than that, "
        f"the drift of {environment!r} by itself included; a stage below 100 % could show it, or promote it by hand"
    )


def span(length: timedelta) -> str:
    """Write a time as the policy does."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def as_json(row: Row) -> Mapping[str, Json]:
    """Give the figures of a metric; a change of a ratio is relative (0.1: +10 %)."""
    found = row.effect
    return {
        "part": "goal" if row.asked.is_goal else "guardrail",
        "control": _known(found and found.control),
        "treatment": _known(found and found.treatment),
        "difference": _known(found and _plain(found.estimate, row)),
        "low": _known(_plain(row.low, row)),
        "high": _known(_plain(row.high, row)),
        "limit": _known(found and _plain(row.limit, row)),
        "scale": "relative" if row.asked.scale == "ratio" else "absolute",
        "limit_is_default": not row.asked.said,
        "e_value": _known(row.e_value),
        "needed": _known(row.needed),
        "drift": _known(found and found.drift**0.5),
        "shown": "harm" if row.broken else "holds" if row.holds else "nothing",
        "unknown": row.unknown,
    }


def _known(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _plain(value: float, row: Row) -> float:
    return expm1(min(value, 50.0)) if row.asked.scale == "ratio" else value


def _unit(row: Row) -> str:
    return " s" if row.asked.scale == "amount" and row.asked.metric.kind == "quantile" else _UNITS[row.asked.scale]


def _bare(value: float, row: Row) -> str:
    if not isfinite(value):
        return "unbounded"
    match row.asked.scale:
        case "points":
            return f"{value * 100:+.1f}"
        case "ratio":
            return f"{expm1(min(value, 50.0)) * 100:+.1f}"
        case "amount":
            return f"{value:+.3g}"


def _figure(e_value: float | None) -> str:
    value = e_value or 0.0
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"  # noqa: PLR2004  # no exponent where it can do without

"""What is wrong without any statistics to speak of: counted, held against a limit, said.

Other models than were asked for, prices that are not known, caps nearly used, runs that stand still, calls made again and again, and
no traffic where there used to be some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from trimtab.core.values import Json, printable
from trimtab.core.watched import Knowledge, Trouble, Watched
from trimtab.learn.watch_series import DAY, FORTNIGHT, WEEK, Series
from trimtab.learn.watch_spent import LEAST_DAYS
from trimtab.learn.watch_words import ago, calls, lasting, number_of_hour

STORM_CALLS = 20  # attempts beyond the first in an hour; fewer are mishaps
STORM_TIMES = 3.0
SILENT_RUNS = 20.0  # runs that should have come meanwhile
_LONGER = 2.0  # times the longest silence of the last fortnight: each that was told makes the next one have to last twice as long


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is wrong: see `[alerts]` of the policy."""

    spike: float = 3.0
    usd_per_hour: float | None = None
    usd_per_success: float | None = None
    retries: float = 0.2
    budget: float = 0.8
    standing: timedelta = timedelta(days=1)
    silence: timedelta = timedelta(hours=2)


def mismatches(watched: Watched) -> list[Trouble]:
    """Find answers that came from another model than was asked; one trouble for each pair of models."""
    return [
        Trouble(
            f"model_mismatch/{watched.environment}/{pair.requested}/{printable(pair.response)}",
            "error",
            f"{calls(pair.calls)} of {' and '.join(map(repr, pair.roles))} in {watched.environment} asked for {pair.requested} and "
            f"{'was' if pair.calls == 1 else 'were'} answered by {printable(pair.response)} in the last day",
            f"trimtab runs show {pair.run_id}",
            watched.now - timedelta(days=1),
            {
                "requested": pair.requested,
                "response": pair.response,
                "calls": pair.calls,
                "roles": pair.roles,
                "run_id": pair.run_id,
            },
        )
        for pair in watched.answered
    ]


def unknown_prices(watched: Watched) -> list[Trouble]:
    """Find models whose calls have no known price: what they cost is in no sum."""
    return [
        Trouble(
            f"unknown_price/{watched.environment}/{seen.model}",
            "warning",
            f"{calls(seen.calls)} to {seen.model} in {watched.environment} in the last day ({seen.tokens:,} tokens) "
            f"{'has' if seen.calls == 1 else 'have'} no known price: the cost is in no sum",
            f"trimtab models show {seen.model}",
            watched.now - timedelta(days=1),
            {"model": seen.model, "calls": seen.calls, "tokens": seen.tokens},
        )
        for seen in watched.unpriced
    ]


def nearly_used(watched: Watched, share: float) -> list[Trouble]:
    """Find caps that are used to `share` or more. One that is reached is an error: runs are paused."""
    return [
        Trouble(
            f"budget/{used.path}",
            "error" if used.share >= 1 else "warning",
            f"{used.path} = {used.amount} is used to {used.share:.0%} ({used.used:f})"
            + (f" by run {used.run_id}" if used.run_id else " today (UTC)"),
            "trimtab budgets",
            watched.now,
            {
                "cap": used.path,
                "amount": str(used.amount),
                "used": str(used.used),
                "share": round(used.share, 4),
                "run_id": used.run_id,
            },
        )
        for used in watched.used
        if used.share >= share
    ]


def standing_long(watched: Watched, longest: timedelta) -> list[Trouble]:
    """Find runs that wait for a person, a credential or a budget for longer than they should."""
    return [
        Trouble(
            f"standing/{watched.environment}/{standing.status}",
            "warning",
            f"{standing.runs:,} {'run stands' if standing.runs == 1 else 'runs stand'} as {standing.status} in "
            f"{watched.environment} for more than {lasting(longest)}, the longest for {lasting(watched.now - standing.since)}",
            f"trimtab runs list --status {standing.status}",
            # One that comes to it while another is told of is new when that one has gone on.
            standing.since + longest,
            {
                "status": standing.status,
                "runs": standing.runs,
                "run_id": standing.run_id,
                "since": standing.since.isoformat(),
            },
        )
        for standing in watched.standing
        if watched.now - standing.since >= longest
    ]


def storms(watched: Watched, share: float) -> list[Trouble]:
    """Find an hour in which many calls were made again: more than `share` of them, and three times the usual."""
    hour, end = watched.hour, number_of_hour(watched.now)
    if hour.again < STORM_CALLS or hour.again < share * hour.calls:
        return []
    week = [h.spent for h in watched.hours if end - WEEK <= number_of_hour(h.at) < end - 1]
    usual = sum(s.again for s in week) / max(1, sum(s.calls for s in week))
    if hour.again < STORM_TIMES * usual * hour.calls:
        return []
    place = watched.environment
    what = (
        f"{hour.again:,} of {hour.calls:,} calls in {place} in the last hour were made again ({hour.again / hour.calls:.0%}; "
        f"usually {usual:.1%}), {hour.failed:,} had no answer"
    )
    evidence: Json = {"again": hour.again, "calls": hour.calls, "failed": hour.failed, "usual_share": round(usual, 4)}
    mend = f"trimtab cost report --by model --since 1d --environment {place}"
    return [Trouble(f"retry_storm/{place}", "error", what, mend, watched.now - timedelta(hours=1), evidence)]


def silence(watched: Watched, least: timedelta) -> list[Trouble]:
    """Find that nothing happens where something should.

    Told where every one of the last three days or more had traffic in each of the silent hours, at least 20 runs should have
    come meanwhile, and it has lasted twice as long as any silence of the last fortnight. So a record that falls silent by itself
    sets its own limit, and one whose silences do not become twice as long is told once.
    """
    runs, end = _runs(watched), number_of_hour(watched.now)
    if watched.traffic_at is None or runs.days(end) < LEAST_DAYS:
        return []
    silent = watched.now - watched.traffic_at
    quiet = range(number_of_hour(watched.traffic_at) + 1, end)
    days = range(1, min(7, runs.days(end)) + 1)
    awake = all(runs.amounts.get(hour - DAY * day, 0.0) for hour in quiet[-DAY:] for day in days)
    missed = sum(runs.seasonal(hour) for hour in quiet)
    if silent < least or not quiet or missed < SILENT_RUNS:
        return []
    # A gap of whole hours was up to two hours longer, and about one.
    longest = timedelta(hours=_longest_gap(runs.amounts, quiet) + 1)
    if silent < _LONGER * longest or (len(quiet) < DAY and not awake):
        return []
    place = watched.environment
    what = (
        f"nothing has happened in {place} for {lasting(silent)}, since {watched.traffic_at:%Y-%m-%d %H:%M} UTC; "
        f"about {missed:,.0f} runs usually come in that time"
    )
    evidence: Json = {"since": watched.traffic_at.isoformat(), "missed_runs": round(missed, 1)}
    return [Trouble(f"no_traffic/{place}", "error", what, "trimtab runs list", watched.traffic_at, evidence)]


def _longest_gap(runs: Mapping[int, float], quiet: Sequence[int]) -> int:
    """Give the most hours without a run, between two with, that are to be held against `quiet`, of the last fortnight.

    A night that is silent every night says nothing of the day: it counts where `quiet` comes within an hour of that time of day.
    """
    known = sorted(hour for hour in runs if quiet[0] - FORTNIGHT <= hour < quiet[0])
    around = {hour % DAY for hour in range(quiet[0] - 1, quiet[-1] + 2)}
    gaps = [
        later - earlier - 1
        for earlier, later in pairwise(known)
        if not all(runs.get(earlier + 1 - DAY * day, 0.0) == 0.0 for day in (1, 2))
        or not around.isdisjoint(hour % DAY for hour in range(earlier + 1, later))
    ]
    return max(gaps, default=0)


def knows_silence(watched: Watched) -> Knowledge:
    """Say from when on silence is told here and now."""
    place, name, runs, end = watched.environment, "no_traffic", _runs(watched), number_of_hour(watched.now)
    if runs.days(end) < LEAST_DAYS:
        what = f"{ago(runs.days(end))} known, it needs {LEAST_DAYS}"
        return Knowledge(name, place, ready=False, what=what)
    what = f"from {ago(runs.days(end))}: {runs.seasonal(end):,.0f} runs are usual in this hour"
    return Knowledge(name, place, ready=True, what=what)


def _runs(watched: Watched) -> Series:
    amounts = {number_of_hour(h.at): float(h.spent.runs or h.spent.calls) for h in watched.hours}
    return Series(amounts, min(amounts, default=number_of_hour(watched.now)))

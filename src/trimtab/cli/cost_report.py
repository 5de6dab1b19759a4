"""`trimtab cost report`: what was spent, on what, and what of it came to nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.options import find_store, json_option, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.journal.costs import Costs, Label, Period, Spent

_GROUPS = "role|model|arm|workflow|outcome|day|host"


@click.command()
@click.option("--by", multiple=True, metavar=_GROUPS, help="What to group by; several with commas, or given again.")
@click.option("--since", metavar="7d|DATE", help="From this UTC day on: a date, or the last days, today among them.")
@click.option("--until", metavar="DATE", help="Up to this UTC day, itself among them.")
@click.option("--environment", metavar="NAME", help="Only runs of this environment.")
@policy_option
@store_option
@json_option
def report(
    by: Sequence[str],
    since: str | None,
    until: str | None,
    environment: str | None,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show what model calls cost: in all, for each run that succeeded, and what of it came to nothing.

    Dollars are those written with each call, at the prices of the day its run was accepted. Wasted are the dollars of runs that
    failed, of attempts whose answer was not used (retried), and of what was cancelled or replaced by another plan (abandoned);
    no dollar is in two of these. A call without a known price is counted, and makes dollars a lower bound (>=).
    """
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal

    groups = list(dict.fromkeys(name.strip() for given in by for name in given.split(",")))
    period = _period(since, until, datetime.now(UTC).date())
    with Journal(find_store(store, policy_file)) as journal:
        real, simulated = journal.costs(groups, period=period, environment=environment)
        if environment is not None and not (real.groups or simulated.groups):
            _known(environment, journal.environments())
        first, last = journal.days()
    told: dict[str, Any] = {
        "by": groups,
        "since": period.since,
        "until": period.until,
        "environment": environment,
        "warnings": [*warnings(real), *warnings(simulated)],
        **_section(groups, real),
        "simulated": _section(groups, simulated),
    }
    if as_json:
        print_json(told)
        return
    from trimtab.cli.cost_report_table import print_report

    print_report(told, first, last)


def _period(since: str | None, until: str | None, today: date) -> Period:
    from trimtab.journal.costs import Period

    first, last = _day("--since", since, today), _day("--until", until, today)
    if first is not None and first > today:
        raise UsageError(f"--since is {first}, and today is {today} (UTC)", hint="give a day that has come")
    if first is not None and last is not None and last < first:
        raise UsageError(f"--until is {last}, before --since, which is {first}", hint="swap the two")
    return Period(first, last)


def _day(option: str, text: str | None, today: date) -> date | None:
    if text is None:
        return None
    if (days := re.fullmatch(r"0*([1-9]\d{0,8})d", text)) is not None and option == "--since":
        return date.fromordinal(max(today.toordinal() - int(days[1]) + 1, 1))
    try:
        return date.fromisoformat(text)
    except ValueError:
        expected = "a day such as 2026-11-23" + (", or the last days, as 7d" if option == "--since" else "")
        raise UsageError(f"{option} is {text!r}, expected {expected}", hint="days are UTC") from None


def _known(environment: str, there: Sequence[str]) -> None:
    if environment not in there:
        listed = ", ".join(there) or "none: it has no runs"
        raise UsageError(f"no run of the store is of environment {environment!r}", hint=f"there is {listed}")


def _section(by: Sequence[str], costs: Costs) -> dict[str, Any]:
    return {
        "total": figures(costs.total),
        "groups": [_names(by, label) | figures(spent) for label, spent in _ordered(by, costs.groups)],
    }


def _ordered(by: Sequence[str], groups: Mapping[Label, Spent]) -> list[tuple[Label, Spent]]:
    """Put what costs most first; by days, the days in their order."""
    dearest = sorted(groups.items(), key=lambda group: (-group[1].usd, -group[1].calls, group[0]))
    return sorted(dearest, key=lambda group: group[0][by.index("day")]) if "day" in by else dearest


def _names(by: Sequence[str], label: Label) -> dict[str, str | None]:
    return {name: value or None for name, value in zip(by, label, strict=True)}


def figures(spent: Spent) -> dict[str, Any]:
    """Give the figures of a group; None is what is not known, and `usd_known` is without the calls of no known price."""
    usage, unknown = spent.usage, spent.unpriced > 0
    return {
        "runs": spent.runs,
        "successful_runs": spent.succeeded,
        "calls": spent.calls,
        "unpriced_calls": spent.unpriced,
        "tokens": {
            "input": usage.input,
            "output": usage.output,
            "cache_read": usage.cache_read,
            "cache_write_5m": usage.cache_write_5m,
            "cache_write_1h": usage.cache_write_1h,
        },
        "usd": None if unknown else spent.usd,
        "usd_known": spent.usd,
        "usd_per_success": None if unknown else spent.usd_per_success,
        "usd_per_success_known": spent.usd_per_success,
        "share_wasted": spent.share_wasted,
        "usd_wasted": spent.wasted,
        "usd_failed": spent.failed,
        "usd_retried": spent.retried,
        "usd_abandoned": spent.abandoned,
        "usd_cache_saved": None if unknown or spent.saved_unknown else spent.cache_saved,
        "usd_cache_saved_known": spent.cache_saved,
    }


def warnings(costs: Costs) -> list[str]:
    """Say what the figures do not hold."""
    total, said = costs.total, list[str]()
    if total.unpriced:
        said.append(
            f"{total.unpriced:,} of {total.calls:,} calls have no known price: dollars are at least what is shown "
            "(trimtab models check)"
        )
    if total.saved_unknown:
        said.append(
            f"what the cache saved is not known of {total.saved_unknown:,} calls, which were written by an older trimtab"
        )
    if sum(spent.calls for spent in costs.groups.values()) > total.calls:
        said.append("runs in several experiments are in the group of each: groups add up to more than the total")
    return said

"""How long an experiment would take, at a site's own traffic, before it is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import console
from trimtab.core.errors import UsageError
from trimtab.policy.spec import ExperimentSpec, Policy, RoleSpec

LOOK_BACK = timedelta(days=30)
HORIZON = timedelta(days=30)
DIFFERENCES = (0.02, 0.03, 0.05, 0.1, 0.15)
STREAMS = 400
MOST = 50_000


@dataclass(frozen=True, slots=True)
class Line:
    """What it takes to see a difference of so much success (0.05: five points): runs and days, None for never."""

    difference: float
    runs: tuple[int | None, int | None, int | None]
    days: tuple[float | None, float | None, float | None]
    within: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The table, and what it rests on. `source` says where traffic and base rate come from."""

    name: str
    goal: str
    runs_per_day: float
    base: float
    source: str
    weight: float
    alpha: float
    horizon_days: float
    lines: tuple[Line, ...]
    replay: str

    @property
    def hopeless(self) -> bool:
        """Whether nothing on the list would be found within the horizon in four of five experiments."""
        return not any(line.within for line in self.lines)

    def json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {**asdict(self), "hopeless": self.hopeless}


def make_plan(
    policy: Policy, spec: ExperimentSpec, store: Path, runs_per_day: float | None, base: float | None, alpha: float
) -> Plan:
    """Plan an experiment. Raises UsageError where neither the store nor the options say what traffic there is."""
    from trimtab.learn.decide import share

    source = "as given"
    if runs_per_day is None or base is None:
        seen_a_day, seen_base, count = _traffic(spec, store)
        runs_per_day, base = runs_per_day or seen_a_day, seen_base if base is None else base
        source = f"{count:,} runs accepted in {spec.environment} within the last 30 days"
    if not 0 < base < 1:
        raise UsageError(
            f"{base * 100:.4g} % of runs succeed: nothing can be planned from that",
            hint="say what you expect with --base PCT, over 0 and under 100",
        )
    each = share(alpha / max(1, len(spec.factors)), len(spec.guardrails)).goal
    horizon = spec.horizon or HORIZON
    lines = tuple(_lines(spec, base, each, runs_per_day, horizon / timedelta(days=1)))
    return Plan(
        name=spec.name,
        goal=spec.goal,
        runs_per_day=runs_per_day,
        base=base,
        source=source,
        weight=spec.weight,
        alpha=each,
        horizon_days=horizon / timedelta(days=1),
        lines=lines,
        replay=_replay(policy, spec),
    )


def _traffic(spec: ExperimentSpec, store: Path) -> tuple[float, float, int]:
    from trimtab.journal.reader import Journal

    now = datetime.now(UTC)
    runs = []
    if store.exists():
        with Journal(store) as journal:
            runs = journal.measures(since=now - LOOK_BACK, environment=spec.environment)
    if not runs:
        raise UsageError(
            f"{str(store)!r} has no run accepted in {spec.environment} within the last 30 days to plan from",
            hint="say what you expect: --runs-per-day 20 --base 80",
        )
    # A site that began last week has had its traffic for a week.
    days = max((now - runs[0].accepted) / timedelta(days=1), 1.0)
    stood = [run for run in runs if run.settled is not None] or runs
    return len(runs) / days, sum(run.success for run in stood) / len(stood), len(runs)


def _lines(spec: ExperimentSpec, base: float, alpha: float, runs_per_day: float, horizon: float) -> Iterator[Line]:
    from trimtab.learn.planning import runs_to_verdict

    for difference in DIFFERENCES:
        if base + difference >= 1:
            continue
        told = runs_to_verdict(base, base + difference, spec.weight, alpha, most=MOST, streams=STREAMS)
        found = [quantile if isfinite(quantile) else None for quantile in (told.p50, told.p80, told.p90)]
        runs = [None if q is None else round(q) for q in found]
        days = [None if q is None else q / runs_per_day for q in found]
        within = days[1] is not None and days[1] <= horizon
        yield Line(difference, (runs[0], runs[1], runs[2]), (days[0], days[1], days[2]), within)


def _replay(policy: Policy, spec: ExperimentSpec) -> str:
    changes: Mapping[str, RoleSpec] = spec.factors or next(c for arm, c in spec.arms.items() if arm != spec.control)
    named = [f"--set {role}={entry.model}" for role, entry in sorted(changes.items()) if entry.model]
    where = "" if policy.source == "trimtab.toml" else f" --policy {policy.source}"
    return " ".join(["trimtab replay", *named]) + f" --over last-30d{where}"


def print_plan(plan: Plan) -> None:
    """Print the table and what follows from it."""
    out = console()
    out.print(
        f"[bold]{escape(plan.name)}[/]: {plan.runs_per_day:,.4g} runs a day, {plan.base:.1%} succeed ({escape(plan.source)}); "
        f"treatment for {plan.weight * 100:.4g} %, alpha {plan.alpha:.3g} for the goal",
        soft_wrap=True,
    )
    if plan.goal != "decomposition_success":
        out.print(f"planned for decomposition_success; how {plan.goal} spreads is only known from runs", style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("to see", "runs p50", "p80", "p90", "days p50", "p80", "p90", f"within {plan.horizon_days:g} d"):
        table.add_column(name, justify="right")
    for line in plan.lines:
        runs = [f"over {MOST:,}" if count is None else f"{count:,}" for count in line.runs]
        days = ["-" if count is None else f"{count:,.1f}" for count in line.days]
        table.add_row(
            f"{line.difference * 100:+.0f} points", *runs, *days, "[green]yes[/]" if line.within else "[red]no[/]"
        )
    out.print(table)
    least = next((line.difference for line in plan.lines if line.within), None)
    if least is None:
        out.print(
            f"[bold red]hopeless[/]: within {plan.horizon_days:g} days no difference on this list would be found in four of five experiments.",
            soft_wrap=True,
        )
        out.print(f"Replay the requests you have on both maps instead: {escape(plan.replay)}", soft_wrap=True)
    else:
        out.print(
            f"Within {plan.horizon_days:g} days a difference of {least * 100:.0f} points or more is found in four of five experiments. "
            f"For smaller ones: {escape(plan.replay)}",
            soft_wrap=True,
        )

"""Tasks before and after a day: did it take fewer iterations? Joins the terminal's tasks with the statistics of `learn`.

The unit is the task (`terminal.usage_tasks`); tasks of one project on one day are alike and count as one cluster. Means are adjusted to
one mix of projects: within each project that worked in both periods, tasks weigh so that both periods have its tasks in the same
proportion (post-stratification; Holt and Smith, JRSS A 142, 1979). Around the difference stands a confidence sequence
(`learn.contrast`), at a fifth of 5 % for each of the five measures, so that all five hold together, however often one looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from trimtab.cli.options import needs_extra
from trimtab.core.values import printable
from trimtab.terminal.usage_tasks import Task

if TYPE_CHECKING:
    from trimtab.learn.contrast import Arms

_ALPHA = 0.05
_FEWEST_CLUSTERS = 10  # in each period
_LARGE_SHIFT = 0.1  # of a share, worth telling
_MEASURES: Mapping[str, Callable[[Task], float | None]] = {
    "prompts": lambda task: task.prompts,
    "turns": lambda task: task.turns,
    "tool errors": lambda task: task.total("tool_error"),
    "reworks": lambda task: task.reworks,
    "dollars": lambda task: task.usd,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean per task before and after, adjusted, and the difference; `low` and `high` None: too little for an interval."""

    name: str
    before: float
    after: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def told(self) -> str:
        """What may be said: fewer, more, or nothing."""
        if self.low is None or self.high is None:
            return "too few"
        return "fewer" if self.high < 0 else "more" if self.low > 0 else "not shown"


@dataclass(frozen=True, slots=True)
class Compared:
    """Before and after `at`. `tasks` and `clusters` are (before, after); `unknown` are measures that cannot be told, and why."""

    at: date
    tasks: tuple[int, int]
    clusters: tuple[int, int]
    measures: Sequence[Measure]
    unknown: Mapping[str, str]
    changes: Sequence[str]

    def lines(self) -> Iterator[str]:
        """Write it for a person."""
        yield f"before and after {self.at}: {self.tasks[0]:,} and {self.tasks[1]:,} tasks"
        yield f"{'per task':<14}{'before':>9}{'after':>9}{'change':>9}   {'99 % interval':<20}"
        for m in self.measures:
            interval = "" if m.low is None or m.high is None else f"{m.low:+.3g} to {m.high:+.3g}"
            yield f"{m.name:<14}{m.before:>9.3g}{m.after:>9.3g}{m.difference:>+9.3g}   {interval:<20} {m.told}"
        for name, why in self.unknown.items():
            yield f"{name:<14}unknown: {why}"
        yield ""
        yield self.answer
        yield "This is before and after, not a randomised comparison: whatever else changed then is in it."
        yield from (f"- {change}" for change in self.changes)

    @property
    def answer(self) -> str:
        """Say whether it took fewer iterations, in a sentence."""
        cycles = next((m for m in self.measures if m.name == "prompts"), None)
        if cycles is None or cycles.told == "too few":
            return (
                f"Iteration cycles: cannot be said. Tasks of the same project and day count once; that leaves {self.clusters[0]} "
                f"and {self.clusters[1]}, at least {_FEWEST_CLUSTERS} of each and 30 in all are needed."
            )
        if cycles.told == "not shown":
            return "Iteration cycles: no difference is shown; the interval holds both fewer and more prompts per task."
        return f"Iteration cycles: tasks took {cycles.told} prompts after that day."

    def json(self) -> dict[str, Any]:
        """Give everything under its name."""
        return {
            "at": self.at.isoformat(),
            "tasks_before": self.tasks[0],
            "tasks_after": self.tasks[1],
            "clusters_before": self.clusters[0],
            "clusters_after": self.clusters[1],
            "measures": {m.name.replace(" ", "_"): _measure_json(m) for m in self.measures},
            "unknown": dict(self.unknown),
            "answer": self.answer,
            "randomised": False,
            "changes": list(self.changes),
        }


def compare(tasks: Sequence[Task], at: date, now: datetime) -> Compared:
    """Compare the tasks that ended before a UTC day with those begun from it on; those at work across it are left out."""
    try:
        from trimtab.learn.contrast import FEW_UNITS
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "`--compare-at`") from missing
    cut = int(datetime(at.year, at.month, at.day, tzinfo=UTC).timestamp() * 1000)
    now_ms = int(now.timestamp() * 1000)
    done = [t for t in tasks if t.iterations[-1].ending(now_ms) != "running"]
    kept = [t for t in done if not t.first.began < cut <= t.ended]
    before, after = [t for t in kept if t.first.began < cut], [t for t in kept if t.first.began >= cut]
    adjusted, changes = _shared(before, after)
    changes = [*_left_out(tasks, done, kept), *changes, *_changed(before, after)]
    clusters = tuple(len({_cluster(t) for t in period}) for period in adjusted)
    enough = min(clusters) >= _FEWEST_CLUSTERS and sum(clusters) >= FEW_UNITS
    measures: list[Measure] = []
    unknown: dict[str, str] = {}
    for name, of in _MEASURES.items():
        values = [[of(task) for task in period] for period in adjusted]
        if any(value is None for period in values for value in period):
            unknown[name] = "calls without a known price are among them"
        elif all(values):
            measures.append(_measure(name, adjusted, [v for p in values for v in p if v is not None], enough=enough))
    return Compared(at, (len(before), len(after)), (clusters[0], clusters[1]), measures, unknown, changes)


def _measure(name: str, periods: tuple[list[Task], list[Task]], values: list[float], *, enough: bool) -> Measure:
    import numpy as np

    from trimtab.learn.contrast import difference

    arms, found = _arms(periods), np.array(values, dtype=np.float64)
    weighed = [float(np.average(found[arms.treated == arm], weights=arms.weight[arms.treated == arm])) for arm in (False, True)]  # fmt: skip
    contrast = difference(arms, found) if enough else None
    if contrast is None:
        return Measure(name, weighed[0], weighed[1], None, None)
    interval = contrast.sequence(_ALPHA / len(_MEASURES))
    # Where all clusters are alike the spread is 0, which is no certainty: nothing is said.
    told = (interval.low, interval.high) if interval.high > interval.low else (None, None)
    return Measure(name, weighed[0], weighed[1], *told)


def _arms(periods: tuple[list[Task], list[Task]]) -> Arms:
    import numpy as np

    from trimtab.learn.contrast import Arms

    counts = [Counter(t.first.project for t in period) for period in periods]
    numbers = {cluster: n for n, cluster in enumerate(dict.fromkeys(_cluster(t) for p in periods for t in p))}
    rows = [
        (numbers[_cluster(t)], arm, (counts[0][t.first.project] + counts[1][t.first.project]) / counts[arm][t.first.project])
        for arm, period in enumerate(periods)
        for t in period
    ]  # fmt: skip
    unit, treated, weight = (np.array(column) for column in zip(*rows, strict=True))
    return Arms(unit.astype(np.int64), treated.astype(np.bool_), weight.astype(np.float64))


def _cluster(task: Task) -> tuple[str, date]:
    return task.first.project, datetime.fromtimestamp(task.first.began / 1000, UTC).date()


def _shared(before: list[Task], after: list[Task]) -> tuple[tuple[list[Task], list[Task]], list[str]]:
    """Keep the projects that worked in both periods; where there is none, all of them."""
    both = {t.first.project for t in before} & {t.first.project for t in after}
    if not both:
        told = ["no project worked in both periods: other work may be all the difference"] if before and after else []
        return ([], []) if told else (before, after), told
    kept = [[t for t in period if t.first.project in both] for period in (before, after)]
    left = len(before) + len(after) - len(kept[0]) - len(kept[1])
    told = [f"left out of the means, of projects that worked in one period only: {left:,}"] if left else []
    return (kept[0], kept[1]), told


def _left_out(tasks: Sequence[Task], done: Sequence[Task], kept: Sequence[Task]) -> Iterator[str]:
    if len(tasks) > len(done):
        yield f"left out, still at work: {len(tasks) - len(done):,}"
    if len(done) > len(kept):
        yield f"left out, at work across that day: {len(done) - len(kept):,}"


def _changed(before: list[Task], after: list[Task]) -> Iterator[str]:
    if not before or not after:
        yield f"there are no tasks {'after' if before else 'before'} that day in these days"
        return
    models = [_most(period, "model") for period in (before, after)]
    if models[0] == models[1]:
        yield f"the model of most tasks did not change: {models[0]}"
    for name, what in (
        ("model", "the model"),
        ("version", "the terminal's version"),
        ("project", "the mix of projects"),
    ):
        shares = [_shares(period, name) for period in (before, after)]
        shift = sum(abs(shares[0][value] - shares[1][value]) for value in {*shares[0], *shares[1]}) / 2
        if shift >= _LARGE_SHIFT:
            tail = (
                ", which is adjusted for"
                if name == "project"
                else f": most tasks {_most(before, name)}, then {_most(after, name)}"
            )
            yield f"{what} changed for {shift:.0%} of tasks{tail}"


def _shares(tasks: list[Task], name: str) -> Counter[str]:
    counts = Counter(str(getattr(t.first, name)) for t in tasks)
    return Counter({value: count / len(tasks) for value, count in counts.items()})  # pyright: ignore[reportReturnType, reportArgumentType] - shares


def _most(tasks: list[Task], name: str) -> str:
    value = _shares(tasks, name).most_common(1)[0][0]
    return printable(value) or "(none)"


def _measure_json(measure: Measure) -> dict[str, Any]:
    return {
        "before": measure.before,
        "after": measure.after,
        "difference": measure.difference,
        "interval": None if measure.low is None else [measure.low, measure.high],
        "told": measure.told,
    }

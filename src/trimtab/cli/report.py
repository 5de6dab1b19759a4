"""What a demo did: a line for every request, the sums, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.core.usage import add_costs

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.app import Run
    from trimtab.cli.example import Case, Example
    from trimtab.journal.lines import RunDetail

FAULTS_SHOWN = 2
_WIDE = 90


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the report."""

    id: str
    run_id: str
    status: str
    expected: str
    matched: bool
    must_not_hits: Sequence[str]
    misjudged: Sequence[str]
    stuck: bool
    subtasks: str
    retries: int
    tokens: int
    dollars: Decimal | None
    simulated: bool
    steps_run_twice: int
    why: str


@dataclass(slots=True)
class Demo:
    """One demonstration: what it runs on and where it keeps what it did."""

    example: Example
    cases: Sequence[Case]
    folder: Path
    profile: str
    seed: int
    pace: float
    model: str
    live: bool
    resumed: int = 0
    told: list[Told] = field(default_factory=list[Told])

    @property
    def store(self) -> Path:
        """The file with runs and facts."""
        return self.folder / "trimtab.db"

    @property
    def companies(self) -> Path:
        """The example's own stores, one company a request."""
        return self.folder / "companies"


def tell(made: Demo, runs: Sequence[Run[Any]], stuck: set[str]) -> None:
    """Look up, for every run, how it stands and how it scores."""
    from trimtab.journal.reader import Journal

    with Journal(made.store) as journal:
        for case, run in zip(made.cases, runs, strict=True):
            made.told.append(_line(made, case, journal.run(run.id), stuck=run.id in stuck))


def _line(made: Demo, case: Case, detail: RunDetail, *, stuck: bool) -> Told:
    line = detail.line
    plan = next((p.plan for p in reversed(detail.plans) if not p.faults), None)
    score = made.example.score(made.companies, case, line.status, plan)
    reason = detail.outcome.reason if detail.outcome and not score.matched else ""
    why = [*score.must_not_hits, *score.misjudged, *([reason] if reason else []), *_refusals(detail)]
    return Told(
        id=case.id,
        run_id=line.run_id,
        status=line.status,
        expected=case.expected_status,
        matched=score.matched,
        must_not_hits=score.must_not_hits,
        misjudged=score.misjudged,
        stuck=stuck,
        subtasks=f"{line.subtasks_done}/{line.subtasks_total}",
        retries=line.retries,
        tokens=line.tokens,
        dollars=line.cost,
        simulated=line.simulated,
        steps_run_twice=_run_twice(detail, made.example.tool_calls(made.companies, case)),
        why="; ".join(why),
    )


def _refusals(detail: RunDetail) -> list[str]:
    # A model that repeats a mistake is told of it once here.
    faults = [str(f) for plan in detail.plans if isinstance(plan.faults, list) for f in plan.faults]
    named = list(dict.fromkeys(faults))
    more = f" and {len(named) - FAULTS_SHOWN} more" if len(named) > FAULTS_SHOWN else ""
    refused = sum(bool(plan.faults) for plan in detail.plans)
    return (
        [f"{refused} plan{'s' if refused > 1 else ''} refused: {'; '.join(named[:FAULTS_SHOWN])}{more}"]
        if named
        else []
    )


def _run_twice(detail: RunDetail, entered: Sequence[tuple[str, datetime]]) -> int:
    # The example's store logs every call as it comes in: one that came after its step was journaled ran twice.
    # A model that asks the same thing again makes another step of it.
    journaled: dict[str, datetime] = {}
    for call in detail.tool_calls:
        if call.outcome not in ("held", "retry"):
            key = call.idempotency_key
            journaled[key] = max(call.at, journaled.get(key, call.at))
    return sum(key in journaled and at > journaled[key] for key, at in entered)


def report(made: Demo, seconds: float) -> dict[str, Any]:
    """Give the whole report as JSON."""
    return {
        "runs": len(made.told),
        "matched": sum(t.matched for t in made.told),
        "must_not_hits": [f"{t.id}: {hit}" for t in made.told for hit in t.must_not_hits],
        "misjudged": [f"{t.id}: {call}" for t in made.told for call in t.misjudged],
        "stuck": sum(t.stuck for t in made.told),
        "steps_run_twice": sum(t.steps_run_twice for t in made.told),
        "simulated": not made.live,
        "dollars": _dollars(made),
        "seconds": round(seconds, 3),
        "resumed": made.resumed,
        "profile": made.profile,
        "seed": made.seed,
        "store": str(made.store),
        "requests": [asdict(t) for t in made.told],
    }


def _dollars(made: Demo) -> Decimal | None:
    return add_costs(t.dollars for t in made.told)


def print_report(made: Demo, out: Console, seconds: float) -> None:
    """Print the table, the sums, and what went wrong."""
    from rich.markup import escape
    from rich.table import Table

    from trimtab.cli.show import SIMULATED, coloured, dollars

    table = Table(box=None, pad_edge=False, header_style="bold")
    # Where there is no room for it, what was expected stands with what went wrong.
    expected = ["expected"] if out.width >= _WIDE else []
    for name in ("request", "outcome", *expected, "", "subtasks", "retries", "tokens", "cost"):
        table.add_column(
            name, justify="right" if name in ("subtasks", "retries", "tokens", "cost") else "left", no_wrap=True
        )
    wrong = Table.grid(padding=(0, 2))
    for t in made.told:
        mark = "[green]ok[/]" if t.matched else "[red]no[/]"
        row = (
            t.id,
            coloured("stuck" if t.stuck else t.status),
            *([t.expected] if expected else []),
            mark,
            t.subtasks,
            str(t.retries),
            f"{t.tokens:,}",
        )
        table.add_row(*row, dollars(t.dollars))
        if t.why:
            mended = "mended" if t.matched else f"{t.status}, expected {t.expected}"
            wrong.add_row(t.id, mark, f"[dim]{mended}:[/] {escape(t.why)}")
    out.print(table)
    if wrong.row_count:
        out.print("\n[bold]what went wrong[/]")
        out.print(wrong)
    summary = report(made, seconds)
    tokens = sum(t.tokens for t in made.told)
    out.print(
        f"\n[bold]{summary['matched']} of {summary['runs']}[/] as expected, {len(summary['must_not_hits'])} forbidden things happened, "
        f"{len(summary['misjudged'])} misjudged, {summary['stuck']} stuck, {summary['steps_run_twice']} steps run twice"
    )
    resumed = f", {made.resumed} taken up from before" if made.resumed else ""
    out.print(f"{tokens:,} tokens, {dollars(_dollars(made))} at list prices, {seconds:.1f} s{resumed}")
    if not made.live:
        out.print(
            f"[yellow]{SIMULATED}[/] (profile {escape(made.profile)}, seed {made.seed}); latencies run at {made.pace:g} of real time"
        )
    out.print(f"look into one: trimtab runs show {made.told[0].id} --store {made.store}", soft_wrap=True)

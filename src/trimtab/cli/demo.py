"""`trimtab demo`: the charter example, whole, on this machine: requests in, durable runs out, scored."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option
from trimtab.core.errors import StoreLockedError, UsageError
from trimtab.core.values import digest

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.app import App, Run
    from trimtab.journal.lines import RunDetail
    from trimtab.run.workflow import Workflow

MODEL = "anthropic:claude-haiku-4-5"
PACE = 0.02
PATIENCE_SECONDS = 600
DONE_MARK = "finished"
FAULTS_SHOWN = 2


class Score(Protocol):
    """What an example says of one run."""

    @property
    def matched(self) -> bool:
        """Whether it ended as expected."""
        ...

    @property
    def must_not_hits(self) -> Sequence[str]:
        """Forbidden things that happened."""
        ...

    @property
    def misjudged(self) -> Sequence[str]:
        """Calls that should not have been made, which only a reader of the request can know."""
        ...


class Case(Protocol):
    """One request of an example with what is expected of it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def expected_status(self) -> str:
        """How its run should stand."""
        ...


class Example(Protocol):
    """What the demo needs of an example: its module `demo`."""

    def read_cases(self, path: Path | None) -> Sequence[Case]:
        """Read requests; None: the example's own. Raises UsageError with the line."""
        ...

    def answer_book(self, cases: Sequence[Case]) -> Sequence[Mapping[str, Any]]:
        """What simulated models answer to them."""
        ...

    def prepare(self, folder: Path, case: Case) -> Mapping[str, Any]:
        """Make the world of a request, unless it is there, and give the request as JSON."""
        ...

    def workflow(self, folder: Path) -> Workflow[Any, Any]:
        """The workflow, working on the worlds in a folder."""
        ...

    def score(self, folder: Path, case: Case, status: str, plan: Any) -> Score:
        """Hold the world after a run against what was expected."""
        ...

    def tool_calls(self, folder: Path, case: Case) -> Sequence[tuple[str, datetime]]:
        """Idempotency key and time of every tool call as it came in."""
        ...


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


@click.command()
@click.option(
    "--requests", metavar="FILE", help="Requests with what is expected of them, JSONL.  [default: the example's 30]"
)
@click.option(
    "--profile",
    default="perfect",
    show_default=True,
    metavar="NAME|FILE",
    help="How well the simulated models do: perfect, strong, weak.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same mistakes.")
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=PACE,
    show_default=True,
    help="Scales the simulated models' waiting; 1 is as slow as real ones.",
)
@click.option("--model", default=MODEL, show_default=True, help="The model that plays every role.")
@click.option("--live", is_flag=True, help="Ask the real provider, after saying what it will cost.")
@click.option("--yes", is_flag=True, help="Do not ask before spending money.")
@click.option("--dir", "folder", metavar="DIR", help="Where runs are kept; an unfinished demo there goes on.")
@json_option
def demo(
    requests: str | None,
    profile: str,
    seed: int,
    pace: float,
    model: str,
    live: bool,
    yes: bool,
    folder: str | None,
    as_json: bool,
) -> int:
    """Book charters: every request becomes a durable run on simulated models over real HTTP, and is scored.

    Stopped or killed, it goes on where it was when it is started again the same way.
    """
    from trimtab.cli.show import console, print_json

    example = load_example()
    cases = example.read_cases(Path(requests) if requests else None)
    kept = Path(folder) if folder else _state_folder(digest([profile, seed, model, live, [repr(c) for c in cases]]))
    made = Demo(example, cases, kept, "live" if live else profile, seed, pace, model, live)
    err = console(err=True)
    if live:
        _say_cost(made, err, yes=yes)
    began = time.monotonic()
    while True:
        try:
            asyncio.run(_play(made, err))
            break
        except StoreLockedError:
            if folder:
                raise
            # Another demo of this kind runs just now: this one gets a place of its own.
            made.folder = made.folder.with_name(f"{made.folder.name}-{os.getpid()}")
    seconds = time.monotonic() - began
    if as_json:
        print_json(_report(made, seconds))
    else:
        _print(made, console(), seconds)
    stuck = any(t.stuck for t in made.told)
    return NOT_FINE if stuck or any(t.must_not_hits for t in made.told) else FINE


def load_example() -> Example:
    """Import the charter example: beside the package in a wheel, at the root of a checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_examples", here.parents[3] / "examples"):
        if (folder / "charter").is_dir():
            sys.path.insert(0, str(folder))
            module: Any = importlib.import_module("charter.demo")
            return module
    raise UsageError("the example application is not installed", hint="reinstall trimtab")


def _state_folder(name: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "trimtab" / "demo" / name


async def _play(made: Demo, err: Console) -> None:
    from trimtab.app import run_id_of
    from trimtab.models.simulator import AnswerBook, Profile, Simulator

    if made.live:
        return await _work(made, "", err)
    name = made.example.workflow(made.companies).name
    entries = zip(made.cases, made.example.answer_book(made.cases), strict=True)
    # Each entry is for the run of its request: two requests may have one text and different worlds.
    book = AnswerBook.from_entries({**entry, "run": run_id_of(name, case.id)} for case, entry in entries)
    simulator = Simulator(book, Profile.load(made.profile), seed=made.seed, pace=made.pace)
    url = await simulator.start()
    try:
        await _work(made, f'[providers.anthropic]\nkind = "anthropic"\nbase_url = "{url}"\n', err)
    finally:
        await simulator.close()
    return None


async def _work(made: Demo, providers: str, err: Console) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from trimtab.app import App
    from trimtab.policy.load import parse

    _make_room(made)
    policy = parse(f'[roles]\ndefault = "{made.model}"\n{providers}', str(made.folder / "demo.toml"))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    async with App(made.example.workflow(made.companies), policy=policy, store=made.store) as app:
        made.resumed = app.engine.unfinished
        with bar:
            progress = bar.add_task("requests", total=len(made.cases))
            runs = [await _start(made, app, case) for case in made.cases]
            stuck = await _settle(runs, lambda: bar.advance(progress))
    _tell(made, runs, stuck)
    (made.folder / DONE_MARK).touch()


def _make_room(made: Demo) -> None:
    try:
        if (made.folder / DONE_MARK).exists() and not _in_use(made.store):
            shutil.rmtree(made.folder)
        made.companies.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{str(made.folder)!r} cannot be used: {error.strerror}", hint="name a folder you can write to with --dir"
        ) from None


def _in_use(store: Path) -> bool:
    from trimtab.engine.store import Lock

    lock = Lock(store)
    lock.take()
    lock.give_back()
    return False


async def _start(made: Demo, app: App, case: Case) -> Run[Any]:
    [name] = app.workflows
    request = await asyncio.to_thread(made.example.prepare, made.companies, case)
    return await app.start_json(name, request, case.id)


async def _settle(runs: Sequence[Run[Any]], advance: Any) -> set[str]:
    async def one(run: Run[Any]) -> None:
        await run.settled()
        advance()

    waiting = {asyncio.ensure_future(one(run)): run.id for run in runs}
    _, late = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS)
    for task in late:
        task.cancel()
    return {waiting[task] for task in late}


def _tell(made: Demo, runs: Sequence[Run[Any]], stuck: set[str]) -> None:
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
    journaled: dict[str, datetime] = {}
    for call in detail.tool_calls:
        if call.outcome not in ("held", "retry"):
            journaled.setdefault(call.idempotency_key, call.at)
    return sum(key in journaled and at > journaled[key] for key, at in entered)


def _report(made: Demo, seconds: float) -> dict[str, Any]:
    from dataclasses import asdict

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
    from trimtab.core.usage import add_costs

    return add_costs(t.dollars for t in made.told)


def _print(made: Demo, out: Console, seconds: float) -> None:
    from rich.markup import escape
    from rich.table import Table

    from trimtab.cli.show import SIMULATED, coloured, dollars

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("request", "outcome", "expected", "", "subtasks", "retries", "tokens", "cost"):
        table.add_column(
            name, justify="right" if name in ("subtasks", "retries", "tokens", "cost") else "left", no_wrap=True
        )
    wrong = Table.grid(padding=(0, 2))
    for t in made.told:
        mark = "[green]ok[/]" if t.matched else "[red]no[/]"
        row = (
            t.id,
            coloured("stuck" if t.stuck else t.status),
            t.expected,
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
    report = _report(made, seconds)
    tokens = sum(t.tokens for t in made.told)
    out.print(
        f"\n[bold]{report['matched']} of {report['runs']}[/] as expected, {len(report['must_not_hits'])} forbidden things happened, "
        f"{len(report['misjudged'])} misjudged, {report['stuck']} stuck, {report['steps_run_twice']} steps run twice"
    )
    resumed = f", {made.resumed} taken up from before" if made.resumed else ""
    out.print(f"{tokens:,} tokens, {dollars(_dollars(made))} at list prices, {seconds:.1f} s{resumed}")
    if not made.live:
        out.print(
            f"[yellow]{SIMULATED}[/] (profile {escape(made.profile)}, seed {made.seed}); latencies run at {made.pace:g} of real time"
        )
    out.print(f"look into one: trimtab runs show {made.told[0].id} --store {made.store}", soft_wrap=True)


def _say_cost(made: Demo, err: Console, *, yes: bool) -> None:
    from trimtab.cli.estimate import estimate

    told = estimate(made.example.workflow(made.companies), made.model, made.example.answer_book(made.cases))
    err.print(told.text)
    if not yes and not (sys.stdin.isatty() and click.confirm("Spend it?", err=True)):
        raise UsageError("nothing was asked and nothing was spent", hint="give --yes to go on")

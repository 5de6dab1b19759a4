"""`trimtab demo`: the charter example, whole, on this machine: requests in, durable runs out, scored."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.example import load_example
from trimtab.cli.options import json_option
from trimtab.cli.report import Demo, print_report, report, tell
from trimtab.core.errors import StoreLockedError, UsageError
from trimtab.core.values import digest

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.app import App, Run
    from trimtab.cli.example import Case

MODEL = "anthropic:claude-haiku-4-5"
PACE = 0.02
PATIENCE_SECONDS = 600
DONE_MARK = "finished"


@click.command()
@click.option(
    "--requests", metavar="FILE", help="Requests with what is expected of them, JSONL.  [default: the example's 30]"
)
@click.option(
    "--profile",
    default="perfect",
    show_default=True,
    metavar="NAME|FILE",
    help="How well the simulated models do: perfect, strong, weak, mixed, hostile.",
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
        print_json(report(made, seconds))
    else:
        print_report(made, console(), seconds)
    stuck = any(t.stuck for t in made.told)
    return NOT_FINE if stuck or any(t.must_not_hits for t in made.told) else FINE


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
    tell(made, runs, stuck)
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


def _say_cost(made: Demo, err: Console, *, yes: bool) -> None:
    from trimtab.cli.estimate import estimate

    told = estimate(made.example.workflow(made.companies), made.model, made.example.answer_book(made.cases))
    err.print(told.text)
    if not yes and not (sys.stdin.isatty() and click.confirm("Spend it?", err=True)):
        raise UsageError("nothing was asked and nothing was spent", hint="give --yes to go on")

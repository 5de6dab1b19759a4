"""`trimtab runs`: what ran, what runs, what waits, what stands half done."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.advice import Where, hint_worker
from trimtab.cli.lazy import Whole
from trimtab.cli.options import by_whom, find_store, json_option, policy_option, store_option
from trimtab.cli.resume import resume
from trimtab.core.errors import UsageError


@click.group(cls=Whole)
def runs() -> None:
    """List, show, resume and cancel runs."""


runs.add_command(resume)


@runs.command(name="list")
@click.option("--status", help="Only runs that stand so, `running` included.")
@click.option("--workflow", help="Only runs of this workflow.")
@click.option(
    "--half-done",
    "half_done",
    is_flag=True,
    help="Only runs that failed, were cancelled or need a person while something they wrote stands, with what to do; "
    "exit code 1 where there is any.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest first."
)
@policy_option
@store_option
@json_option
def list_runs(
    status: str | None,
    workflow: str | None,
    half_done: bool,
    limit: int,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """List runs, newest first."""
    from trimtab.cli.show import SIMULATED, console, print_json, runs_table
    from trimtab.journal.reader import Journal

    if half_done:
        if status or workflow:
            raise UsageError("--half-done lists all of them", hint="leave --status and --workflow out")
        return _list_half_done(limit, policy_file, store, as_json=as_json)
    with Journal(find_store(store, policy_file)) as journal:
        lines = journal.runs(limit, status=status, workflow=workflow)
    if as_json:
        print_json([asdict(line) for line in lines])
        return FINE
    out = console()
    out.print(runs_table(lines, out.width))
    if any(line.simulated for line in lines):
        out.print(f"[yellow]sim = {SIMULATED}[/]")
    return FINE


def _list_half_done(limit: int, policy_file: str, store: Path | None, *, as_json: bool) -> int:
    from trimtab.cli.half_done import half_done_json, print_half_done
    from trimtab.cli.show import console, print_json
    from trimtab.journal.reader import Journal

    where = Where(store, policy_file)
    with Journal(find_store(store, policy_file)) as journal:
        found = journal.half_done(limit + 1)
    shown = found[:limit]
    if as_json:
        print_json([half_done_json(half, where) for half in shown])
    elif shown:
        print_half_done(console(), shown, where)
    else:
        click.echo("nothing stands half done")
    if len(found) > limit:
        click.echo(f"and more: --limit {limit} was reached", err=True)
    return NOT_FINE if found else FINE


@runs.command()
@click.argument("run")
@policy_option
@store_option
@json_option
def show(run: str, policy_file: str, store: Path | None, as_json: bool) -> None:
    """Show RUN (its id, the start of it, or its key) with its plan as a tree, what people did, and what to do."""
    from trimtab.cli.run import show_run

    show_run(find_store(store, policy_file), run, Where(store, policy_file), as_json=as_json)


@runs.command()
@click.argument("run")
@click.option("--by", default="command line", show_default=True, help="Who cancels.")
@policy_option
@store_option
@json_option
def cancel(run: str, by: str, policy_file: str, store: Path | None, as_json: bool) -> int:
    """Cancel RUN. A worker ends it at once; without one it ends when the next worker starts."""
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal
    from trimtab.word import cancel_elsewhere

    path = find_store(store, policy_file)
    with Journal(path) as journal:
        line = journal.run(run).line
    asked = not line.final and cancel_elsewhere(path, line.run_id, by)
    if as_json:
        print_json({"run_id": line.run_id, "asked": asked, "status": line.status})
    elif line.final:
        click.echo(f"{line.run_id} ended before, as {line.status}")
    else:
        click.echo(f"{line.run_id}: {'cancelling' if asked else 'is being cancelled already'}")
        click.echo(hint_worker(Where(store, policy_file)), err=True)
    return FINE if not line.final else NOT_FINE


@runs.command()
@click.argument("run")
@click.option("--must-not", "hits", multiple=True, metavar="WHAT", help="What must not happen and did; repeatable.")
@click.option("--clean", is_flag=True, help="Nothing of the kind happened.")
@by_whom("Who looked; kept with the word.")
@policy_option
@store_option
@json_option
def score(
    run: str, hits: tuple[str, ...], clean: bool, by: str, policy_file: str, store: Path | None, as_json: bool
) -> None:
    """Say what you found when you looked at RUN. Experiments count it as the metric `must_not`."""
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal
    from trimtab.word import score_elsewhere

    if clean == bool(hits):
        raise UsageError(f"what did you find in {run!r}?", hint="give --must-not WHAT, as often as needed, or --clean")
    path = find_store(store, policy_file)
    with Journal(path) as journal:
        run_id = journal.run(run).line.run_id
    score_elsewhere(path, run_id, hits, by=by)
    if as_json:
        print_json({"run_id": run_id, "hits": hits, "by": by})
    else:
        click.echo(f"{run_id}: {len(hits)} found by {by}")

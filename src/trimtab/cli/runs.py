"""`trimtab runs`: what ran, what runs, what waits."""

from __future__ import annotations

from dataclasses import asdict

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import find_store, json_option, policy_option, store_option


@click.group()
def runs() -> None:
    """List, show and cancel runs."""


@runs.command(name="list")
@click.option("--status", help="Only runs that stand so, `running` included.")
@click.option("--workflow", help="Only runs of this workflow.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest first."
)
@policy_option
@store_option
@json_option
def list_runs(
    status: str | None, workflow: str | None, limit: int, policy_file: str, store: str | None, as_json: bool
) -> None:
    """List runs, newest first."""
    from trimtab.cli.show import SIMULATED, console, print_json, runs_table
    from trimtab.journal.reader import Journal

    with Journal(find_store(store, policy_file)) as journal:
        lines = journal.runs(limit, status=status, workflow=workflow)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    out = console()
    out.print(runs_table(lines))
    if any(line.simulated for line in lines):
        out.print(f"[yellow]sim = {SIMULATED}[/]")


@runs.command()
@click.argument("run")
@policy_option
@store_option
@json_option
def show(run: str, policy_file: str, store: str | None, as_json: bool) -> None:
    """Show RUN (its id, the start of it, or its key) with its plan as a tree."""
    from trimtab.cli.run import show_run

    show_run(find_store(store, policy_file), run, as_json=as_json)


@runs.command()
@click.argument("run")
@click.option("--by", default="command line", show_default=True, help="Who cancels.")
@policy_option
@store_option
@json_option
def cancel(run: str, by: str, policy_file: str, store: str | None, as_json: bool) -> int:
    """Cancel RUN. A worker ends it at once; without one it ends when the next worker starts."""
    from trimtab.app import cancel_elsewhere
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal

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
    return FINE if not line.final else NOT_FINE

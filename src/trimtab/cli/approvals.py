"""`trimtab approvals`: the calls that wait for a person, and the only way to let them run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.lazy import Whole
from trimtab.cli.options import by_whom, find_store, json_option, policy_option, store_option

if TYPE_CHECKING:
    from rich.table import Table

    from trimtab.journal.lines import HeldCall

by_option = by_whom("Who decides; kept with the decision.")


@click.group(cls=Whole)
def approvals() -> None:
    """List, show and decide the calls that wait for a person.

    A decision is bound to the very arguments that are shown: with others it is another call and waits again.
    """


@approvals.command(name="list")
@click.option("--all", "every", is_flag=True, help="Those decided, too.")
@policy_option
@store_option
@json_option
def list_approvals(every: bool, policy_file: str, store: Path | None, as_json: bool) -> None:
    """List calls that wait, oldest first."""
    from trimtab.cli.show import console, print_json
    from trimtab.journal.reader import Journal

    with Journal(find_store(store, policy_file)) as journal:
        calls = journal.held(every=every)
    if as_json:
        print_json([asdict(call) for call in calls])
    elif calls:
        console().print(_table(calls))
    else:
        click.echo("nothing waits for a person")


@approvals.command()
@click.argument("key")
@policy_option
@store_option
@json_option
def show(key: str, policy_file: str, store: Path | None, as_json: bool) -> None:
    """Show one call whole. KEY may be the start of one."""
    from rich.markup import escape

    from trimtab.cli.advice import Where, about_held
    from trimtab.cli.show import console, print_arguments, print_json
    from trimtab.cli.tree import print_advice
    from trimtab.journal.reader import Journal

    with Journal(find_store(store, policy_file)) as journal:
        call = journal.held_call(key)
    if as_json:
        print_json(asdict(call))
        return
    out = console()
    out.print(f"[bold]{escape(call.role)}.{escape(call.tool)}[/] ({call.effect})  {_state(call)}")
    out.print(f"because {escape(call.reason)}", soft_wrap=True)
    out.print(f"key {call.key}, subtask {escape(call.subtask)} of run {call.run_id} ({escape(call.run_key)})")
    print_arguments(out, call.arguments)
    if call.open:
        print_advice(out, [about_held(f"{call.role}.{call.tool}", call.key, Where(store, policy_file))])


@approvals.command()
@click.argument("key")
@by_option
@policy_option
@store_option
@json_option
def approve(key: str, by: str, policy_file: str, store: Path | None, as_json: bool) -> int:
    """Let the call KEY run, once."""
    return _decide(key, by, policy_file, store, approved=True, as_json=as_json)


@approvals.command()
@click.argument("key")
@by_option
@policy_option
@store_option
@json_option
def deny(key: str, by: str, policy_file: str, store: Path | None, as_json: bool) -> int:
    """Never let the call KEY run."""
    return _decide(key, by, policy_file, store, approved=False, as_json=as_json)


def _decide(key: str, by: str, policy_file: str, store: Path | None, *, approved: bool, as_json: bool) -> int:
    from trimtab.cli.advice import Where, hint_worker
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal
    from trimtab.word import decide_elsewhere

    path = find_store(store, policy_file)
    with Journal(path) as journal:
        call = journal.held_call(key)
        decided = call.open and decide_elsewhere(path, call.run_id, call.key, approved=approved, by=by)
        now = journal.held_call(call.key)
    if as_json:
        print_json({**asdict(now), "decided_now": decided})
    elif decided:
        what = "approved: it runs once" if approved else "denied: it never runs"
        click.echo(f"{call.role}.{call.tool} of run {call.run_id} is {what}")
        click.echo(hint_worker(Where(store, policy_file)), err=True)
    else:
        click.echo(f"nothing was changed: {call.role}.{call.tool} {_state(now)}")
    return FINE if decided else NOT_FINE


def _state(call: HeldCall) -> str:
    if call.decision is not None:
        return f"was {'approved' if call.decision.approved else 'denied'} by {call.decision.by}"
    return "waits for a decision" if call.open else "is past deciding: its run has ended"


def _table(calls: Sequence[HeldCall]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from trimtab.core.values import dumps

    table = Table("key", "run", "call", "since", "state", "arguments", box=None, pad_edge=False, header_style="bold")
    for call in calls:
        since = f"{call.since.astimezone():%Y-%m-%d %H:%M}"
        row = (call.key, f"{call.run_key}", f"{call.role}.{call.tool}", since, _state(call), dumps(call.arguments))
        table.add_row(*map(escape, row))
    return table

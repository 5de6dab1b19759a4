"""`trimtab effects`: what was written, how it stands, and the word of a person about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.lazy import Whole
from trimtab.cli.options import by_whom, find_store, json_option, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from trimtab.journal.lines import EffectDetail, EffectLine


@click.group(cls=Whole)
def effects() -> None:
    """List, show and settle what runs wrote to the world.

    \b
    reserved       about to be made
    committed      made
    released       not made
    unknown        it may have been made: a person has to say
    compensated    taken back
    uncompensated  it could not be taken back and stands
    noted          it stands, its run has ended, and a person has dealt with that
    """  # noqa: D301 - \b is click's mark of lines to keep as they are


@effects.command(name="list")
@click.option("--run", metavar="RUN", help="Only those of this run: its id, its key, or the start of either.")
@click.option("--state", help="Only those that stand so.")
@click.option("--unknown", is_flag=True, help="Only those a person has to say something about.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, latest change first."
)
@policy_option
@store_option
@json_option
def list_effects(
    run: str | None, state: str | None, unknown: bool, limit: int, policy_file: str, store: Path | None, as_json: bool
) -> None:
    """List how effects stand, the latest change first."""
    from trimtab.cli.show import console, print_json
    from trimtab.journal.reader import Journal

    if unknown and state not in (None, "unknown"):
        raise UsageError(f"--unknown and --state {state} exclude each other", hint="give one of them")
    with Journal(find_store(store, policy_file)) as journal:
        lines = journal.effects(limit, run, "unknown" if unknown else state)
    if as_json:
        print_json([line_json(line) for line in lines])
    elif lines:
        console().print(_table(lines))
    else:
        click.echo("no such effects")


@effects.command()
@click.argument("key")
@policy_option
@store_option
@json_option
def show(key: str, policy_file: str, store: Path | None, as_json: bool) -> None:
    """Show one effect whole: its arguments and every line of it. KEY may be the start of one."""
    from rich.markup import escape

    from trimtab.cli.show import coloured, console, moment, print_arguments, print_json
    from trimtab.journal.reader import Journal

    with Journal(find_store(store, policy_file)) as journal:
        detail = journal.effect(key)
    if as_json:
        print_json(_detail_json(detail))
        return
    out, now = console(), detail.newest
    out.print(f"[bold]{escape(now.role)}.{escape(now.tool)}[/] ({now.effect})  {coloured(now.state)}")
    out.print(f"key {now.key}, subtask {escape(now.subtask)} of run {now.run_id} ({escape(detail.run_key)})")
    if detail.recorded:
        print_arguments(out, detail.arguments)
    else:
        out.print("  [dim]its arguments are written when the call ends[/]")
    for line in detail.lines:
        by = f"  by {escape(line.by)}" if line.by else ""
        why = f"  {escape(line.reason)}" if line.reason else ""
        out.print(f"{moment(line.at)}  {coloured(line.state)}{by}{why}  [dim]{escape(line.step)}[/]")


@effects.command()
@click.argument("key")
@click.option("--made", "said", flag_value="made", help="It was made. Of an effect that is `unknown`.")
@click.option("--not-made", "said", flag_value="not-made", help="It was not made: its run may make it now.")
@click.option(
    "--undone", "said", flag_value="undone", help="It was taken back by hand. Of one that is `uncompensated`."
)
@click.option("--noted", "said", flag_value="noted", help="It stands though its run has ended, and that is dealt with.")
@click.option("--result", metavar="JSON", help="With --made: what it gave, where other subtasks need that.")
@by_whom("Who says so; kept in the ledger.")
@policy_option
@store_option
@json_option
def settle(
    key: str, said: str | None, result: str | None, by: str, policy_file: str, store: Path | None, as_json: bool
) -> int:
    """Say what came of the effect KEY, so that its run can go on or end. KEY may be the start of one."""
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal

    if said is None:
        raise UsageError(f"what came of {key!r}?", hint="give --made, --not-made, --undone or --noted")
    value = _result(result, said)
    path = find_store(store, policy_file)
    with Journal(path) as journal:
        before = journal.effect(key)
        settled = before.newest.state in _NEEDED[said] and _settle(path, before, said, value, by)
        now = journal.effect(before.newest.key)
    if as_json:
        print_json({**_detail_json(now), "settled_now": settled})
    elif settled:
        click.echo(f"{_name(now)} {_SAID[said].format(by=by)}")
    else:
        click.echo(f"nothing was changed: {_name(now)} {_why_not(now, said)}")
    return FINE if settled else NOT_FINE


_NEEDED = {
    "made": ("unknown",),
    "not-made": ("unknown",),
    "undone": ("uncompensated",),
    "noted": ("committed", "reserved"),
}
_GOES_ON = ", says {by}; the run goes on from there"
_SAID = {
    "made": f"was made{_GOES_ON}",
    "not-made": f"was not made{_GOES_ON}",
    "undone": f"was taken back by hand{_GOES_ON}",
    "noted": "stands; {by} has dealt with it",
}


def _settle(path: Path, effect: EffectDetail, said: str, result: Any, by: str) -> bool:
    from trimtab.word import note_elsewhere, settle_elsewhere

    if said == "noted":
        return note_elsewhere(path, effect.newest, by=by)
    made = None if said == "undone" else said == "made"
    return settle_elsewhere(path, effect.newest, made=made, result=result, by=by)


def _result(given: str | None, said: str) -> Any:
    if given is None:
        return None
    if said != "made":
        raise UsageError(f"--result goes with --made, not with --{said}", hint="leave --result out")
    try:
        return json.loads(given)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"--result is broken JSON at column {error.colno}: {error.msg}", hint="a text is JSON in quotes: '\"paid\"'"
        ) from None


def _name(detail: EffectDetail) -> str:
    now = detail.newest
    return f"{now.role}.{now.tool} of {now.subtask} in run {now.run_id}"


def _why_not(detail: EffectDetail, said: str) -> str:
    now = detail.newest
    by = f", as {now.by} said" if now.by else ""
    if now.state in _NEEDED[said]:
        return "is past settling: its run has ended, or somebody has said it already"
    return f"is {now.state}{by}; --{said} is for what is {' or '.join(_NEEDED[said])}"


def line_json(line: EffectLine) -> dict[str, Any]:
    """Give how one effect stands."""
    return {**asdict(line.fact), "run_key": line.run_key, "workflow": line.workflow}


def _detail_json(detail: EffectDetail) -> dict[str, Any]:
    return {**asdict(detail), **asdict(detail.newest)}


def _table(lines: Sequence[EffectLine]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from trimtab.cli.show import coloured, moment

    # Nobody has a word in most effects: that column is for those of whom somebody has.
    by = any(line.fact.by for line in lines)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("key", "run", "effect", "state", "since", *(["by"] if by else [])):
        table.add_column(name, no_wrap=name in ("key", "state", "since"), overflow="fold")
    for line in lines:
        fact = line.fact
        what = f"[bold]{escape(fact.subtask)}[/] {escape(fact.role)}.{escape(fact.tool)}"
        cells = [fact.key, escape(line.run_key), what, coloured(fact.state), moment(fact.at)]
        table.add_row(*cells, *([escape(fact.by)] if by else []))
    return table

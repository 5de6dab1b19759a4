"""A rollout as a tree: rollout, stages, and what is known of each: runs, gate, hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from trimtab.cli.audit_evidence import figures
from trimtab.cli.rollout_seen import BAD_STEPS, Seen, SeenHost, SeenStage
from trimtab.cli.rollout_words import PAST, besides_models, change_lines, clock, plain, share, span
from trimtab.cli.show import console
from trimtab.learn.rollout import State

if TYPE_CHECKING:
    from trimtab.core.moves import RolloutFact
    from trimtab.learn.gate import Gated

_COLOURS: Mapping[State, str] = {
    "waiting": "dim",
    "running": "blue",
    "holding": "cyan",
    "passed": "green",
    "failed": "bold red",
    "paused": "yellow",
    "aborted": "red",
    "undone": "yellow",
}
DONE_STEPS = frozenset({"changed", "restored"})
_WORDS = {"pass": "green", "hold": "cyan", "fail": "bold red"}


def state_text(state: State) -> str:
    """Give a state its colour."""
    return f"[{_COLOURS[state]}]{state}[/]"


def picture(seen: Seen, now: datetime) -> RenderableType:
    """Draw one rollout, and below it what is wrong and what to do."""
    tree = Tree(_head(seen, now))
    for role, there, old, new in change_lines(seen.was, seen.to):
        tree.add(f"{escape(role)}: {escape(old)} -> [bold]{escape(new)}[/]  [dim]{escape(there)}[/]")
    if more := besides_models(seen.spec):
        tree.add(escape(more))
    for stage in seen.stages:
        _draw(tree, stage, now)
    return Group(tree, *_beneath(seen))


def _head(seen: Seen, now: datetime) -> str:
    head = f"[bold]{escape(seen.name)}[/]  {state_text(seen.state)}"
    if seen.standing is None:
        return f"{head}  [dim]not started[/]"
    begun = next(move for move in reversed(seen.standing.moves) if move.event == "start")
    told = [f"{head}  started {clock(begun.at, now)} by {escape(begun.by)}{_why(begun)}"]
    last = seen.standing.last
    if last.event not in {"start", "entered", "pass"}:
        # Why it failed is told below, as what is wrong.
        why = "" if last.event == "fail" else _why(last)
        told.append(f"{PAST[last.event]} {clock(last.at, now)} by {escape(last.by)}{why}")
    attempt = f"  [dim]attempt {last.attempt}[/]" if last.attempt > 1 else ""
    return "; ".join(told) + attempt


def _why(move: RolloutFact) -> str:
    return f": {escape(move.reason)}" if move.reason else ""


def _draw(tree: Tree, seen: SeenStage, now: datetime) -> None:
    stage = seen.stage
    parts = [
        f"[bold]{seen.number + 1}[/] {escape(seen.spec.environment)} {share(seen.spec.weight)}",
        state_text(stage.state),
    ]
    if stage.since:
        parts.append(f"since {clock(stage.since, now)}")
    left = seen.left(now)
    hold = f"hold {span(seen.spec.hold)}"
    parts.append(hold if left is None else f"{hold}, {span(left)} left" if left else f"{hold} is over")
    branch = tree.add("  ".join(parts))
    if stage.state == "waiting":
        if seen.hosts:
            branch.add(f"[dim]hosts: {', '.join(escape(host.host) for host in seen.hosts)}[/]")
        return
    if seen.spec.gate == "runs" or seen.treated or seen.control:
        branch.add(f"runs: {seen.treated:,} on the new map, {seen.control:,} on the old")
    if seen.gated is not None:
        gate = branch.add(f"gate: [{_WORDS[seen.gated.word]}]{seen.gated.word}[/]  {escape(seen.gated.reason)}")
        if seen.gated.missing:
            gate.add(f"missing: {escape(seen.gated.missing)}")
    for host in seen.hosts:
        branch.add(_host(host, now))


def _host(seen: SeenHost, now: datetime) -> str:
    line = seen.line
    if line is None:
        told = f"[bold red]{escape(seen.trouble)}[/]" if seen.trouble else "[dim]not reached yet[/]"
        return f"{escape(seen.host)}  {told}"
    colour = "bold red" if line.step in BAD_STEPS else "green" if line.step in DONE_STEPS else "blue"
    models = cast("Mapping[str, str]", line.answered or {})
    proved = f"  {escape(', '.join(sorted({plain(model) for model in models.values()})))}" if models else ""
    why = f"  [dim]{escape(line.reason)}[/]" if line.reason else ""
    return f"{escape(seen.host)}  [{colour}]{line.step}[/]{proved}  {clock(line.at, now)}{why}"


def print_gate(gated: Gated) -> None:
    """Print what a gate says, with its figures."""
    out = console()
    out.print(f"gate: [{_WORDS[gated.word]}]{gated.word}[/]  {escape(gated.reason)}", soft_wrap=True)
    if gated.missing:
        out.print(f"  missing: {escape(gated.missing)}", soft_wrap=True)
    for line in figures(gated.evidence):
        out.print(f"  {escape(line)}", soft_wrap=True)


def _beneath(seen: Seen) -> Iterator[str]:
    for wrong in seen.wrong:
        yield f"[bold red]wrong:[/] {escape(wrong)}"
    for note in seen.notes:
        yield f"[dim]{escape(note)}[/]"
    for command in seen.next:
        yield f"[bold]next:[/] {escape(command)}"


def print_list(rows: Sequence[Seen], source: str) -> None:
    """Print a line for each, then what is wrong."""
    out = console()
    if not rows:
        out.print(f"{escape(source)} declares no rollout, and none was started", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rollout", "state", "stage", "since", "by"):
        table.add_column(name, overflow="fold")
    for seen in rows:
        table.add_row(*_row(seen))
    out.print(table)
    for seen in rows:
        for wrong in seen.wrong:
            out.print(f"[bold red]wrong:[/] {escape(seen.name)}: {escape(wrong)}", soft_wrap=True)


def _row(seen: Seen) -> Sequence[str]:
    stages = len(seen.stages)
    if seen.standing is None:
        return escape(seen.name), "[dim]not started[/]", f"[dim]0/{stages}[/]", "-", "-"
    last, at = seen.standing.last, seen.standing.rollout.at
    where = f"{stages}/{stages}" if seen.state == "passed" else "-"
    if at is not None:
        there = seen.stages[at].spec
        where = f"{at + 1}/{stages} {there.environment} {share(there.weight)}"
    since = f"{last.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return escape(seen.name), state_text(seen.state), escape(where), since, escape(last.by)

"""One run on one screen: who did what, why it stands so, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.tree import Tree

from trimtab.cli.advice import Advice, called
from trimtab.cli.show import SIMULATED, coloured, dollars, moment
from trimtab.core.records import EffectFact, ModelCallFact, ResumeFact
from trimtab.core.usage import add_costs
from trimtab.core.values import Json, dumps
from trimtab.journal.detail import tokens
from trimtab.journal.lines import ModelUse, RunDetail, SubtaskLine


def run_tree(detail: RunDetail) -> Tree:
    """Draw a run: its head, the orchestrator's part, and the plan; a subtask hangs under the last of its needs."""
    line = detail.line
    head = f"[bold]{escape(line.workflow)}[/] {line.run_id}  {coloured(line.status)}"
    tree = Tree(head + (f"  [yellow]{SIMULATED}[/]" if line.simulated else ""))
    ended = f", ended {line.ended_at.astimezone():%H:%M:%S}" if line.ended_at else ""
    accepted = f"accepted {line.accepted_at.astimezone():%Y-%m-%d %H:%M:%S}{ended}"
    tree.add(f"[dim]key {escape(line.key)}, environment {escape(line.environment)}, {accepted}[/]")
    calls = f"{line.model_calls} model call{'s' * (line.model_calls != 1)}"
    retries = f"{line.retries} {'retry' if line.retries == 1 else 'retries'}"
    tree.add(f"{calls}, {retries}, {line.tokens:,} tokens, {dollars(line.cost)}")
    _own_part(tree, detail)
    places: dict[str, Tree] = {}
    order = {subtask.id: place for place, subtask in enumerate(detail.subtasks)}
    for subtask in detail.subtasks:
        parents = [n for n in subtask.needs if n in places]
        parent = places[max(parents, key=order.__getitem__)] if parents else tree
        places[subtask.id] = place = parent.add(_subtask(subtask, void=detail.half_done.ending))
        for leaf in _beneath(detail, subtask):
            place.add(leaf)
    for told in _people(detail):
        tree.add(told)
    if detail.outcome and detail.outcome.reason:
        error = f"{detail.outcome.error}: " if detail.outcome.error else ""
        tree.add(f"[bold]because[/] {escape(error + detail.outcome.reason)}")
    return tree


def _own_part(tree: Tree, detail: RunDetail) -> None:
    if not detail.own_calls:
        return
    models = ", ".join(_uses_of(detail.own_calls))
    spent = sum(tokens(c) for c in detail.own_calls)
    cost = dollars(add_costs(c.cost for c in detail.own_calls))
    calls = f"{len(detail.own_calls)} call{'s' if len(detail.own_calls) > 1 else ''}"
    part = tree.add(f"[bold]orchestrator[/]  {calls}  [dim]{models}[/]  {spent:,} tokens  {cost}")
    for plan in detail.plans:
        if plan.faults:
            faulty = part.add(f"plan {plan.number + 1} was refused")
            for fault in plan.faults if isinstance(plan.faults, list) else []:
                faulty.add(escape(str(fault)))
    for leaf in _rungs(detail, None):
        part.add(leaf)


def _beneath(detail: RunDetail, subtask: SubtaskLine) -> Iterator[str]:
    yield from _rungs(detail, subtask.id)
    for effect in detail.effects:
        if effect.subtask == subtask.id:
            # A reason that the subtask's line gives already is not given twice.
            why = f"  [dim]{escape(effect.reason)}[/]" if effect.reason not in subtask.reason else ""
            said = f" by {escape(effect.by)}" if effect.by else ""
            yield f"[dim]effect {effect.key}[/] {effect.effect}  {coloured(effect.state)}{said}{why}"


def _rungs(detail: RunDetail, subtask: str | None) -> Iterator[str]:
    # The same rung taken again for the same reason is one line.
    found = (rung for rung in detail.rungs if rung.subtask == subtask)
    for (kind, model, reason), same in groupby(found, lambda r: (r.rung, r.model, r.reason)):
        times = sum(1 for _ in same)
        often = f" {times} times" if times > 1 else ""
        asked = f" -> {escape(model.partition(':')[2] or model)}" if kind == "escalate" else ""
        yield f"[yellow]{escape(kind)}{asked}{often}[/]  [dim]{escape(reason)}[/]"


def _people(detail: RunDetail) -> Iterator[str]:
    """Tell what people did, in order of time."""
    calls = {c.idempotency_key: f"{c.role}.{c.tool} of {c.subtask}" for c in detail.tool_calls}
    told: list[tuple[datetime, str, str]] = []
    for made in detail.decisions:
        what = f"{'approved' if made.approved else 'denied'} {calls.get(made.key, made.key)}"
        told.append((made.at, made.by, what))
    told += [(effect.at, effect.by, _said(effect)) for effect in detail.settlements]
    for resume in detail.resumes:
        given = [f"{key} = {value if isinstance(value, str) else dumps(value)}" for key, value in _given(resume)]
        told.append((resume.at, resume.by, f"let it go on{' with ' + ', '.join(given) if given else ''}"))
    for at, by, what in sorted(told):
        yield f"[dim]{moment(at)}[/]  [bold]{escape(by)}[/] {escape(what)}"


def _uses_of(calls: Sequence[ModelCallFact]) -> list[str]:
    return sorted({_use(c.requested_model, c.response_model) for c in calls})


def _use(requested: str, response: str | None) -> str:
    # The name the response carries is the proof; where it is another one, both are shown.
    name = requested.partition(":")[2]
    return name if response in (None, name) else f"{name} -> {response}"


def _subtask(subtask: SubtaskLine, *, void: bool) -> str:
    needs = f" [dim]needs {', '.join(subtask.needs)}[/]" if len(subtask.needs) > 1 else ""
    parts = [
        f"[bold]{escape(subtask.id)}[/] {escape(subtask.specialist)}.{escape(subtask.action)}{needs}",
        coloured(subtask.state),
    ]
    if subtask.attempts:
        attempts = subtask.retries + 1
        parts += [
            f"{attempts} attempt{'s' if attempts > 1 else ''}",
            f"[dim]{', '.join(map(_asked, subtask.models))}[/]",
        ]
        parts += [f"{subtask.tokens:,} tokens", dollars(subtask.cost)]
    if void and subtask.state == "held":
        parts.append("[dim]void: the run goes no further[/]")
        return "  ".join(parts)
    if subtask.status:
        parts.append(coloured(subtask.status))
    if subtask.reason:
        parts.append(f"[dim]{escape(subtask.reason)}[/]")
    if subtask.cause and subtask.cause != subtask.id:
        parts.append(f"because of {escape(subtask.cause)} ({escape(subtask.owner)})")
    elif subtask.owner and subtask.owner != subtask.specialist:
        parts.append(f"because of {escape(subtask.owner)}")
    return "  ".join(parts)


def _asked(use: ModelUse) -> str:
    return _use(use.requested, use.responses[0] if len(use.responses) == 1 else ", ".join(use.responses) or None)


def _given(resume: ResumeFact) -> Iterator[tuple[str, Json]]:
    for given in (resume.raised, resume.models):
        yield from given.items() if isinstance(given, Mapping) else ()


def _said(effect: EffectFact) -> str:
    how = {"committed": "was made", "released": "was not made", "compensated": "was taken back by hand"}
    return f"said that {called(effect)} {how.get(effect.state, effect.state)}"


def print_advice(out: Console, advice: Sequence[Advice], indent: str = "") -> None:
    """Print what to do next; commands are on lines of their own and are never folded, so that they may be copied."""
    for given in advice:
        out.print(Padding(f"[bold]hint:[/] {escape(given.what)}", (0, 0, 0, len(indent)), expand=False))
        for command in given.commands:
            out.print(f"{indent}  {escape(command)}", soft_wrap=True)

"""Puts one run together from its facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trimtab.core.plan import Subtask
from trimtab.core.records import ModelCallFact, PlanFact, SubtaskFact, ToolCallFact
from trimtab.core.usage import add_costs
from trimtab.core.values import Json
from trimtab.journal.lines import PLANNED, ModelUse, SubtaskLine

# Everything else is over, or (`planned`) not begun.
_OPEN = frozenset({PLANNED, "started", "held", "unknown", "delayed", "stuck", "waiting"})


@dataclass(slots=True)
class _Gathered:
    entered: list[SubtaskFact] = field(default_factory=list[SubtaskFact])
    models: list[ModelCallFact] = field(default_factory=list[ModelCallFact])
    tools: list[ToolCallFact] = field(default_factory=list[ToolCallFact])


def subtask_lines(
    plans: Sequence[PlanFact],
    entered: Iterable[SubtaskFact],
    model_calls: Iterable[ModelCallFact],
    tool_calls: Iterable[ToolCallFact],
) -> tuple[SubtaskLine, ...]:
    """Give a line for every subtask of the plan worked by, in its order, then of any that only facts tell of.

    `entered` comes in order of time, then of writing.
    """
    faultless = [p.plan for p in plans if not p.faults]
    planned = _planned(faultless[-1]) if faultless else {}
    gathered = {subtask_id: _Gathered() for subtask_id in planned}
    for fact in entered:
        gathered.setdefault(fact.subtask, _Gathered()).entered.append(fact)
    for call in model_calls:
        if call.subtask is not None:
            gathered.setdefault(call.subtask, _Gathered()).models.append(call)
    for call in tool_calls:
        gathered.setdefault(call.subtask, _Gathered()).tools.append(call)
    return tuple(_line(planned.get(i) or _seen(i, facts), facts) for i, facts in gathered.items())


def model_uses(calls: Iterable[ModelCallFact]) -> tuple[ModelUse, ...]:
    """Say per role which models were asked and which answered."""
    groups: dict[tuple[str, str], list[ModelCallFact]] = {}
    for call in calls:
        groups.setdefault((call.role, call.requested_model), []).append(call)
    return tuple(
        ModelUse(role, requested, tuple(dict.fromkeys(c.response_model for c in group if c.response_model)), len(group))
        for (role, requested), group in groups.items()
    )


def _line(subtask: Subtask, facts: _Gathered) -> SubtaskLine:
    latest = facts.entered[-1] if facts.entered else None
    calls = [*facts.models, *facts.tools]
    return SubtaskLine(
        id=subtask.id,
        specialist=subtask.specialist,
        action=subtask.action,
        needs=subtask.needs,
        state=latest.state if latest else PLANNED,
        status=latest.status if latest else None,
        reason=latest.reason if latest else "",
        attempts=len(calls),
        retries=sum(call.attempt > 1 for call in calls),
        models=model_uses(facts.models),
        tokens=sum(tokens(call) for call in facts.models),
        cost=add_costs(call.cost for call in facts.models),
        started_at=facts.entered[0].at if facts.entered else None,
        ended_at=latest.at if latest and latest.state not in _OPEN else None,
        cause=latest.cause if latest else "",
        owner=latest.owner if latest else "",
    )


def tokens(call: ModelCallFact) -> int:
    """Add all tokens of a call."""
    cached = call.cache_read_tokens + call.cache_write_5m_tokens + call.cache_write_1h_tokens
    return call.input_tokens + call.output_tokens + cached


def _planned(plan: Json) -> dict[str, Subtask]:
    listed = plan.get("subtasks") if isinstance(plan, Mapping) else None
    items = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    return {(subtask := _subtask(item)).id: subtask for item in items}


def _subtask(item: Mapping[str, Json]) -> Subtask:
    needs = item.get("needs")
    return Subtask(
        id=str(item.get("id")),
        specialist=str(item.get("specialist")),
        action=str(item.get("action")),
        needs=tuple(map(str, needs)) if isinstance(needs, list) else (),
    )


def _seen(subtask_id: str, facts: _Gathered) -> Subtask:
    first = facts.entered[0] if facts.entered else None
    return Subtask(subtask_id, first.specialist if first else "", first.action if first else "")

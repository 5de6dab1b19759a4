"""What a simulated model says: pure functions from what is asked, the book and the profile to speech."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from trimtab.core.plan import resolve
from trimtab.models.simulator.book import AnswerBook, Entry, PlannedSubtask
from trimtab.models.simulator.dice import Dice
from trimtab.models.simulator.failures import flawed_call, flawed_plan, right_plan
from trimtab.models.simulator.hostile import hostile_call, hostile_plan
from trimtab.models.simulator.profile import API_FAULTS, ApiFault, HostileFailure, Settings
from trimtab.models.simulator.prompts import ANSWER, CLARIFY, PLAN, Asked, OtherAsked, PlanAsked, Tried, WorkAsked
from trimtab.models.simulator.speech import Speech, ToolCall

NO_ENTRY = (
    "This is a simulator, not a model, and its answer book has no answer for this request: "
    "can you send one that is in the book, or use a real model?"
)
NO_PROMPT = (
    "This is trimtab's simulator, not a model: it answers the prompts of trimtab's orchestrator and specialists "
    "from an answer book, and this is neither."
)
_LOOPS = 0.9
_GIVES_UP_AFTER = 2  # errors in a row: a call is repeated at most once


def speak(asked: Asked, entry: Entry | None, book: AnswerBook, settings: Settings, dice: Dice) -> Speech:
    """Say what a model of these settings says to what is asked."""
    match asked:
        case PlanAsked():
            return _orchestrator(asked, entry, book, settings, dice)
        case WorkAsked():
            return _specialist(asked, entry, book, settings, dice)
        case OtherAsked():
            return Speech("text", NO_PROMPT)


def api_fault(settings: Settings, dice: Dice) -> ApiFault | None:
    """Say which fault of the API, if any, happens to this request: at most one."""
    roll = dice.roll("api_fault")
    for fault in API_FAULTS:
        roll -= settings.rate(fault)
        if roll < 0:
            return fault
    return None


def lengthened(
    speech: Speech, limit: int, fault: ApiFault | None, settings: Settings, dice: Dice
) -> tuple[Speech, int]:
    """Give the speech as far as `limit` tokens let it come, and the output tokens to report.

    The number drawn stands for all a model writes, words and thoughts beside the call included; never fewer than
    what is visible takes. A speech that is cut off is reported at the limit: the model ran into it.
    """
    if fault == "cut_off":
        share = 0.1 + 0.8 * dice.roll("cut_off.share")
        return speech.cut_to(max(1, min(limit, int(speech.tokens * share)))), limit
    if speech.boundless and speech.tokens > limit:
        return speech, limit
    if speech.tokens > limit:
        return speech.cut_to(limit), limit
    spread = settings.plan_tokens if speech.kind in (PLAN, CLARIFY) else settings.call_tokens
    return speech, min(limit, max(speech.tokens, round(spread.at(dice.roll("tokens")))))


def _orchestrator(asked: PlanAsked, entry: Entry | None, book: AnswerBook, settings: Settings, dice: Dice) -> Speech:
    if entry is not None and _attacks(asked.tried, "hostile_plan", settings, dice):
        return hostile_plan(entry, book, dice)
    if entry is None or entry.clarify is not None:
        questions = entry.clarify if entry and entry.clarify else [NO_ENTRY]
        if CLARIFY in asked.offered:
            return Speech("clarify", ToolCall(CLARIFY, {"questions": questions}))
        return Speech("text", "\n".join(questions))
    last = asked.tried[-1] if asked.tried else None
    if last is None or last.tool != PLAN or not last.failed:
        return flawed_plan(entry, book, settings, dice)
    mends = dice.hits("correct_on_fault", settings.correct_on_fault)
    return Speech("plan", ToolCall(PLAN, right_plan(entry) if mends else last.arguments))


def _specialist(asked: WorkAsked, entry: Entry | None, book: AnswerBook, settings: Settings, dice: Dice) -> Speech:
    if _errors_at_end(asked.tried) >= _GIVES_UP_AFTER:
        return Speech(
            "text",
            f"I cannot do this: {asked.tried[-1].tool} was refused twice, at last with: {asked.tried[-1].result}",
        )
    worked = [t for t in asked.tried if not t.failed and t.tool != ANSWER]
    if settings.rate("hostile_call"):
        # What it looked up beside its work is no part of the work.
        worked = [t for t in worked if t.tool == asked.subtask.get("action")]
    planned = _planned(asked.subtask, entry)
    calls = _calls(asked.subtask, entry, planned, worked)
    if len(worked) >= len(calls):
        return _answer(asked, entry, planned, worked)
    tool, arguments = calls[len(worked)]
    if tool not in asked.offered:
        return Speech("text", f"I cannot do this: I have no tool {tool!r}.")
    looping = _looping(asked, tool, dice) if settings.rate("hostile_call") else ""
    if looping or _attacks(asked.tried, "hostile_call", settings, dice):
        return hostile_call(ToolCall(tool, arguments), sorted(asked.offered), book, dice, looping=looping)
    last = asked.tried[-1] if asked.tried else None
    if last is None or not last.failed:
        return flawed_call(tool, arguments, settings, dice)
    mends = dice.hits("correct_on_fault", settings.correct_on_fault)
    return Speech("call", ToolCall(tool, arguments) if mends else ToolCall(last.tool, last.arguments))


def _attacks(tried: Sequence[Tried], failure: HostileFailure, settings: Settings, dice: Dice) -> bool:
    # Refused, a hostile model tries something else; sometimes it gives in, and what is behind that gate is tried as well.
    if tried and tried[-1].failed:
        return settings.rate(failure) > 0 and not dice.hits("correct_on_fault", settings.correct_on_fault)
    return dice.hits(failure, settings.rate(failure))


def _looping(asked: WorkAsked, tool: str, dice: Dice) -> str:
    last = asked.tried[-1] if asked.tried else None
    return (
        last.tool if last and not last.failed and last.tool != tool and dice.hits("read_loop.goes_on", _LOOPS) else ""
    )


def _planned(subtask: Mapping[str, Any], entry: Entry | None) -> PlannedSubtask | None:
    named = (subtask.get("id"), subtask.get("action"))
    return next((s for s in entry.subtasks if (s.id, s.action) == named), None) if entry else None


def _calls(
    subtask: Mapping[str, Any], entry: Entry | None, planned: PlannedSubtask | None, worked: Sequence[Tried]
) -> list[tuple[str, dict[str, Any]]]:
    if entry is None or planned is None or planned.id not in entry.calls:
        return [(str(subtask.get("action")), _inputs(subtask))]
    return [(call.tool, _filled(call.arguments, subtask, worked)) for call in entry.calls[planned.id]]


def _answer(asked: WorkAsked, entry: Entry | None, planned: PlannedSubtask | None, worked: Sequence[Tried]) -> Speech:
    last: Any = worked[-1].value if worked else {}
    if entry and planned and planned.id in entry.answers:
        last = _filled(entry.answers[planned.id], asked.subtask, worked)
    if ANSWER in asked.offered:
        return Speech(
            "answer", ToolCall(ANSWER, cast("dict[str, Any]", last) if isinstance(last, dict) else {"value": last})
        )
    return Speech("text", last if isinstance(last, str) else json.dumps(last))


def _filled(template: dict[str, Any], subtask: Mapping[str, Any], worked: Sequence[Tried]) -> dict[str, Any]:
    shown = {f"call{n}": tried.value for n, tried in enumerate(worked, 1)} | {"inputs": subtask.get("inputs")}
    return {key: _resolved(value, shown) for key, value in template.items()}


def _resolved(value: Any, shown: Mapping[str, Any]) -> Any:
    try:
        return resolve(value, shown)
    except KeyError:  # a later call's arguments name results that are not there yet
        return value


def _inputs(subtask: Mapping[str, Any]) -> dict[str, Any]:
    shown = subtask.get("inputs")
    return dict(cast("dict[str, Any]", shown)) if isinstance(shown, dict) else {}


def _errors_at_end(tried: Sequence[Tried]) -> int:
    return next((n for n, t in enumerate(reversed(tried)) if not t.failed), len(tried))

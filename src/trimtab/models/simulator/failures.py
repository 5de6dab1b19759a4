"""How plans and tool arguments go wrong: one small function for each way, in tables."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from trimtab.core.plan import reference
from trimtab.models.simulator.book import AnswerBook, Entry
from trimtab.models.simulator.dice import Dice
from trimtab.models.simulator.profile import PLAN_FAILURES, Settings
from trimtab.models.simulator.speech import Speech, ToolCall

Arguments: TypeAlias = dict[str, Any]
Subtasks: TypeAlias = list[dict[str, Any]]
Garbled: TypeAlias = tuple[Arguments, str | None]


def flawed_plan(entry: Entry, book: AnswerBook, settings: Settings, dice: Dice) -> Speech:
    """Give the entry's plan with the failures this model makes here; often with none.

    A failure that finds nothing to spoil (a single subtask cannot be in the wrong order) does not happen.
    """
    arguments = right_plan(entry)
    hit = [failure for failure in PLAN_FAILURES if dice.hits(failure, settings.rate(failure))]
    if not hit:
        return Speech("plan", ToolCall("plan", arguments))
    arguments = copy.deepcopy(arguments)
    made = [name for name in hit if name in _FLAWS and _FLAWS[name](arguments["subtasks"], entry, book, dice)]
    if "malformed_plan" not in hit:
        return Speech("plan", ToolCall("plan", arguments), tuple(made))
    spoilt, broken = dice.pick("malformed_plan.how", _MALFORMED)(arguments, dice)
    return Speech("plan", ToolCall("plan", spoilt, broken), (*made, "malformed_plan"))


def right_plan(entry: Entry) -> Arguments:
    """Give the entry's plan as the `plan` tool takes it."""
    return {"subtasks": [s.as_json() for s in entry.subtasks]}


def flawed_call(tool: str, arguments: Arguments, settings: Settings, dice: Dice) -> Speech:
    """Give a tool call with the failures this model makes here; mostly with none."""
    if not dice.hits("wrong_arguments", settings.rate("wrong_arguments")):
        return Speech("call", ToolCall(tool, arguments))
    spoilt, broken = dice.pick("wrong_arguments.how", _GARBLED)(copy.deepcopy(arguments), dice)
    return Speech("call", ToolCall(tool, spoilt, broken), ("wrong_arguments",))


def _missing_subtask(subtasks: Subtasks, entry: Entry, book: AnswerBook, dice: Dice) -> bool:
    del entry, book
    if len(subtasks) > 1:
        subtasks.remove(dice.pick("missing_subtask.which", subtasks))
        return True
    return False


def _wrong_order(subtasks: Subtasks, entry: Entry, book: AnswerBook, dice: Dice) -> bool:
    del entry, book
    by_id = {s["id"]: s for s in subtasks}
    pairs = [(s, by_id[need]) for s in subtasks for need in s["needs"] if need in by_id]
    if not pairs:
        return False
    later, earlier = dice.pick("wrong_order.which", pairs)
    later["needs"].remove(earlier["id"])
    if dice.hits("wrong_order.reversed", 0.5):
        earlier["needs"].append(later["id"])
    return True


def _wrong_specialist(subtasks: Subtasks, entry: Entry, book: AnswerBook, dice: Dice) -> bool:
    del entry
    subtask = dice.pick("wrong_specialist.which", subtasks)
    others = [name for name in book.specialists if name != subtask["specialist"]]
    if others:
        subtask["specialist"] = dice.pick("wrong_specialist.who", others)
    return bool(others)


def _extra_forbidden(subtasks: Subtasks, entry: Entry, book: AnswerBook, dice: Dice) -> bool:
    if not entry.forbidden:
        return False
    call = dice.pick("extra_forbidden.which", entry.forbidden)
    specialist, action = call.split(".")
    inputs = _plausible(call, specialist, subtasks, book)
    ids = {s["id"] for s in subtasks}
    needs = sorted({found.subtask for value in inputs.values() if (found := reference(value)) and found.subtask in ids})
    subtasks.append(
        {
            "id": next(name for name in _fresh_ids() if name not in ids),
            "specialist": specialist,
            "action": action,
            "instruction": f"{action.replace('_', ' ').capitalize()}.",
            "inputs": inputs,
            "needs": needs or [subtasks[-1]["id"]],
        }
    )
    return True


def _lost_language(subtasks: Subtasks, entry: Entry, book: AnswerBook, dice: Dice) -> bool:
    del book, dice
    spoken = [s["inputs"] for s in subtasks if s["inputs"].get("language", "en") != "en"]
    for inputs in spoken:
        inputs["language"] = "en"
    return bool(spoken) and entry.language != "en"


def _plausible(call: str, specialist: str, subtasks: Subtasks, book: AnswerBook) -> Arguments:
    """Inputs a careless model would think of: named as elsewhere in the book, with this plan's values where it has any."""
    here: Arguments = {key: value for s in subtasks for key, value in s["inputs"].items()}
    example = book.example(call)
    if example is None:
        same: list[Arguments] = [s["inputs"] for s in subtasks if s["specialist"] == specialist]
        return copy.deepcopy(same[0]) if same else {}
    found = {key: here.get(key, _value(key, value, subtasks, book)) for key, value in example.inputs.items()}
    return copy.deepcopy({key: value for key, value in found.items() if value is not None})


def _value(key: str, value: Any, subtasks: Subtasks, book: AnswerBook) -> Any:
    pointer = reference(value)
    if pointer is None:
        return value
    makers = [s["id"] for s in subtasks if book.makes(f"{s['specialist']}.{s['action']}", pointer.field)]
    return f"${makers[0]}.{pointer.field}" if makers else book.literal(key)


def _fresh_ids() -> Sequence[str]:
    return ["extra", *(f"extra{n}" for n in range(2, 100))]


def _plan_key_missing(arguments: Arguments, dice: Dice) -> Garbled:
    subtask = dice.pick("malformed_plan.which", cast("Subtasks", arguments["subtasks"]))
    del subtask[dice.pick("malformed_plan.key", ("id", "specialist", "action"))]
    return arguments, None


def _plan_wrong_type(arguments: Arguments, dice: Dice) -> Garbled:
    subtask = dice.pick("malformed_plan.which", cast("Subtasks", arguments["subtasks"]))
    key = dice.pick("malformed_plan.key", ("needs", "inputs"))
    subtask[key] = json.dumps(subtask[key])
    return arguments, None


def _plan_as_text(arguments: Arguments, dice: Dice) -> Garbled:
    del dice
    return {"subtasks": json.dumps(arguments["subtasks"])}, None


def _broken_json(arguments: Arguments, dice: Dice) -> Garbled:
    """Spoil the text of a stream; an object cannot be broken JSON, so outside a stream a key is missing instead."""
    text = json.dumps(arguments)
    broken = dice.pick("broken_json.how", (text.replace('": ', '" ', 1), text[:-1], text[: len(text) // 2]))
    return _key_missing(arguments, dice)[0], broken


def _key_missing(arguments: Arguments, dice: Dice) -> Garbled:
    if not arguments:
        return {"input": ""}, None
    del arguments[dice.pick("wrong_arguments.key", sorted(arguments))]
    return arguments, None


def _wrong_type(arguments: Arguments, dice: Dice) -> Garbled:
    if not arguments:
        return {"input": ""}, None
    key = dice.pick("wrong_arguments.key", sorted(arguments))
    arguments[key] = [arguments[key]] if isinstance(arguments[key], str) else f"about {json.dumps(arguments[key])}"
    return arguments, None


def _wrapped(arguments: Arguments, dice: Dice) -> Garbled:
    del dice
    return {"arguments": arguments}, None


_FLAWS: Mapping[str, Callable[[Subtasks, Entry, AnswerBook, Dice], bool]] = {
    "missing_subtask": _missing_subtask,
    "wrong_order": _wrong_order,
    "wrong_specialist": _wrong_specialist,
    "extra_forbidden": _extra_forbidden,
    "lost_language": _lost_language,
}
_MALFORMED: Sequence[Callable[[Arguments, Dice], Garbled]] = (
    _plan_key_missing,
    _plan_wrong_type,
    _plan_as_text,
    _broken_json,
)
_GARBLED: Sequence[Callable[[Arguments, Dice], Garbled]] = (_key_missing, _wrong_type, _wrapped, _broken_json)

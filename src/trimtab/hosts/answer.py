"""Reads which model answered, from what a command on a host prints, and tells whether it is the one that was wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from trimtab.core.same_model import other_model

_NAME = re.compile(r"[A-Za-z0-9][\w.:/@-]*(\[1m\])?")
_LONGEST = 120  # characters of what was printed, in a message
_LONG_CONTEXT = "[1m]"


@dataclass(frozen=True, slots=True)
class Answered:
    """Which model answered for each role; `why` says why it is not known for one that is missing."""

    models: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""


def read_answer(text: str, roles: Collection[str]) -> Answered:
    """Read the output of a command: JSON {role: model}, {"model": ...}, a result of the Claude Code terminal, or a model alone.

    JSON may be the whole output or its last line. A model without a role stands for all of `roles`.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return Answered(why="it printed nothing")
    for part in (text, lines[-1]):
        try:
            return _of_json(json.loads(part), roles)
        except (ValueError, RecursionError):
            continue
    return _of_name(lines[-1], roles)


def same(wanted: str, answered: str) -> bool:
    """Whether an answer that names `answered` came from `wanted`, a full id (`provider:id`)."""
    asked, named = (name.removesuffix(_LONG_CONTEXT) for name in (wanted, answered.strip()))
    provider = asked.partition(":")[0]
    return not other_model(asked, named.removeprefix(f"{provider}:"))


def _of_json(found: Any, roles: Collection[str]) -> Answered:
    if isinstance(found, list):
        # The terminal prints all its messages so when it is told to be verbose.
        listed = cast("list[Any]", found)
        found = next((entry for entry in reversed(listed) if _table(entry)), listed)
    if isinstance(found, str):
        return _of_name(found, roles)
    if not isinstance(found, dict):
        return Answered(why=f"it printed {_short(found)}, which names no model")
    told = cast("dict[str, Any]", found)
    by_role = {role: model for role in roles if (model := _model(told.get(role))) is not None}
    if by_role:
        missing = sorted(set(roles) - set(by_role))
        return Answered(by_role, f"no model of {', '.join(missing)} in {_short(told)}" if missing else "")
    if told.get("is_error"):
        return Answered(
            why=f"the terminal failed: {_short(told.get('result') or told.get('errors') or told.get('subtype'))}"
        )
    model = _model(told.get("model")) or _of_usage(told)
    if model is None:
        return Answered(why=f"no model in {_short(told)}")
    return Answered(dict.fromkeys(roles, model))


def _of_usage(told: Mapping[str, Any]) -> str | None:
    """Give the model of the main loop: subagents and helpers are in `modelUsage`, but not in `usage`."""
    uses, used = (_table(told.get(key)) for key in ("modelUsage", "usage"))
    outputs = {model: _table(use).get("outputTokens", 0) for model, use in uses.items()}
    if not outputs:
        return None
    exact = [model for model, output in outputs.items() if output == used.get("output_tokens")]
    return exact[0] if len(exact) == 1 else max(outputs, key=lambda model: outputs[model])


def _table(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _of_name(text: str, roles: Collection[str]) -> Answered:
    model = _model(text)
    return (
        Answered(why=f"the last line, {_short(text)}, is no model")
        if model is None
        else Answered(dict.fromkeys(roles, model))
    )


def _model(found: object) -> str | None:
    if isinstance(found, dict):
        found = cast("dict[str, object]", found).get("model")
    name = found.strip() if isinstance(found, str) else ""
    return name if _NAME.fullmatch(name) else None


def _short(found: object) -> str:
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")

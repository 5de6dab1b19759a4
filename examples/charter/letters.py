"""Words of a letter: a subject without names, the asked questions, one line a field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from .outbox import Message


@cache
def _words(language: str) -> Mapping[str, str]:
    """Labels in a language; English where it has none."""
    known = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
    return {**known["en"], **known.get(language, {})}


def subject(message: Message) -> str:
    """Give the subject: what it is about and which booking, never who."""
    words = _words(message.language)
    title = words.get(f"title.{message.template}", message.template.replace("_", " ").capitalize())
    return f"{title} ({message.booking_id})" if message.booking_id else title


def body(message: Message) -> str:
    """Give the text. Free text stands in the place of the template's own."""
    if message.body is not None:
        return message.body
    words = _words(message.language)
    lines = [words["greeting"], "", subject(message) + ".", ""]
    lines += [
        f"{words.get(name, name.replace('_', ' '))}: {_shown(value, words)}" for name, value in message.fields.items()
    ]
    if message.link is not None:
        lines += ["", f"{words['answer_here']}: {message.link}"]
    if message.asks:
        lines += ["", *message.asks]
    return "\n".join([*lines, "", words["closing"], ""])


def _shown(value: Any, words: Mapping[str, str]) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return words["yes" if value else "no"]
        case float():
            return f"{value:.2f}"
        case list():
            return "; ".join(_shown(inner, words) for inner in cast("list[Any]", value)) or "-"
        case Mapping():
            pairs = cast("Mapping[str, Any]", value).items()
            return ", ".join(
                f"{words.get(k, k.replace('_', ' '))} {_shown(v, words)}" for k, v in pairs if v is not None
            )
        case _:
            return str(value)

"""Subagents that are given on the command line, with --agents: JSON, or for a newer terminal a file of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from trimtab.core.finding import Finding
from trimtab.terminal.agents import Agent
from trimtab.terminal.versions import Known

_WHERE = "--agents"
_LARGEST = 16_000_000


def given_agents(given: str | None, folder: Path, known: Known) -> tuple[dict[str, Agent], Finding | None]:
    """Read what --agents names, a relative path from `folder`; one that cannot be read takes all others with it.

    The finding says what is wrong. A newer terminal does not start then, which the caller sees to; an older one goes on without.
    """
    if given is None or not given.strip():
        return {}, None
    try:
        held: object = json.loads(_text(given.strip(), folder, known))
    except OSError as error:
        return {}, _wrong(f"{given!r} cannot be read: {(error.strerror or str(error)).lower()}", known)
    except (ValueError, RecursionError):
        return {}, _wrong("no JSON", known)
    if not isinstance(held, dict):
        return {}, _wrong("expected an object, of names and what each is", known)
    entries = cast("dict[str, object]", held)
    for name, entry in entries.items():
        if fault := _fault(entry, known):
            return {}, _wrong(f"{name!r}: {fault}", known)
    said = {name: cast("dict[str, Any]", entry).get("model") for name, entry in entries.items()}
    return {name: Agent(name, model.strip() if model else None, _WHERE) for name, model in said.items()}, None


def _text(given: str, folder: Path, known: Known) -> str:
    if given.startswith("{") or known.old:
        return given
    path = folder / given
    # A name too long for a file is JSON that went wrong.
    if path.stat().st_size > _LARGEST:
        raise OSError(0, "too large")
    return path.read_text("utf-8")


def _fault(entry: object, known: Known) -> str:
    if not isinstance(entry, dict):
        return "expected an object"
    held = cast("dict[str, object]", entry)
    for key in ("description", "prompt"):
        empty_is_fine = key == "prompt" and not known.old
        if not isinstance(held.get(key), str) or not (held[key] or empty_is_fine):
            return f"expected a text as {key!r}"
    if "model" in held and not (isinstance(held["model"], str) and held["model"].strip()):
        return "expected a text as 'model'"
    tools = held.get("tools", [])
    is_list = isinstance(tools, list) and all(isinstance(tool, str) for tool in cast("list[object]", tools))
    return "" if is_list else "expected a list of texts as 'tools'"


def _wrong(what: str, known: Known) -> Finding:
    why = "the terminal goes on without any of them" if known.old else "the terminal does not start"
    return Finding(what, _WHERE, why, 'give {"NAME": {"description": "...", "prompt": "...", "model": "..."}}', "error")

"""What a session that is continued would run: its own last model, where nothing stronger or narrower says otherwise."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from trimtab.terminal.agents import Agent, own_model
from trimtab.terminal.allow import COMPOSED, Lists
from trimtab.terminal.candidates import Candidate
from trimtab.terminal.names import Names, family_of, plain, undated

_CHUNK = 256 * 1024
_HEAD = 20
_NO_MODEL = "<synthetic>"
# Aliases, in small letters, that stand for another family in plan mode: a session of either family goes on with the alias.
_MOVING = {"haiku": ("haiku", "sonnet"), "opusplan": ("sonnet", "opus")}
_RENAMED = re.compile(r"claude-opus-4-1(?!\d)")


@dataclass(frozen=True, slots=True)
class Resumed:
    """The latest session of a project: the model that --continue, --resume and a fork of it go on with, and why."""

    session: str
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a transcript says at its end: the model that answered last, the one asked for, and the agent it runs as."""

    id: str
    model: str = ""
    asked: str = ""
    agent: str = ""


def latest(folder: Path) -> Session | None:
    """Read the session that was written last; None where there is none."""
    try:
        files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return None
    return next((_read(path) for path in files if _is_session(path)), None)


def named(name: str, folder: Path, *, anywhere: bool) -> Session | None:
    """Read the session of an id, or of a path to its transcript; None where there is none that may be continued.

    anywhere: those of other projects, too.
    """
    paths = [folder / f"{name}.jsonl", *(folder.parent.glob(f"*/{escape(name)}.jsonl") if anywhere else ())]
    if name.endswith(".jsonl"):
        paths = [Path(name)]
    return next((_read(path) for path in paths if _is_session(path)), None)


def goes_on(
    session: Session,
    fresh: str,
    asked: list[Candidate],
    decided: Candidate | None,
    *,
    lists: Lists,
    agents: Mapping[str, Agent],
) -> Resumed:
    """Say which model a session goes on with; `fresh` is what a new one would run, and `decided` what decides that.

    --model, an agent's own model and ANTHROPIC_MODEL move it, in this order. Where aliases are repinned, where its model is retired,
    unknown, renamed or not allowed by now, where it has none, and where it may be the alias of the settings in another mode, it starts
    as a new one does.
    """
    flag, agent, variable = (next(c for c in asked if c.layer == name) for name in ("flag", "agent", "ANTHROPIC_MODEL"))
    named = "" if flag.lost else flag.value or ""
    if decided is flag and flag.value == "":
        return Resumed(session.id, fresh, "--model moves it")
    if (flag.lost and lists.allows(fresh)) or (named and (lists.holds(named) or lists.instead(named))):
        return Resumed(session.id, fresh, "--model moves it")
    said, why = agent.value, "the agent's own model moves it"
    if agent.lost and session.agent in agents:
        said, why = own_model(agents[session.agent]), f"it runs as the agent {session.agent!r}, whose own model this is"
    if said and lists.holds(said):
        return Resumed(session.id, lists.names.overridden(lists.names.sent(said)), why)
    moves = decided.layer if decided is not None and decided.layer == "ANTHROPIC_DEFAULT_MODEL" else ""
    if moves := variable.layer if variable.counts else moves:
        return Resumed(session.id, fresh, f"{moves} moves it")
    model, unfit = _own(session, lists)
    name = (decided.value or "").strip() if decided is not None else ""
    name = name if lists.names.known.old else name.removesuffix("[1m]")
    if not unfit and family_of(model) in _MOVING.get(name, ()):
        unfit = f"{name!r} is {' or '.join(_MOVING[name])} by mode, and its own model is one of these"
    if unfit:
        return Resumed(session.id, fresh, f"it starts as a new one: {unfit}")
    return Resumed(session.id, lists.names.overridden(model), "a session keeps its last model")


def _own(session: Session, lists: Lists) -> tuple[str, str]:
    """Give the last model of a session, and why it does not go on with that one (empty: it does)."""
    names = lists.names
    if names.pinned:
        return "", f"{names.pinned} is set"
    if not (session.model or session.asked):
        return "", "it has no answer yet"
    # An API may answer with another name than it was asked for; a newer terminal then goes back to what it asked for.
    model = session.model if names.known.old or _knows(names, session.model) else session.asked
    low = model.lower()
    if not model or (names.known.old and not _knows(names, model)):
        return model, f"{names.known.version} does not know {session.model}"
    if names.known.retired.search(low) or (names.renames and _RENAMED.search(low)):
        return model, f"{model} is retired"
    return model, "" if lists.allows(low) or _stands_for(model, lists) else f"{model} is not allowed"


def _stands_for(model: str, lists: Lists) -> bool:
    """Whether a list lets a session go on with a model by a word that stands for it, and is of no family."""
    names, listed = lists.names, {plain(entry).lower() for entry in lists.allowed or ()}
    meant = {names.sent(word) for word in listed & COMPOSED}
    meant |= {lists.default(names.family("opus"))} if "default" in listed else set()
    return model in meant and not lists.denies(model)


def _knows(names: Names, model: str) -> bool:
    """Whether a version finds an id that it knows in a name."""
    known = (undated(full) for family in names.known.newest.values() for full in family)
    return any(full in model.lower() for full in (*known, *names.known.others))


def _is_session(path: Path) -> bool:
    """Whether a file is a person's session: named by an id, and not what a subagent wrote."""
    try:
        UUID(path.stem)
        with path.open("rb") as file:
            head = [_row(line) for line in itertools.islice(file, _HEAD)]
    except (ValueError, OSError):
        return False
    return next((row["isSidechain"] for row in head if "isSidechain" in row), False) is not True


def _read(path: Path) -> Session:
    model = asked = agent = ""
    for line in _lines_backwards(path):
        if not agent and b'"agent-setting"' in line and (row := _row(line)).get("type") == "agent-setting":
            agent = _text(row.get("agentSetting"))
        if not (model or asked) and b'"assistant"' in line:
            model, asked = _models(_row(line))
        if agent and (model or asked):
            break
    return Session(path.stem, model, asked, agent)


def _models(row: Mapping[str, Any]) -> tuple[str, str]:
    """Give the model that answered in a row of a transcript and the one that was asked for; empty where it is no answer."""
    message = row.get("message")
    if row.get("type") != "assistant" or row.get("isSidechain") or not isinstance(message, dict):
        return "", ""
    model = _text(cast("dict[str, Any]", message).get("model"))
    return ("", "") if model == _NO_MODEL else (model, _text(row.get("requestedModel")))


def _row(line: bytes) -> dict[str, Any]:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", row) if isinstance(row, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _lines_backwards(path: Path) -> Iterator[bytes]:
    rest = b""
    try:
        with path.open("rb") as file:
            at = file.seek(0, 2)
            while at > 0:
                size = min(_CHUNK, at)
                at -= size
                file.seek(at)
                first, *others = (file.read(size) + rest).split(b"\n")
                rest = first
                yield from reversed(others)
            yield rest
    except OSError:
        return

"""Subagents: the files that name them, and the model that each would run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab.terminal.names import FAMILIES, Names, family_of, plain

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_KEY = re.compile(r"^(name|model|description)[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_LARGEST = 1_000_000
BUILT_IN = ("Explore", "Plan", "general-purpose")


@dataclass(frozen=True, slots=True)
class Agent:
    """A subagent: its name, what its file says of the model (None: nothing), and the file (empty: built in)."""

    name: str
    said: str | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class AgentModel:
    """The model a subagent runs, and what decided that."""

    name: str
    model: str
    source: str
    file: str = ""


def read_agents(folders: tuple[Path, ...]) -> dict[str, Agent]:
    """Read every subagent's file; one of the project takes the place of one of the person with the same name."""
    found = {name: Agent(name) for name in BUILT_IN}
    for folder in folders:
        for path in _files(folder):
            agent = _agent(path)
            if agent is not None:
                found[agent.name] = agent
    return found


def agent_model(agent: Agent, parent: str, names: Names, env: Mapping[str, str]) -> AgentModel:
    """Say which model a subagent runs under a parent's model, where the call of it names none."""
    other = env.get("CLAUDE_CODE_SUBAGENT_MODEL", "").strip()
    forced = env.get("CLAUDE_CODE_SUBAGENT_MODEL_FORCE", "").strip().lower() in {"1", "true", "yes", "on"}
    if other and forced:
        return AgentModel(agent.name, named_under(other, parent, names), "CLAUDE_CODE_SUBAGENT_MODEL_FORCE", agent.file)
    if agent.said and plain(agent.said).lower() != "inherit":
        return AgentModel(agent.name, named_under(agent.said, parent, names), "frontmatter", agent.file)
    if other and not agent.said and plain(other).lower() != "inherit":
        return AgentModel(agent.name, named_under(other, parent, names), "CLAUDE_CODE_SUBAGENT_MODEL", agent.file)
    return AgentModel(agent.name, parent, "parent", agent.file)


def named_under(name: str, parent: str, names: Names) -> str:
    """Expand a name as below a parent: the alias of the parent's own family means the parent's version."""
    low = plain(name).lower()
    return parent if low in FAMILIES and family_of(parent) == low else names.sent(name)


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.rglob("*.md") if path.is_file())
    except OSError:
        return


def _agent(path: Path) -> Agent | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    front = _FRONT.match(text)
    said = {key: value.strip("\"'") for key, value in _KEY.findall(front[1])} if front else {}
    if not said.get("name") or not said.get("description"):
        return None
    return Agent(said["name"], said.get("model") or None, str(path))

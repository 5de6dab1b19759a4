"""Subagents: the files that name them, and the model that each would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab.terminal.allow import Lists
from trimtab.terminal.frontmatter import read_front
from trimtab.terminal.names import FAMILIES, family_of, plain
from trimtab.terminal.versions import Known

_LARGEST = 1_000_000
_ON = frozenset({"1", "true", "yes", "on"})
_MODEL, _FORCE = "CLAUDE_CODE_SUBAGENT_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL_FORCE"
# What the call of a subagent may name.
CALLED = (*FAMILIES, "fable")


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


def read_agents(
    folders: tuple[Path, ...], known: Known, env: Mapping[str, str], given: Mapping[str, Agent] | None = None
) -> dict[str, Agent]:
    """Read every subagent's file; one of a stronger folder takes the place of one with the same name.

    `given`: those of the command line, which only those of the last folder, the managed one, beat.
    """
    fewer = not known.old and is_on(env, "CLAUDE_CODE_DISABLE_EXPLORE_PLAN_AGENTS")
    found = {
        name: Agent(name, said) for name, said in known.agents.items() if not (fewer and name in {"Explore", "Plan"})
    }
    for at, folder in enumerate(folders):
        found |= (given or {}) if at == len(folders) - 1 else {}
        for path in _files(folder):
            agent = _agent(path, known)
            if agent is not None:
                found[agent.name] = agent
    return found


@dataclass(frozen=True, slots=True)
class Parent:
    """What subagents run under: the model of the session, before overrides, and what may run at all.

    held: an older terminal sends every subagent to the session's model, where an alias means another one in plan mode.
    """

    model: str
    lists: Lists
    env: Mapping[str, str]
    held: bool = False

    def runs(self, agent: Agent, called: str = "") -> AgentModel:
        """Say which model a subagent runs; `called` is what the call of it names."""
        names = self.lists.names
        name, source = ("", "plan mode") if self.held else _asked(agent, self.env, called, names.known)
        model = self._sent(name, source) if name else self.model
        if model != self.model and not self.lists.allows(model.lower()):
            model, source = self._instead(name, source)
        elif not name and source == "parent" and agent == Agent("Explore", "inherit") and family_of(model) == "fable":
            # It only looks around: under the dearest family the one that is built in takes the next, where that may run.
            next_one = names.family("opus")
            model, source = (next_one, "built-in") if self.lists.allows(next_one.lower()) else (model, source)
        return AgentModel(agent.name, names.overridden(model), source, agent.file)

    def _instead(self, name: str, source: str) -> tuple[str, str]:
        """Give what runs where a subagent's own model may not; an older version knows nothing but the parent's."""
        lists = self.lists
        if not lists.names.known.old:
            if instead := lists.instead(name):
                return instead, source
            other = _other(self.env, lists.names.known)
            if other and source not in {_MODEL, _FORCE}:
                sent = self._sent(other, _MODEL)
                if instead := sent if lists.allows(sent.lower()) else lists.instead(other):
                    return instead, f"{_MODEL}, as its own is not allowed"
        return self.model, "parent, as its own is not allowed"

    def _sent(self, name: str, source: str) -> str:
        """Expand a name; in a file and a call, the alias of the parent's own family means the parent's version."""
        low = name.strip().lower()
        if source not in {_MODEL, _FORCE} and low in CALLED and family_of(self.model) == low:
            return self.model
        # Unlike a session's, a subagent's full id is sent in the case it is written in.
        names, bare = self.lists.names, plain(name)
        sent = names.sent(name)
        return bare if sent == bare.lower() and not names.is_alias(name) else sent


def _asked(agent: Agent, env: Mapping[str, str], called: str, known: Known) -> tuple[str, str]:
    """Give the name that counts (empty: the parent's model), and what says it."""
    other = _other(env, known)
    if known.forces and is_on(env, _FORCE):
        return other, _FORCE
    if other and not known.forces:
        return other, _MODEL
    if called:
        return called, "call"
    if own := own_model(agent):
        return own, "frontmatter" if agent.file else "built-in"
    return (other, _MODEL) if other and not agent.said else ("", "parent")


def _other(env: Mapping[str, str], known: Known) -> str:
    """Give what the variable of all subagents says; empty where it leaves that to the session."""
    said = env.get(_MODEL, "")
    # Unlike in a file, this word counts in small letters only, and an older version counts the spaces.
    return "" if (said if known.old else said.strip()) == "inherit" else said.strip()


def own_model(agent: Agent) -> str | None:
    """Give what an agent says of its model where a session runs as it; None where it leaves that to the session."""
    return None if not agent.said or agent.said.lower() == "inherit" else agent.said


def is_on(env: Mapping[str, str], name: str) -> bool:
    """Whether a variable is switched on."""
    return env.get(name, "").strip().lower() in _ON


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.rglob("*.md") if path.is_file())
    except OSError:
        return


def _agent(path: Path, known: Known) -> Agent | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    # An older terminal does not know a file whose first bytes are a mark of its encoding.
    said = read_front(text if known.old else text.removeprefix("\ufeff"))
    name = said.get("name", "")
    if not name or not said.get("description") or (":" in name and not known.old):
        return None
    return Agent(name, said.get("model", "").strip() or None, str(path))

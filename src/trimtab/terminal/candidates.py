"""Every layer that may name the model of a fresh session, the strongest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.terminal.agents import Agent, own_model
from trimtab.terminal.layers import File, Layers
from trimtab.terminal.settings import Scope
from trimtab.terminal.versions import Known

_FILES: tuple[tuple[Scope, str], ...] = (
    ("managed", "managed"),
    ("flag", "--settings"),
    ("local", "local"),
    ("project", "project"),
    ("user", "user"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for on the command line: --model and --agent, each None where it is not given."""

    model: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one layer says of the model (None: nothing); `lost` says why it cannot count whatever the others say."""

    layer: str
    file: str
    key: str
    value: str | None
    lost: str = ""

    @property
    def counts(self) -> bool:
        """Whether this layer decides where no stronger one does."""
        return self.value is not None and not self.lost

    @property
    def where(self) -> str:
        """Name the layer, with its file."""
        return f"{self.layer}: {self.file}" if self.file else self.layer


def candidates(
    layers: Layers, agents: Mapping[str, Agent], env: Mapping[str, str], asked: Asked, known: Known
) -> list[Candidate]:
    """Give the layers in the order in which they count."""
    flag = asked.model
    found = [Candidate("flag", "", "--model", flag, "means: the default" if flag == "default" else "")]
    found.append(_agent(layers, agents, asked.agent))
    if flag == "":
        # An empty option is weaker than an agent, if than nothing else.
        found.reverse()
    found.append(_variable("ANTHROPIC_MODEL", layers, env))
    settled = False
    for scope, name in _FILES:
        for file in reversed(layers.of(scope)):
            value = file.values.get("model")
            text = value if isinstance(value, str) else None
            lost = file.dropped
            if scope == "user" and text is not None and text.strip().lower() == "sonnet[1m]" and known.sonnet_long:
                # On its very first start this version writes what the alias once meant into the person's file.
                text = known.sonnet_long
            if text == "" and not settled:
                lost = "empty: means the default"
            found.append(Candidate(name, file.path, "model", text, lost))
            settled = settled or text is not None
        if not layers.of(scope):
            found.append(Candidate(name, "", "model", None, "no such file"))
    default = _variable("ANTHROPIC_DEFAULT_MODEL", layers, env)
    if not known.default_key:
        default = Candidate(
            default.layer, default.file, default.key, default.value, f"{known.version} does not read it"
        )
    found.append(default)
    found.append(Candidate("built-in", "", "", "default"))
    return _stopped(found)


def _stopped(found: list[Candidate]) -> list[Candidate]:
    """An explicit default at some layer hides every weaker layer that names a model."""
    told: list[Candidate] = []
    hides = ""
    for candidate in found:
        hidden = (
            hides and candidate.layer not in {"ANTHROPIC_DEFAULT_MODEL", "built-in"} and candidate.value is not None
        )
        if hidden and not candidate.lost:
            told.append(
                Candidate(candidate.layer, candidate.file, candidate.key, candidate.value, f"overridden by {hides}")
            )
        else:
            told.append(candidate)
        if not hides and candidate.lost.startswith(("means: ", "empty: ")):
            hides = candidate.where
    return told


def _agent(layers: Layers, agents: Mapping[str, Agent], flag: str | None) -> Candidate:
    held = layers.strongest("agent")
    named = flag if flag is not None else held
    agent = agents.get(named) if isinstance(named, str) else None
    if agent is None:
        # A setting that names no agent is passed over; an option that does stops the terminal.
        return Candidate("agent", "", "agent", None, f"no agent is called {named!r}" if named else "no agent is set")
    return Candidate("agent", agent.file, "model", own_model(agent))


def _variable(name: str, layers: Layers, env: Mapping[str, str]) -> Candidate:
    held = layers.env().get(name)
    value = env.get(name) or None
    if held is not None:
        file: File = held[1]
        return Candidate(name, file.path, f"env.{name}", value)
    return Candidate(name, "", name, value)

"""Says which model a fresh session would run, which key of which file decides it, and why every other layer loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from trimtab.core.finding import Finding
from trimtab.terminal.agents import CALLED, Agent, AgentModel, Parent, read_agents
from trimtab.terminal.agents_given import given_agents
from trimtab.terminal.allow import Lists, read_lists
from trimtab.terminal.candidates import Asked, Candidate, candidates
from trimtab.terminal.fallback import fallbacks
from trimtab.terminal.layers import Layers, read_layers
from trimtab.terminal.names import ALIASES, Names, plain
from trimtab.terminal.place import Place
from trimtab.terminal.sessions import Resumed, Session, goes_on, latest, named
from trimtab.terminal.unusual import unusual
from trimtab.terminal.versions import MEASURED, NEWEST, nearest


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that says something: where it stands, what it says, and why it does not decide (empty: it does)."""

    layer: str
    file: str
    key: str
    value: str | None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the settings of a place come to.

    model:     the id in the request of a fresh session; empty where none would start (`runs` is false).
    source:    the layer that decides, with its file; key: the key there.
    layers:    every layer in order, the strongest first, each with why it lost.
    resumed:   what the session that was written last would go on with; None where there is none, or none starts.
    fallbacks: the models that a session turns to where its own fails, in order.
    calls:     what a subagent without a model of its own runs where the call of it names one, by the name.
    """

    model: str
    source: str
    key: str
    layers: tuple[Layer, ...]
    problems: tuple[Finding, ...]
    cli_version: str
    resumed: Resumed | None
    subagents: tuple[AgentModel, ...]
    aliases: Mapping[str, str]
    runs: bool = True
    calls: Mapping[str, str] = field(default_factory=dict[str, str])
    fallbacks: tuple[str, ...] = ()


def resolve(
    place: Place,
    version: str | None,
    flag: str | None = None,
    settings: str | None = None,
    agent: str | None = None,
    *,
    fallback: str | None = None,
    given: str | None = None,
    resume: str | None = None,
) -> Resolution:
    """Resolve a place as a version of the terminal does.

    `flag` is --model, `given` is --agents, the others are the options of their names; without `resume` the latest session is looked at.

    Reads files, runs nothing, changes nothing. Precedence and aliases as measured (docs/decisions/0013-terminal.md).
    """
    known = nearest(version or NEWEST)
    if known.sonnet_long and place.is_marked:
        known = replace(known, sonnet_long="")
    place, layers, env = _layers(place, settings, known.version)
    names = Names(known, env, layers.overrides())
    lists = read_lists(layers, names)
    theirs, ungiven = given_agents(given, place.project, known)
    agents = read_agents(place.agents, known, env, theirs)
    asked = candidates(layers, agents, env, Asked(flag, agent), known)
    plan = _mode(layers) == "plan"
    model, decided, losses = _decide(asked, lists, plan=plan)
    ungiven = [ungiven] if ungiven else []
    missing = _stopped(agents, agent)
    stopped = [*missing, *(file for file in layers.files if file.closed)]
    # A session that goes on is not kept from it by what is wrong with --agents.
    may_go_on = model is not None and not stopped
    stopped += [] if known.old else ungiven
    runs = model is not None and not stopped
    sent = names.overridden(model) if model is not None and runs else ""
    problems = [finding for file in layers.files for finding in file.problems] + missing + ungiven
    problems += _remarks(sent, decided, lists, losses, version, runs=runs, closed=bool(stopped))
    problems += unusual(sent, decided, names, env) if runs else ()
    session = _session(place, resume, anywhere=known.rooted) if may_go_on else None
    fresh = names.overridden(model) if model is not None else ""
    held = known.old and plan and decided is not None and plain(decided.value or "").lower() in {"haiku", "opusplan"}
    parent = Parent(model or "", lists, env, held)
    return Resolution(
        sent,
        decided.where if decided else "",
        decided.key if decided else "",
        _told(asked, decided, losses),
        tuple(problems),
        version or NEWEST,
        goes_on(session, fresh, asked, decided, lists=lists, agents=agents) if session is not None else None,
        tuple(parent.runs(agent) for agent in agents.values()) if runs else (),
        {alias: names.sent(alias) for alias in ALIASES},
        runs,
        {name: parent.runs(Agent("general-purpose"), name).model for name in CALLED} if runs else {},
        fallbacks(layers, fallback, model or "", lists, env, default=_default(asked, lists, {})[0]) if runs else (),
    )


def _session(place: Place, resume: str | None, *, anywhere: bool) -> Session | None:
    if resume is None:
        return latest(place.transcripts)
    return named(resume, place.transcripts, anywhere=anywhere)


def _layers(place: Place, settings: str | None, version: str) -> tuple[Place, Layers, dict[str, str]]:
    layers = read_layers(place, settings, version)
    block = layers.env()
    moved = block.get("CLAUDE_CONFIG_DIR")
    if moved is not None and place.project / moved[0] != place.folder:
        # The terminal reads the person's settings again from where a block sends it.
        place = replace(place, env={**place.env, "CLAUDE_CONFIG_DIR": moved[0]})
        layers = read_layers(place, settings, version)
    return place, layers, {**place.env, **{name: value for name, (value, _) in {**block, **layers.env()}.items()}}


def _mode(layers: Layers) -> str:
    for file in reversed(layers.files):
        permissions = file.values.get("permissions")
        if isinstance(permissions, dict):
            mode = cast("dict[str, object]", permissions).get("defaultMode")
            if isinstance(mode, str):
                return mode
    return "default"


def _decide(
    asked: list[Candidate], lists: Lists, *, plan: bool
) -> tuple[str | None, Candidate | None, dict[Candidate, str]]:
    """Take the strongest candidate; one that may not run leads to what its family may, or to the default."""
    losses: dict[Candidate, str] = {}
    first = next((candidate for candidate in asked if candidate.counts), None)
    if first is not None and first.value is not None and first.layer not in {"built-in", "ANTHROPIC_DEFAULT_MODEL"}:
        sent = lists.names.sent(first.value)
        if first.layer == "flag" and not first.value:
            # No list is asked about an empty name.
            return sent, first, losses
        if lists.holds(first.value):
            return _planned(first.value, sent, lists, plan=plan), first, losses
        instead = lists.instead(first.value)
        if instead is not None:
            return instead, first, losses
        losses[first] = f"{sent} is not allowed by availableModels or deniedModels"
    model, decided = _default(asked, lists, losses)
    return model, decided, losses


def _planned(name: str, sent: str, lists: Lists, *, plan: bool) -> str:
    other = lists.names.sent(name, plan=True) if plan else sent
    return other if lists.allows(other) else sent


def _default(asked: list[Candidate], lists: Lists, losses: dict[Candidate, str]) -> tuple[str | None, Candidate | None]:
    for candidate in asked:
        if candidate.layer == "ANTHROPIC_DEFAULT_MODEL" and candidate.counts and candidate.value is not None:
            low = plain(candidate.value).lower()
            if low in {"default", "inherit", "haiku", "opusplan", ""}:
                losses[candidate] = f"{low!r} does not count here"
            elif lists.flagged or not lists.allows(lists.names.sent(candidate.value)):
                losses[candidate] = "not in availableModels"
            else:
                return lists.names.sent(candidate.value), candidate
    # The variable that repins the default may name an alias, which is looked at once more.
    opus = lists.names.family("opus")
    return lists.default(lists.names.sent(opus) if lists.names.is_alias(opus) else opus), asked[-1]


def _told(asked: list[Candidate], decided: Candidate | None, losses: Mapping[Candidate, str]) -> tuple[Layer, ...]:
    told: list[Layer] = []
    above = True
    for candidate in asked:
        won = candidate == decided
        lost = "" if won else losses.get(candidate) or candidate.lost
        if not won and not lost:
            by = decided.where if decided else "nothing"
            lost = "not set" if candidate.value is None else f"overridden by {by}" if not above else "passed over"
        told.append(Layer(candidate.layer, candidate.file, candidate.key, candidate.value, lost))
        above = above and not won
    return tuple(told)


def _stopped(agents: Mapping[str, Agent], agent: str | None) -> list[Finding]:
    if agent is None or agent in agents:
        return []
    why = f"the terminal does not start; its agents are {', '.join(sorted(agents))}"
    return [Finding(f"no agent is called {agent!r}", "--agent", why, "give the name as its file writes it", "error")]


def _remarks(
    model: str,
    decided: Candidate | None,
    lists: Lists,
    losses: Mapping[Candidate, str],
    version: str | None,
    *,
    runs: bool,
    closed: bool,
) -> list[Finding]:
    found: list[Finding] = []
    if not runs and not closed:
        why = "every model that the terminal could fall back to is denied"
        found.append(Finding("no session starts", "deniedModels", why, "allow one model of a family", "error"))
    for candidate, why in losses.items():
        what = f"{candidate.value!r} does not run: {model or 'nothing'} does"
        mend = "add the model to availableModels, or ask for one that is on it"
        found.append(Finding(what, candidate.where, why, mend, "error"))
    if runs and lists.allowed is not None and not lists.allows(model):
        what = f"{model} runs though it is not in availableModels"
        why = "the list alone does not hold for the default"
        found.append(Finding(what, "availableModels", why, 'add "enforceAvailableModels": true', "warning"))
    if decided is not None and decided.value and lists.names.is_alias(decided.value):
        what = f"{decided.value!r} is an alias: it is {model} at this version, and another model at the next"
        found.append(Finding(what, decided.where, "", f"name {model} in full", "note"))
    if version is None:
        what = f"no terminal is installed: taken to be {NEWEST}"
        found.append(Finding(what, "", "", "trimtab terminal show --cli-version V", "warning"))
    elif version not in MEASURED:
        what = f"version {version} was not measured: taken to be as {nearest(version).version}"
        found.append(Finding(what, "", f"measured at {', '.join(MEASURED)}", "trimtab terminal verify", "note"))
    return found

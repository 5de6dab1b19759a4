"""A rollout as a state machine. Pure: how its stages stand and an event in, how they stand then or a refusal out.

States of a stage (of a whole rollout: `Rollout.state`):

    waiting    not reached yet.
    running    in force for new runs; its hosts are being changed, one after another.
    holding    in force everywhere; when its hold is over, its gate says whether the next stage begins.
    passed     in force, and its gate let it go on (or a person did).
    paused     what it was (`was`) when a person stopped it from going on; what is in force stays, and harm still ends it.
    failed     it did harm or could not be put in force: not in force, and the rollout with it.
    aborted    not in force since another stage failed or a person ended it.
    undone     not in force: taken back by a person afterwards.

                     .--------- pause / resume ---------.
    waiting -start-> running -entered-> holding -pass, promote-> passed (the next stage is running)
                        '-- fail, abort --'-> failed, aborted              any state -undo-> undone
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from trimtab.core.values import Json
from trimtab.policy.rollout_spec import StageSpec

State: TypeAlias = Literal["waiting", "running", "holding", "passed", "failed", "paused", "aborted", "undone"]
Event: TypeAlias = Literal["start", "entered", "pass", "promote", "pause", "resume", "fail", "abort", "undo"]
STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)
ACTIVE: frozenset[State] = frozenset({"running", "holding", "paused"})
ENDED: frozenset[State] = frozenset({"failed", "aborted", "undone"})


@dataclass(frozen=True, slots=True)
class Stage:
    """How one stage stands, and since when. `was`: what it was before it was paused.

    `entered`: when it was reached. `held`: since when all its hosts are changed, which is when its hold begins.
    """

    state: State = "waiting"
    since: datetime | None = None
    was: State | None = None
    entered: datetime | None = None
    held: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Whether its weight counts."""
        return self.state in ACTIVE or self.state == "passed"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How every stage stands. At most one is active; those before it have passed, those after it wait."""

    stages: tuple[Stage, ...]

    @property
    def at(self) -> int | None:
        """The stage that is active (None: none is)."""
        return next((n for n, stage in enumerate(self.stages) if stage.state in ACTIVE), None)

    @property
    def state(self) -> State:
        """One word for all: that of the active stage, else why there is none."""
        if self.at is not None:
            return self.stages[self.at].state
        states = {stage.state for stage in self.stages}
        return next(state for state in ("undone", "failed", "aborted", "waiting", "passed") if state in states)

    def weights(self, specs: Sequence[StageSpec]) -> dict[str, float]:
        """Give the share of new runs that get the new map, by environment, where that is not none."""
        shares: dict[str, float] = {}
        for stage, spec in zip(self.stages, specs, strict=True):
            if stage.in_force:
                shares[spec.environment] = max(spec.weight, shares.get(spec.environment, 0.0))
        return shares

    def as_json(self) -> list[dict[str, Json]]:
        """Write it down."""
        return [
            {
                "state": stage.state,
                "since": stage.since and stage.since.isoformat(),
                "was": stage.was,
                "entered": stage.entered and stage.entered.isoformat(),
                "held": stage.held and stage.held.isoformat(),
            }
            for stage in self.stages
        ]


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that is not possible now: why, and what is."""

    why: str
    hint: str


def new(stages: int) -> Rollout:
    """Give a rollout of so many stages that was not started."""
    return Rollout((Stage(),) * stages)


def from_json(kept: Any) -> Rollout:
    """Read back what `Rollout.as_json` wrote."""
    return Rollout(tuple(_stage(told) for told in kept))


def _stage(told: Mapping[str, Any]) -> Stage:
    times = (told[key] and datetime.fromisoformat(told[key]) for key in ("since", "entered", "held"))
    since, entered, held = times
    return Stage(told["state"], since, told["was"], entered, held)


def move(rollout: Rollout, event: Event, at: datetime) -> Rollout | Refused:
    """Let an event happen. `undo` is possible always; whatever happens, the outcome is legal (see `Rollout`)."""
    states, change = _MOVES[event]
    if rollout.state not in states:
        return Refused(f"it is {rollout.state}: {event!r} is not possible", _POSSIBLE[rollout.state])
    return change(rollout, rollout.at or 0, at)


_POSSIBLE: Mapping[State, str] = {
    "waiting": "start it first",
    "running": "its hosts are being changed; wait until it is holding, or pause or abort it",
    "holding": "promote, pause, abort or undo it",
    "passed": "it has passed all its stages; undo takes it back",
    "failed": "start it again, or undo it",
    "paused": "resume, abort or undo it",
    "aborted": "start it again, or undo it",
    "undone": "start it again",
}


def _start(rollout: Rollout, now: int, at: datetime) -> Rollout:
    return _with(new(len(rollout.stages)), now, Stage("running", at, entered=at))


def _enter(rollout: Rollout, now: int, at: datetime) -> Rollout:
    return _with(rollout, now, replace(rollout.stages[now], state="holding", since=at, held=at))


def _pass(rollout: Rollout, now: int, at: datetime) -> Rollout:
    passed = _with(rollout, now, replace(rollout.stages[now], state="passed", since=at))
    return _with(passed, now + 1, Stage("running", at, entered=at)) if now + 1 < len(rollout.stages) else passed


def _pause(rollout: Rollout, now: int, at: datetime) -> Rollout:
    stage = rollout.stages[now]
    return _with(rollout, now, replace(stage, state="paused", since=at, was=stage.state))


def _resume(rollout: Rollout, now: int, at: datetime) -> Rollout:
    stage = rollout.stages[now]
    return _with(rollout, now, replace(stage, state=stage.was or "running", since=at, was=None))


def _fail(rollout: Rollout, now: int, at: datetime) -> Rollout:
    failed = replace(rollout.stages[now], state="failed", since=at, was=None)
    return _with(_abort(rollout, now, at), now, failed)


def _abort(rollout: Rollout, now: int, at: datetime) -> Rollout:  # noqa: ARG001 - one shape for the table
    return _taken_back(rollout, "aborted", at, kept=frozenset({"waiting", *ENDED}))


def _undo(rollout: Rollout, now: int, at: datetime) -> Rollout:  # noqa: ARG001 - as above
    return _taken_back(rollout, "undone", at, kept=frozenset({"waiting", "undone"}))


def _with(rollout: Rollout, index: int, stage: Stage) -> Rollout:
    return Rollout((*rollout.stages[:index], stage, *rollout.stages[index + 1 :]))


def _taken_back(rollout: Rollout, state: State, at: datetime, kept: frozenset[State]) -> Rollout:
    ended = (replace(stage, state=state, since=at, was=None) for stage in rollout.stages)
    pairs = zip(rollout.stages, ended, strict=True)
    return Rollout(tuple(stage if stage.state in kept else end for stage, end in pairs))


# From which states of the rollout each event is possible, and what it does to the stages (`now`: the active one).
_MOVES: Mapping[Event, tuple[frozenset[State], Callable[[Rollout, int, datetime], Rollout]]] = {
    "start": (frozenset({"waiting", *ENDED}), _start),
    "entered": (frozenset({"running"}), _enter),
    "pass": (frozenset({"holding"}), _pass),
    "promote": (frozenset({"holding"}), _pass),
    "pause": (frozenset({"running", "holding"}), _pause),
    "resume": (frozenset({"paused"}), _resume),
    "fail": (ACTIVE, _fail),
    "abort": (ACTIVE, _abort),
    "undo": (frozenset(STATES), _undo),
}

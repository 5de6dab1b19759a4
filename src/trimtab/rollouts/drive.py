"""Looks after a rollout: puts the stage it is at in force, asks its gate, lets it go on or ends it, and takes hosts back.

Whatever is done is written down before it is relied on, and every move names the one that it rests on: so it may be killed at any point,
and any number of processes may look after the same rollout.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trimtab.core.moves import RolloutFact
from trimtab.core.values import Json
from trimtab.learn.rollout import ACTIVE, ENDED, Event, Refused, from_json
from trimtab.policy.rollout_spec import StageSpec
from trimtab.policy.spec import Policy
from trimtab.rollouts.fleet import FleetResult, HostNews, apply_stage, hosts_of, restore_all, to_restore
from trimtab.rollouts.fleet_check import Checked, check_stage
from trimtab.rollouts.fleet_lines import restored
from trimtab.rollouts.gate import Gates
from trimtab.rollouts.moves import Standing, find, move_rollout, newest

if TYPE_CHECKING:
    from trimtab.learn.gate import Gated

AUTOMATIC = "trimtab"  # who made a move that a gate or a host decided
_LOOK_EVERY = 2.0  # seconds; harm that is shown is answered within so many
_log = logging.getLogger("trimtab.rollouts")


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to. `moved` are the moves made; `waits` says what is left to do that may not be done here."""

    standing: Standing
    gated: Gated | None
    moved: tuple[RolloutFact, ...] = ()
    waits: str = ""
    fleet: FleetResult | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Move the rollout."""

    event: Event
    reason: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Change:
    """Change the hosts of the stage it is at."""

    stage: StageSpec


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the hosts of the stage it is at: they have to be as the rollout left them, and healthy."""

    stage: StageSpec


@dataclass(frozen=True, slots=True)
class Restore:
    """Take back what was done to hosts."""


Step: TypeAlias = Move | Change | Look | Restore | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the runs. `reaches`: its stage has hosts; `to_take_back`: some host may still be on the new map.

    `checked`: what its hosts were like a moment ago (None: nobody looked); `check`: they are wanted to be looked at.
    """

    reaches: bool
    to_take_back: bool
    check: bool = False
    checked: Checked | None = None


def next_step(standing: Standing, gated: Gated | None, known: Known) -> Step:
    """Decide what is to be done."""
    rollout = standing.rollout
    if rollout.at is None:
        return Restore() if known.to_take_back and rollout.state in ENDED else None
    if gated is not None and gated.word == "fail":
        return Move("fail", gated.reason, gated.evidence)
    stage = standing.spec.stages[rollout.at]
    match rollout.state:
        case "running":
            return Change(stage) if known.reaches else Move("entered", "", {})
        case "holding" if known.reaches:
            return _next_with_hosts(stage, gated, known)
        case "holding" if gated is not None and gated.word == "pass":
            return Move("pass", gated.reason, gated.evidence)
        case _:
            return None


def _next_with_hosts(stage: StageSpec, gated: Gated | None, known: Known) -> Step:
    passes, checked = gated is not None and gated.word == "pass", known.checked
    if checked is None:
        return Look(stage) if passes or known.check else None
    if checked.sick:
        return Move("fail", f"a host of the stage is not as it should be: {checked.text}", checked.as_json())
    # What is not known to be well does not pass.
    return Move("pass", gated.reason, gated.evidence) if gated and passes and not checked.unknown else None


async def look_after(
    store: Path,
    policy: Policy,
    name: str,
    *,
    by: str,
    hosts: bool,
    told: Callable[[HostNews], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    gates: Gates | None = None,
    check: bool = False,
) -> Round:
    """Do all that can be done now. `hosts`: whether this process may reach them; `told` hears what comes of each.

    Who looks again and again keeps the `gates`, which then read only what is new. `check`: look at the hosts of a stage that is holding,
    which is always done before it passes.

    Raises UsageError where it was never started, ModuleNotFoundError where a gate needs the extra `learn`.
    """
    moved: list[RolloutFact] = []
    fleet: FleetResult | None = None
    checked: Checked | None = None
    gates = gates or Gates(store)
    while True:
        standing = await asyncio.to_thread(find, store, name)
        gated = await asyncio.to_thread(gates.look, standing, now())
        last = standing.last
        taken = to_restore(store, name, last.attempt) if standing.rollout.state in ENDED else ()
        step = next_step(standing, gated, Known(_reaches(policy, standing), bool(taken), check and hosts, checked))
        move = partial(move_rollout, store, name, seen=last.number)
        match step:
            case None:
                return Round(standing, gated, tuple(moved), checked.text if checked else "", fleet)
            case Move(event, reason, evidence):
                # What the runs or the hosts decided, nobody did.
                who = by if event == "entered" else AUTOMATIC
                moved += _made(move(event, by=who, at=now(), reason=reason, evidence=evidence))
            case Change() | Look() | Restore() if not hosts:
                return Round(standing, gated, tuple(moved), _for_somebody(step, name), fleet)
            case Look(stage):
                gone = restored(store, name, last.attempt)
                checked = await check_stage(policy, stage, standing.after[stage.environment], gone)
            case Change(stage):
                wanted = standing.after[stage.environment]
                good = _still_good(store, gates, standing, now)
                fleet = await apply_stage(store, policy, name, last.attempt, stage, wanted, by, told, good)
                if fleet.stopped == "busy":
                    # Whoever holds the lock is at it; that is no fault of the rollout.
                    return Round(standing, gated, tuple(moved), fleet.why, fleet)
                # Where somebody else moved it meanwhile (paused, aborted) that is answered in the next turn.
                event: Event = "entered" if fleet.ok else "fail"
                who, why = (by, "") if fleet.ok else (AUTOMATIC, fleet.why)
                moved += _made(move(event, by=who, at=now(), reason=why, evidence=fleet.as_json()))
            case Restore():
                fleet = await restore_all(store, policy, name, last.attempt, by, told)
                return Round(standing, gated, tuple(moved), "" if fleet.ok else fleet.why, fleet)


def _made(came: RolloutFact | Refused | None) -> list[RolloutFact]:
    return [came] if isinstance(came, RolloutFact) else []


async def keep_looking(store: Path, policy: Policy) -> None:
    """Look after every rollout of a store beside its worker, which reaches no host, until cancelled."""
    gates = Gates(store)
    while True:
        try:
            active = [fact.name for fact in await asyncio.to_thread(newest, store) if _is_active(fact)]
            for name in active:
                await look_after(store, policy, name, by=AUTOMATIC, hosts=False, told=lambda _: None, gates=gates)
        except ModuleNotFoundError as missing:
            _log.error("rollouts are not looked after: a gate needs %s; pip install 'trimtab[learn]'", missing.name)
            return
        except Exception:  # noqa: BLE001 - a store that cannot be read now must not end the worker
            _log.exception("rollouts could not be looked after; tried again in %s s", _LOOK_EVERY)
        await asyncio.sleep(_LOOK_EVERY)


def _is_active(fact: RolloutFact) -> bool:
    return from_json(fact.stages).state in ACTIVE


def _reaches(policy: Policy, standing: Standing) -> bool:
    at = standing.rollout.at
    return at is not None and bool(hosts_of(policy, standing.spec.stages[at]))


def _still_good(store: Path, gates: Gates, standing: Standing, now: Callable[[], datetime]) -> Callable[[], str | None]:
    """Make the question whether hosts may go on being changed: nobody moved the rollout, and its runs show no harm."""

    def still_good() -> str | None:
        stands = find(store, standing.last.name)
        if stands.last.number != standing.last.number:
            return f"{stands.last.by}: {stands.last.event} {stands.last.reason}".rstrip()
        gated = gates.look(stands, now())
        return gated.reason if gated is not None and gated.word == "fail" else None

    return still_good


def _for_somebody(step: Change | Look | Restore, name: str) -> str:
    match step:
        case Look():
            return f"its hosts are to be looked at before it passes: trimtab rollout resume {name}"
        case Change():
            return f"its hosts are to be changed: trimtab rollout resume {name}"
        case Restore():
            return f"its hosts are to be taken back: trimtab rollout abort {name}"

"""What to do about a run that stands where nobody meant it to: each way on, with the exact command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab.cli.options import POLICY_FILE
from trimtab.core.outcome import Status
from trimtab.core.records import EffectFact
from trimtab.journal.lines import HalfDone, RunDetail

# Statuses of which a run that still waits goes on when a person says so.
RESUMABLE = (Status.NEEDS_YOU, Status.PAUSED_BUDGET, Status.NEEDS_CREDENTIAL)


@dataclass(frozen=True, slots=True)
class Where:
    """The store that a command was pointed at: the next command is pointed there, too."""

    store: Path | None
    policy_file: str

    def command(self, *words: str) -> str:
        """Write a command that may be pasted; `YOU` is for a person to fill in."""
        places = ["--store", str(self.store)] if self.store else []
        places += ["--policy", self.policy_file] if self.policy_file != POLICY_FILE else []
        return " ".join(["trimtab", *words, *map(shlex.quote, places)])


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do, and the commands for it (none: it is done elsewhere)."""

    what: str
    commands: tuple[str, ...] = ()


def called(effect: EffectFact) -> str:
    """Name an effect as people speak of it."""
    return f"{effect.role}.{effect.tool} of {effect.subtask}"


def about_half_done(half: HalfDone, where: Where) -> list[Advice]:
    """Say what to do about a run that stands half done."""
    states = {effect.state for effect in half.stands}
    of_effects = [given for effect in half.stands if (given := _about(effect, half, where)) is not None]
    if half.told:
        return [*of_effects, _to_a_worker(where)]
    if half.line.final:
        left = [Advice("it has ended: what is left is for a person to do")]
        return [*of_effects, *(left if half.line.status == Status.NEEDS_YOU else [])]
    run = half.line.run_id
    if "uncompensated" in states:
        return [Advice("mend what stopped it, then let it be tried again:", (_resume(run, where),)), *of_effects]
    if "unknown" in states or half.line.status != Status.NEEDS_YOU:
        return of_effects
    on = Advice("mend what the reason names, then let it go on:", (_resume(run, where),))
    end = Advice("or end it, which takes back what can be:", (where.command("runs", "cancel", run, "--by YOU"),))
    return [*of_effects, on, *([] if half.ending else [end])]


def about_run(detail: RunDetail, where: Where) -> Sequence[Advice]:
    """Say what to do next about a run, where anything is for a person to do."""
    line = detail.line
    if line.status in (Status.NEEDS_YOU, Status.FAILED, Status.CANCELLED):
        return about_half_done(detail.half_done, where)
    if detail.half_done.told:
        return [_to_a_worker(where)]
    if line.final:
        return []
    return _NEXT[line.status](detail, where) if line.status in _NEXT else []


def _about(effect: EffectFact, half: HalfDone, where: Where) -> Advice | None:
    settle = ("effects", "settle", effect.key)
    name = called(effect)
    noted = (where.command(*settle, "--noted", "--by YOU"),) if half.line.final else ()
    then = ", then:" if noted else ""
    match effect.state:
        case "unknown":
            what = f"see whether {name} was made, then say so; --result JSON where others need what it gave:"
            said = ("--made", "--not-made")
            return Advice(what, tuple(where.command(*settle, how, "--by YOU") for how in said))
        case "uncompensated":
            by_hand = where.command(*settle, "--undone", "--by YOU")
            return Advice(f"or take {name} back by hand, then say so:", (by_hand,))
        case "reserved":
            return Advice(f"{name} may have been made: see for yourself, its run has ended{then}", noted)
        case "committed" if half.ending and effect.effect == "irreversible":
            return Advice(f"{name} stands and cannot be taken back: tell who is concerned{then}", noted)
        case "committed" if half.line.final and half.line.status != Status.NEEDS_YOU:
            return Advice(f"{name} stands though its run has ended: take it back by hand{then}", noted)
        case _:
            return None


def about_held(name: str, key: str, where: Where) -> Advice:
    """Say how a held call is decided."""
    what = f"a person decides whether {name} runs, once and with these very arguments, or never:"
    return Advice(what, tuple(where.command("approvals", how, key, "--by YOU") for how in ("approve", "deny")))


def _to_a_worker(where: Where) -> Advice:
    return Advice("what was said is taken up by a worker:", (where.command("worker"),))


def hint_worker(where: Where) -> str:
    """Say who carries out what was said just now."""
    return f"hint: a worker takes it up; where none runs: {where.command('worker')}"


def _resume(run_id: str, where: Where, *more: str) -> str:
    return where.command("runs", "resume", run_id, *more, "--by YOU")


def _paused(detail: RunDetail, where: Where) -> list[Advice]:
    what = "let it use more (a cap that the reason names), or another model:"
    ways = (["--raise CAP=AMOUNT"], ["--model ROLE=MODEL"])
    return [Advice(what, tuple(_resume(detail.line.run_id, where, *way) for way in ways))]


def _credential(detail: RunDetail, where: Where) -> list[Advice]:
    del detail
    return [Advice("renew what has expired; the run then goes on by itself:", (where.command("credentials", "list"),))]


def _approval(detail: RunDetail, where: Where) -> list[Advice]:
    decided = {decision.key for decision in detail.decisions}
    calls = {c.idempotency_key: c for c in detail.tool_calls if c.outcome == "held"}
    return [
        about_held(f"{call.role}.{call.tool} of {call.subtask}", key, where)
        for key, call in calls.items()
        if key not in decided
    ]


_NEXT: Mapping[str, Callable[[RunDetail, Where], Sequence[Advice]]] = {
    Status.PAUSED_BUDGET: _paused,
    Status.NEEDS_CREDENTIAL: _credential,
    Status.AWAITING_APPROVAL: _approval,
}

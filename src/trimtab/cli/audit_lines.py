"""The audit log as entries: moves of rollouts, steps on hosts and moves of experiments, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from rich.markup import escape

from trimtab.cli.audit_evidence import in_short
from trimtab.cli.hosts_preview import lines_back
from trimtab.cli.rollout_words import answered_text, change_lines, plain, share
from trimtab.cli.show import console
from trimtab.core.moves import ExperimentFact, HostFact, RolloutFact
from trimtab.core.values import Json
from trimtab.hosts.plan import file_change
from trimtab.journal import experiments, rollouts
from trimtab.journal.reader import Journal

Kind: TypeAlias = Literal["rollout", "experiment", "host"]
_BAD = frozenset({"fail", "abort", "undo", "failed", "unknown", "stopped"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did. `was` and `now` are what it changed, in words; `part_of` is the rollout of a step on a host."""

    at: datetime
    by: str
    kind: Kind
    name: str
    event: str
    was: str
    now: str
    reason: str
    evidence: Json
    number: int
    attempt: int | None = None
    part_of: str = ""
    environment: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What it is found by."""
        return tuple(name for name in (self.name, self.part_of) if name)

    def concerns(self, name: str) -> bool:
        """Whether it is about what has this name."""
        return name in self.names


def entries(store: Path) -> list[Entry]:
    """Read all there are, the oldest first."""
    with Journal(store) as journal:
        moved, hosts, tried = journal.read(lambda c: (rollouts.every(c), rollouts.host_lines(c), experiments.every(c)))
    found = [*_rollouts(moved), *_hosts(hosts), *_experiments(tried)]
    # The sort is stable: what one log has in one instant keeps its order.
    return sorted(found, key=lambda entry: entry.at)


def _rollouts(moves: Sequence[RolloutFact]) -> Iterator[Entry]:
    before: dict[str, RolloutFact] = {}
    for move in moves:
        last = before.get(move.name)
        before[move.name] = move
        weights = (_weights(last.weights if last else {}), _weights(move.weights))
        was, now = _started(move) if move.event == "start" else weights
        yield Entry(
            at=move.at, by=move.by, kind="rollout", name=move.name, event=move.event, was=was, now=now, reason=move.reason,
            evidence=move.evidence, number=move.number, attempt=move.attempt,
        )  # fmt: skip


def _weights(kept: Json) -> str:
    weights = cast("Mapping[str, float]", kept)
    return ", ".join(f"{environment} {share(weight)}" for environment, weight in weights.items()) or "nowhere"


def _started(move: RolloutFact) -> tuple[str, str]:
    change = cast("Any", move.evidence)
    lines = change_lines(change["from"], change["to"])
    was = ", ".join(f"{role} {old}" for role, _, old, _ in lines)
    return was, f"{', '.join(f'{role} {new}' for role, _, _, new in lines)}; {_weights(move.weights)}"


def _hosts(lines: Sequence[HostFact]) -> Iterator[Entry]:
    for line in lines:
        answered, before = answered_text(cast("Mapping[str, str]", line.answered)), ""
        if line.step == "writing":
            answered, before = _models(line.wanted), answered
        yield Entry(
            at=line.at, by=line.by, kind="host", name=line.host, event=line.step, was=before, now=answered, reason=line.reason,
            evidence={"files": line.files, "wanted": line.wanted, "answered": line.answered, **cast("Any", line.evidence)},
            number=line.number, attempt=line.attempt or None, part_of=line.rollout, environment=line.environment,
        )  # fmt: skip


def _models(kept: Json) -> str:
    return answered_text({role: plain(model) for role, model in cast("Mapping[str, str]", kept).items()})


def _experiments(moves: Sequence[ExperimentFact]) -> Iterator[Entry]:
    before: dict[str, ExperimentFact] = {}
    for move in moves:
        last = before.get(move.name)
        before[move.name] = move
        was = f"{last.state} at {share(last.weight)}" if last else "not started"
        yield Entry(
            at=move.at, by=move.by, kind="experiment", name=move.name, event="stop" if move.state == "stopped" else "start",
            was=was, now=f"{move.state} at {share(move.weight)}", reason=move.reason, evidence={}, number=move.number,
            environment=str(cast("Any", move.declared)["environment"]),
        )  # fmt: skip


def as_json(entry: Entry) -> dict[str, Any]:
    """Give all that is kept of one."""
    return {
        "at": entry.at,
        "by": entry.by,
        "kind": entry.kind,
        "name": entry.name,
        "number": entry.number,
        "attempt": entry.attempt,
        "rollout": entry.part_of or (entry.name if entry.kind == "rollout" else None),
        "environment": entry.environment or None,
        "event": entry.event,
        "from": entry.was or None,
        "to": entry.now or None,
        "reason": entry.reason or None,
        "evidence": entry.evidence,
    }


def print_entries(found: Sequence[Entry], *, left_out: int, since: datetime | None) -> None:
    """Print them, the newest last: who did what, then what that changed, why, and what it rests on."""
    out = console()
    if left_out:
        out.print(f"{left_out} older left out", style="dim")
    for entry in found:
        colour = "red" if entry.event in _BAD else "bold"
        part = f" of {escape(entry.part_of)}" if entry.part_of else ""
        out.print(
            f"[dim]{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC[/]  {escape(entry.by)}  "
            f"{entry.kind} [bold]{escape(entry.name)}[/]{part}  [{colour}]{escape(entry.event)}[/]",
            soft_wrap=True,
        )
        for line in _beneath(entry):
            out.print(f"    {escape(line)}", soft_wrap=True)
    if not found:
        out.print(f"nothing was moved since {since:%Y-%m-%d %H:%M} UTC" if since else "nothing was moved yet")


def _beneath(entry: Entry) -> Iterator[str]:
    if entry.kind == "host":
        for file in cast("Any", entry.evidence)["files"]:
            change = file_change(file)
            yield from lines_back(change) if entry.event == "restoring" else change.lines()
        if entry.now and entry.event != "writing":
            yield f"{entry.now} answered"
    elif entry.now and entry.was != entry.now:
        changed = f"{entry.was} -> {entry.now}" if entry.was else entry.now
        yield f"{entry.environment}: {changed}" if entry.environment else changed
    if entry.reason:
        yield f"because {entry.reason}"
    yield from in_short(entry.evidence)

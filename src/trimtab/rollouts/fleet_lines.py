"""The lines of hosts in a store: one is added before each step of a change, and by them a change that was cut short is gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

from trimtab.core.moves import HostFact
from trimtab.engine.handin import hand_in
from trimtab.hosts.change import Step
from trimtab.hosts.plan import FileChange, file_change, whole
from trimtab.journal import rollouts
from trimtab.journal.reader import Journal
from trimtab.journal.rows import select_facts
from trimtab.journal.writer import SqliteFacts

# In the order in which they come; `failed` may follow each of the first five.
#
# writing     about to write files            restarting  about to restart what reads them
# proving     about to ask for an answer      checking    an answer named the new model, health is next
# soaking     healthy, watched for a while    changed     runs the new map, proved
# failed      something of these went wrong   restoring   about to put back what was there
# restored    runs the old map, proved        unknown     nobody knows what it runs
STEPS = (
    *("writing", "restarting", "proving", "checking", "soaking", "changed"),
    *("failed", "restoring", "restored", "unknown"),
)
_UNFINISHED = frozenset({"writing", "restarting", "proving", "checking"})
_BROKEN = frozenset({"failed", "restoring", "unknown"})

_NEWER = (
    "host = :host AND hosts = :hosts AND rollout = :rollout AND attempt = :attempt AND number > :seen ORDER BY number"
)

# The group and the address of a host: one machine may be in several groups.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """For whom hosts are changed: `rollout` and its attempt (empty and 0: somebody changes hosts by themselves), and by whom."""

    store: Path
    rollout: str
    attempt: int
    environment: str
    by: str

    @property
    def who(self) -> str:
        """Name it where another operator reads it."""
        return f"{self.by} ({self.rollout})" if self.rollout else self.by


@dataclass(frozen=True, slots=True)
class Past:
    """What this attempt did to a host so far, from the first file it wrote.

    files:     from what was there before to what was written last. step: the newest.
    was:       role -> models that it ran before: the one that was configured and the one that answered.
    restarted: whether what was written may have been read.
    """

    files: tuple[FileChange, ...]
    step: str
    was: Mapping[str, Sequence[str]]
    restarted: bool

    @property
    def unfinished(self) -> bool:
        """Whether it was written, and nobody knows whether that was read, and did well."""
        return self.step in _UNFINISHED

    @property
    def broken(self) -> bool:
        """Whether it has to be taken back first."""
        return self.step in _BROKEN


class Overtaken(Exception):  # noqa: N818 - no error: another operator is at it
    """Somebody else went on with a host after the newest line of it that is known here; it is theirs."""


def add_line(  # noqa: PLR0917 - the step of a task on a host, with what it is about
    task: Task, place: Place, step: Step, wanted: Mapping[str, str], evidence: Mapping[str, Any], seen: int
) -> HostFact:
    """Add a line; it is durable when this returns. `seen`: number of the newest of this attempt that is known (-1: none).

    Raises StoreError, and Overtaken where there is a newer one: who slept must not go on from what they knew.
    """
    group, host = place

    def add(connection: Any) -> HostFact:
        last = select_facts(connection, HostFact, "host = :host ORDER BY number DESC LIMIT 1", {"host": host})
        mine = {"host": host, "hosts": group, "rollout": task.rollout, "attempt": task.attempt, "seen": seen}
        newer = select_facts(connection, HostFact, _NEWER, mine)
        if newer:
            raise Overtaken(f"{newer[-1].by} went on with it meanwhile: {newer[-1].step}")
        fact = HostFact(
            host=host,
            number=last[0].number + 1 if last else 0,
            rollout=task.rollout,
            attempt=task.attempt,
            hosts=group,
            environment=task.environment,
            step=step.name,
            wanted=dict(wanted),
            files=[file.as_json() for file in step.files],
            answered=dict(step.answered),
            by=task.by,
            reason=step.why,
            evidence=dict(evidence),
            at=datetime.now(UTC),
        )
        SqliteFacts().write(connection, [fact])
        return fact

    return hand_in(task.store, SqliteFacts(), add)


def lines(store: Path, rollout: str, attempt: int) -> dict[Place, list[HostFact]]:
    """Give every line of an attempt of a rollout, by host, the oldest first."""
    found: dict[Place, list[HostFact]] = {}
    for fact in _read(store, rollout, attempt):
        found.setdefault((fact.hosts, fact.host), []).append(fact)
    return found


def newest(store: Path) -> dict[Place, HostFact]:
    """Give the newest line of every host, whoever changed it."""
    return {(fact.hosts, fact.host): fact for fact in _read(store)}


def newest_by_rollout(store: Path) -> dict[Place, dict[str, HostFact]]:
    """Give the newest line of every host for each rollout that changed it, the rollout that was there last at the end."""
    found: dict[Place, dict[str, HostFact]] = {}
    for fact in _read(store):
        if fact.rollout:
            of_host = found.setdefault((fact.hosts, fact.host), {})
            of_host.pop(fact.rollout, None)
            of_host[fact.rollout] = fact
    return found


def _read(store: Path, rollout: str | None = None, attempt: int | None = None) -> tuple[HostFact, ...]:
    """Give lines of hosts, the oldest first; none where there is no store yet."""
    if not store.exists():
        return ()
    with Journal(store) as journal:
        return journal.read(lambda connection: rollouts.host_lines(connection, rollout, attempt))


def restored(store: Path, rollout: str, attempt: int) -> frozenset[Place]:
    """Give the hosts that an attempt took back: they failed, and so many may."""
    known = lines(store, rollout, attempt)
    return frozenset(place for place, facts in known.items() if facts[-1].step == "restored")


def past(of_host: Sequence[HostFact]) -> Past | None:
    """Say what an attempt did to a host since it was last proved to be on its old map; None: it wrote nothing."""
    back = max((n for n, fact in enumerate(of_host) if fact.step == "restored"), default=-1)
    since = of_host[back + 1 :]
    if since and not since[0].rollout:
        # By themselves, each change is one of its own: what is taken back is the last.
        settled = [n for n, fact in enumerate(since) if fact.step == "changed"]
        written = max((n for n, fact in enumerate(since) if fact.step == "writing"), default=0)
        since = since[max((n + 1 for n in settled if n < written), default=0) :]
    writes = [fact for fact in since if fact.step == "writing"]
    if not writes:
        return None
    files: tuple[FileChange, ...] = ()
    for fact in writes:
        files = whole(files, [file_change(kept) for kept in cast("list[Any]", fact.files)])
    configured = cast("Mapping[str, str | None]", cast("Any", writes[0].evidence).get("configured", {}))
    answered = cast("Mapping[str, str]", writes[0].answered)
    both = {role: (configured.get(role), answered.get(role)) for role in sorted({*configured, *answered})}
    was = {role: tuple(dict.fromkeys(model for model in models if model)) for role, models in both.items()}
    restarted = any(fact.step not in {"writing", "failed"} for fact in since)
    return Past(files, since[-1].step, {role: models for role, models in was.items() if models}, restarted)


def to_restore(store: Path, rollout: str, attempt: int) -> tuple[Place, ...]:
    """Give (group, address) of the hosts on which an attempt wrote something that is not proved to be taken back."""
    return tuple(place for place, facts in lines(store, rollout, attempt).items() if past(facts) is not None)

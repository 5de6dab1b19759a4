"""Runs and events put into the file: by the engine itself, and by other processes for the worker that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.core.errors import KeyReusedError, UnknownRunError
from trimtab.core.ports import FactWriter, NewRun
from trimtab.core.records import Fact
from trimtab.core.values import Json
from trimtab.engine import store


@dataclass(frozen=True, slots=True)
class Event:
    """Something to deliver to a run, with the facts that tell of it."""

    run_id: str
    name: str
    payload: Json
    facts: Sequence[Fact] = ()


def hand_in(path: Path, facts: FactWriter, change: Callable[[Any], Any]) -> Any:
    """Do one change to a file that another process runs; its worker notices within a tenth of a second."""
    connection = store.connect(path, facts)
    try:
        with store.explained(path):
            connection.execute("BEGIN IMMEDIATE")
            given = change(connection)
            connection.execute("COMMIT")
    finally:
        connection.close()
    return given


def hand_in_run(path: Path, facts: FactWriter, run: NewRun) -> str:
    """Accept a run for the process that runs the file. Raises KeyReusedError."""
    _, run_id, fingerprint = hand_in(path, facts, lambda c: accept_run(c, run, facts))
    check_key(run, fingerprint)
    return run_id


def hand_in_event(path: Path, facts: FactWriter, event: Event) -> bool:
    """Deliver an event by way of the file. Raises UnknownRunError."""
    state, seq = hand_in(path, facts, lambda c: add_event(c, event, facts))
    if state is None:
        raise unknown(event.run_id)
    return bool(seq)


def hand_in_next(path: Path, facts: FactWriter, run_id: str, prefix: str, event: Callable[[int], Event]) -> bool:
    """Deliver an event that is named by how many of its prefix the run has had. Raises UnknownRunError."""

    def change(connection: Any) -> tuple[str | None, int]:
        number = sum(name.startswith(prefix) for name in store.load_events(connection, run_id))
        return add_event(connection, event(number), facts)

    state, seq = hand_in(path, facts, change)
    if state is None:
        raise unknown(run_id)
    return bool(seq)


def add_event(connection: Any, event: Event, facts: FactWriter) -> tuple[str | None, int]:
    """Add an event; gives the state of the run (None: there is none) and the seq of the event (0: it was not added)."""
    state = store.load_state(connection, event.run_id)
    wanted = state is not None and state != "ended"
    seq = store.insert_event(connection, event.run_id, event.name, event.payload) if wanted else 0
    if seq:
        facts.write(connection, event.facts)
    return state, seq


def unknown(run_id: str) -> UnknownRunError:
    """Say that there is no such run."""
    return UnknownRunError(f"no run {run_id!r}", hint="trimtab runs list")


def check_key(run: NewRun, fingerprint: str) -> None:
    """Raise KeyReusedError where the key belongs to a different request."""
    if fingerprint != run.fingerprint:
        raise KeyReusedError(
            f"key {run.key!r} of {run.workflow!r} started a different request before",
            hint="give each request a key of its own, or leave the key out",
        )


def accept_run(connection: Any, run: NewRun, facts: FactWriter) -> tuple[int, str, str]:
    """Add a run and its first facts, unless its key is known; gives (seq or 0, run id, fingerprint) of the run with the key."""
    known = store.insert_run(connection, run)
    if known[0]:
        facts.write(connection, run.facts)
    return known

"""Reads the ledger of effects: how each write stands, and which runs stand half done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from trimtab.core.errors import UsageError
from trimtab.core.records import DecisionFact, EffectFact, OutcomeFact, ResumeFact, RunFact, ToolCallFact
from trimtab.journal.lines import EFFECT_STATES, EffectDetail, EffectLine, HalfDone, RunLine, standing
from trimtab.journal.rows import effect_line, query, run_facts, select_facts

# Word for word the condition of the index `effect_rare`, which SQLite uses for no other.
_RARE = "e.state NOT IN ('reserved', 'committed')"
_KEYS = "SELECT DISTINCT key FROM effect WHERE {where} LIMIT 4"
_FINDERS = ("key = :given", "key >= :given AND key < :given || char(0x10FFFF)")


def effects(connection: sqlite3.Connection, limit: int, run_id: str | None, state: str | None) -> list[EffectLine]:
    """Give how effects stand, the latest change first. Raises UsageError where there is no such state."""
    if state is not None and state not in EFFECT_STATES:
        expected = ", ".join(map(repr, EFFECT_STATES))
        raise UsageError(f"no effect has state {state!r}", hint=f"expected one of {expected}")
    conditions = {
        "e.run_id = :run_id": run_id is not None,
        "e.state = :state": state is not None,
        _RARE: state not in (None, "reserved", "committed"),
    }
    where = " AND ".join(condition for condition, wanted in conditions.items() if wanted) or "TRUE"
    given = {"run_id": run_id, "state": state, "limit": max(limit, 0)}
    return [effect_line(row) for row in connection.execute(query("effects").replace("{where}", where), given)]


def effect(connection: sqlite3.Connection, given: str, store: str) -> EffectDetail:
    """Give one effect by its key or the start of it. Raises UsageError where that is none or several."""
    key = _find(connection, given, store)
    lines = select_facts(connection, EffectFact, "key = :key ORDER BY rowid", {"key": key})
    run_id = lines[-1].run_id
    (run,) = run_facts(connection, RunFact, run_id)
    of_call = "run_id = :run_id AND idempotency_key = :key ORDER BY rowid DESC LIMIT 1"
    calls = select_facts(connection, ToolCallFact, of_call, {"run_id": run_id, "key": key})
    return EffectDetail(run.key, run.workflow, lines, calls[0].arguments if calls else None, recorded=bool(calls))


def newest(facts: Iterable[EffectFact]) -> tuple[EffectFact, ...]:
    """Give the newest line of each effect, in the order they began; `facts` come in the order they were written."""
    standing: dict[str, EffectFact] = {}
    for fact in facts:
        standing[fact.key] = fact
    return tuple(standing.values())


def half_done_ids(connection: sqlite3.Connection, limit: int) -> list[str]:
    """Give the runs that stand half done, newest first."""
    rows: Iterable[tuple[Any, ...]] = connection.execute(query("half_done"), {"limit": max(limit, 0)})
    return [run_id for (run_id,) in rows]


def half_done(connection: sqlite3.Connection, line: RunLine) -> HalfDone:
    """Say of one run what stands and what was taken back."""
    lines = run_facts(connection, EffectFact, line.run_id, "rowid")
    last = run_facts(connection, OutcomeFact, line.run_id, "final, number, rowid")[-1]
    people = [run_facts(connection, kind, line.run_id) for kind in (DecisionFact, ResumeFact)]
    words = [effect.at for effect in lines if effect.by] + [word.at for words in people for word in words]
    return standing(line, last, newest(lines), words)


def _find(connection: sqlite3.Connection, given: str, store: str) -> str:
    for where in _FINDERS if given else ():
        found = [key for (key,) in connection.execute(_KEYS.replace("{where}", where), {"given": given})]
        if len(found) > 1:
            more = ", ..." if found[3:] else ""
            listed = ", ".join(found[:3]) + more
            raise UsageError(f"{store!r}: {given!r} may be any of {listed}", hint="give the whole key")
        if found:
            return found[0]
    raise UsageError(f"{store!r}: no effect has the key {given!r}, or one that starts so", hint="trimtab effects list")

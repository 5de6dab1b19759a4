"""What a run left behind: calls that were made, messages that went out, the world before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trimtab import Plan, Subtask

from .books import Books
from .outbox import Message
from .record import Booking, from_fixture
from .slots import Claim
from .store import Store
from .world import Block, World


@dataclass(frozen=True, slots=True)
class Ran:
    """One call that entered a tool, in order."""

    n: int
    subtask: str
    action: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a score is made from."""

    world: World
    before: Mapping[str, Booking]
    after: Mapping[str, Booking]
    entries: Mapping[str, tuple[Claim, ...]]
    claims: tuple[Claim, ...]
    new_blocks: tuple[Block, ...]
    pages: Mapping[str, tuple[Any, Any]]
    complete_manifests: frozenset[str]
    crew_events: Mapping[str, int]
    items: tuple[str | None, ...]
    messages: tuple[Message, ...]
    ran: tuple[Ran, ...]
    effects: tuple[tuple[str, int], ...]
    approved: frozenset[str]
    refunds: int
    plan: Plan

    def subtask(self, subtask_id: str) -> Subtask | None:
        """Find a subtask of the plan that was executed."""
        return next((s for s in self.plan.subtasks if s.id == subtask_id), None)

    def booking(self, name: str) -> Booking | None:
        """Find a booking by id or marketplace ref."""
        found = self.after.get(name)
        return found or next((b for b in self.after.values() if b.ref == name), None)


def gather(store: Store, plan: Mapping[str, Any] | None, approved: Iterable[str] = ()) -> Evidence:
    """Read a company's store after a run. `approved` are the subtasks whose held calls the run's journal shows as approved."""
    rows = store.table("SELECT n, subtask, action, arguments FROM calls ORDER BY n")
    recorded = {row["subtask"] for row in store.table("SELECT subtask FROM approvals")}
    bookings = store.read(lambda books: {b.id: b for b in books.bookings()})
    return Evidence(
        world=store.world,
        before={i: from_fixture(i, given) for i, given in store.given["bookings"].items()},
        after=bookings,
        entries=store.read(lambda books: {i: tuple(books.entries(i)) for i in bookings}),
        claims=store.read(lambda books: tuple(books.claims())),
        new_blocks=store.read(lambda books: tuple(books.blocks(seeded=False))),
        pages=store.read(lambda books: dict(_pages(books, bookings))),
        complete_manifests=store.read(
            lambda books: frozenset(i for i in bookings if books.papers.manifest_complete(i))
        ),
        crew_events={
            r["booking_id"]: r["n"] for r in store.table("SELECT booking_id, count(*) AS n FROM crew_events GROUP BY 1")
        },
        items=tuple(row["booking_id"] for row in store.table("SELECT booking_id FROM items WHERE state = 'open'")),
        messages=store.read(lambda books: tuple(books.outbox.messages())),
        ran=tuple(Ran(row["n"], row["subtask"], row["action"], json.loads(row["arguments"])) for row in rows),
        effects=tuple((row["action"], row["n"]) for row in store.table("SELECT action, n FROM effects ORDER BY n")),
        approved=frozenset({*approved, *recorded}),
        refunds=store.table("SELECT count(*) AS n FROM refunds WHERE state = 'executed'")[0]["n"],
        plan=read_plan(plan),
    )


def read_plan(given: Mapping[str, Any] | None) -> Plan:
    """Read a plan as JSON gives it."""
    listed = (given or {}).get("subtasks", ())
    return Plan(
        tuple(
            Subtask(
                id=s["id"],
                specialist=s["specialist"],
                action=s["action"],
                instruction=s.get("instruction", ""),
                inputs=s.get("inputs", {}),
                needs=tuple(s.get("needs", ())),
            )
            for s in listed
        )
    )


def _pages(books: Books, bookings: Iterable[str]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for booking_id in bookings:
        page = books.papers.page(booking_id)
        if page is not None and page.live:
            yield booking_id, (page.start, page.end)

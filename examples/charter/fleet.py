"""All companies: a folder with one store each, opened when needed."""

from __future__ import annotations

import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from threading import Lock
from typing import Any, cast

from trimtab import UsageError

from . import addresses
from .books import Books
from .papers import Page
from .record import Booking, from_fixture
from .store import Store
from .wire import minute
from .world import World

_COMPANY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BOOKING = re.compile(r"B-\d{4}")


class Fleet:
    """The stores of a folder. At most `keep` stay open."""

    def __init__(self, folder: Path, keep: int = 16) -> None:
        self.folder = folder
        self._keep = keep
        self._open: OrderedDict[str, Store] = OrderedDict()
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def create(self, company: str, world: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> Store:
        """Make a company's store from a world and the changes a request's context makes to it."""
        path = self._path(company)
        if path.exists():
            raise UsageError(f"company {company!r} exists already", hint=f"choose another name, or remove {path}")
        changed = with_context(world, context or {})
        facts = World.read(changed)
        # Seeded beside its place and moved there whole, so that nobody ever opens half a company.
        draft = Store(path.with_suffix(f".{secrets.token_hex(4)}.new"))
        try:
            draft.set_meta(world=json.dumps(changed), now=minute(facts.start), company=company)
            draft.write(lambda books: _seed(books, facts, changed))
            draft.close()
            draft.path.replace(path)
        except BaseException:
            draft.close()
            with suppress(FileNotFoundError):
                draft.path.unlink()
            raise
        return self.open(company)

    def open(self, company: str) -> Store:
        """Give a company's store. Raises UsageError when there is no such company."""
        with self._lock:
            store = self._open.pop(company, None)
            if store is None:
                path = self._path(company)
                if not path.exists():
                    raise UsageError(
                        f"there is no company {company!r} in {self.folder}", hint="create it from a world first"
                    )
                store = Store(path)
            self._open[company] = store
            while len(self._open) > self._keep:
                self._open.popitem(last=False)[1].close()
            return store

    def companies(self) -> list[str]:
        """Name every company."""
        return sorted(path.stem for path in self.folder.glob("*.sqlite"))

    def close(self) -> None:
        """Close every open store."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _path(self, company: str) -> Path:
        if not _COMPANY.fullmatch(company):
            raise UsageError(f"{company!r} is no name for a company", hint="use letters, digits, '-' and '_'")
        return self.folder / f"{company}.sqlite"


def with_context(world: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a world and change it key by key. Raises UsageError for a key that means nothing."""
    changed = deepcopy(dict(world))
    bookings: dict[str, Any] = changed.setdefault("bookings", {})
    for key, value in context.items():
        if key == "now":
            changed["now"] = value
        elif key == "crew_replies":
            _replies(value)
            changed["crew_replies"] = {**changed.get("crew_replies", {}), **value}
        elif key == "add_booking":
            for booking_id, booking in _added(value, bookings):
                if booking_id in bookings:
                    raise UsageError(
                        f"context.add_booking: {booking_id!r} exists already", hint="patch it by its id instead"
                    )
                bookings[booking_id] = booking
        elif key in bookings:
            bookings[key] = {**bookings[key], **value}
        else:
            raise UsageError(
                f"context.{key}: neither a booking of this world nor a known key",
                hint="use now, add_booking, crew_replies, or the id of a booking",
            )
    return changed


def _replies(replies: Mapping[str, str]) -> None:
    for person, reply in replies.items():
        if reply not in ("accept", "decline"):
            raise UsageError(f"context.crew_replies.{person}: {reply!r} is no reply", hint="write accept or decline")


def _added(value: Any, known: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    # {"B-1234": {...}}, or one booking or a list of them, each with its id; without one it gets the next.
    listed = cast("list[dict[str, Any]]", value if isinstance(value, list) else [value])
    found: list[tuple[str, dict[str, Any]]] = []
    for entry in listed:
        if "id" in entry or "booking_id" in entry:
            found.append(
                (
                    entry.get("id") or entry["booking_id"],
                    {k: v for k, v in entry.items() if k not in ("id", "booking_id")},
                )
            )
        elif "vessel" in entry:
            found.append((f"B-{max((int(i[2:]) for i in known), default=1000) + len(found) + 1:04d}", entry))
        else:
            found.extend(entry.items())
    for booking_id, booking in found:
        if not _BOOKING.fullmatch(booking_id):
            raise UsageError(
                f"context.add_booking: {booking_id!r} is no booking id", hint="a booking id looks like B-1234"
            )
        if missing := [name for name in ("vessel", "start", "end", "party") if name not in booking]:
            raise UsageError(
                f"context.add_booking.{booking_id}: it has no {missing[0]!r}",
                hint="compare it with those of world.json",
            )
    return found


def _seed(books: Books, facts: World, world: Mapping[str, Any]) -> None:
    for block in facts.blocks:
        books.add_block(block, seeded=True)
    for booking_id, given in world["bookings"].items():
        booking = books.save(from_fixture(booking_id, given))
        if given.get("notes"):
            books.add_note(booking_id, str(given["notes"]))
        _seed_slot(books, booking)
        if booking.paid:
            kind = "full" if booking.balance == 0 else "deposit"
            books.ledger.record(booking_id, booking.paid, method=booking.paid_via or "unknown", kind=kind)
        if booking.status in ("confirmed", "completed"):
            page = Page(booking_id, addresses.secret(), booking.start, booking.end, (), live=True)
            books.papers.put_page(page)


def _seed_slot(books: Books, booking: Booking) -> None:
    if booking.status in ("confirmed", "completed"):
        books.take(booking.slot, firm=True, booking_id=booking.id, party=booking.party)
    elif booking.status == "tentative":
        expires = booking.hold_expires
        books.take(booking.slot, firm=False, booking_id=booking.id, party=booking.party, expires=expires)


def world_of(folder: Path | None = None) -> dict[str, Any]:
    """Read a world.json: the one that ships with the application, or the one in a folder."""
    return json.loads(((folder or Path(__file__).parent) / "world.json").read_text("utf-8"))

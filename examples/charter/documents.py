"""The documents specialist: waivers, manifest, checklist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from trimtab import Handoff, Rejected, Specialist, Status, Step, tool

from . import addresses
from .books import Books
from .desk import made, undoes, writes
from .enquiry import unknown
from .fleet import Fleet
from .kinds import BookingId, Count, Flag, Text
from .results import Checklist, Manifest, Waivers


class Documents(Specialist[Any], role="documents", risk="medium"):
    """You keep the papers of each trip of a small sailing-charter company.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    Every guest signs a waiver; a minor's is signed by a parent or legal guardian, not by an aunt or uncle as such.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @tool("irreversible")
    @writes
    def send_waivers(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        adults: Count,
        minors: Annotated[int, Field(ge=0)] = 0,
        guardians_known: Flag = False,
    ) -> Waivers | Handoff[Waivers] | Rejected:
        """Make waiver links: one an adult, one guardian's waiver a minor."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        if not booking.live:
            return Rejected(f"{booking_id} is {booking.status}")
        capacity = books.world.vessels[booking.vessel].capacity
        if adults + minors > capacity:
            return Rejected(f"{booking.vessel} carries {capacity}, not {adults + minors}")
        tokens = books.papers.issue_waivers(booking_id, adults, minors, guardians_known=guardians_known)
        waivers = Waivers(
            tuple(addresses.waiver_link(books.company, token) for token in tokens), books.papers.waivers(booking_id)[0]
        )
        return (
            Handoff(Status.AWAITING_GUEST, waivers, f"{waivers.waivers_open} to sign")
            if waivers.waivers_open
            else waivers
        )

    send_waivers.lookup(made)

    @tool("reversible")
    @writes
    def build_manifest(self, step: Step, books: Books, *, booking_id: BookingId) -> Manifest | Rejected:
        """Write the passenger list; it is complete only when every waiver is signed."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        waiting, signed = books.papers.waivers(booking_id)
        complete = waiting == 0 and signed >= booking.party
        n, last = books.papers.add_manifest(booking_id, booking.start, complete=complete)
        books.undo = {"n": n, "last": last}
        return Manifest(f"P-{n}", complete)

    build_manifest.lookup(made)

    @build_manifest.compensate
    @undoes
    def undo_build_manifest(self, books: Books, note: Mapping[str, Any]) -> None:
        """Put the list back that it replaced."""
        books.papers.restore_manifest(note["n"], note["last"])

    @tool("reversible")
    @writes
    def build_checklist(
        self, step: Step, books: Books, *, booking_id: BookingId, items: list[Text] | None = None
    ) -> Checklist | Rejected:
        """Write the crew's preparation list; without items, the usual one."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        usual = [f"{booking.party} life jackets", "safety talk"]
        before = books.papers.checklist(booking_id)
        lines = list(dict.fromkeys(items if items is not None else usual))
        books.papers.put_checklist(booking_id, lines)
        books.undo = {"booking": booking_id, "before": before}
        return Checklist(tuple(lines))

    build_checklist.lookup(made)

    @build_checklist.compensate
    @undoes
    def undo_build_checklist(self, books: Books, note: Mapping[str, Any]) -> None:
        """Put the list back that it replaced."""
        books.papers.put_checklist(note["booking"], note["before"])

    @tool("reversible")
    @writes
    def update_checklist(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        add: list[Text] | None = None,
        remove: list[Text] | None = None,
    ) -> Checklist | Rejected:
        """Add lines to the preparation list, or strike some; with neither it stays as it is."""
        del step
        if books.booking(booking_id) is None:
            return unknown(booking_id)
        before = books.papers.checklist(booking_id)
        kept = [line for line in before or [] if line not in (remove or [])]
        lines = kept + [line for line in dict.fromkeys(add or ()) if line not in kept]
        books.papers.put_checklist(booking_id, lines)
        struck = [line for line in before or [] if line not in kept]
        books.undo = {
            "booking": booking_id,
            "added": [line for line in lines if line not in kept],
            "struck": struck,
            "new": before is None,
        }
        return Checklist(tuple(lines))

    update_checklist.lookup(made)

    @update_checklist.compensate
    @undoes
    def undo_update_checklist(self, books: Books, note: Mapping[str, Any]) -> None:
        """Strike what was added and add what was struck; lines of others stay."""
        lines = [line for line in books.papers.checklist(note["booking"]) or [] if line not in note["added"]]
        lines += [line for line in note["struck"] if line not in lines]
        books.papers.put_checklist(note["booking"], None if note["new"] and not lines else lines)

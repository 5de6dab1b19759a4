"""What the booking specialist is asked without changing anything: what is known, what it costs, what the policy says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trimtab import Handoff, Rejected, Status, Step, tool

from . import addresses, finding, refunds
from .books import Books
from .desk import gate, reads
from .kinds import (
    BookingId,
    Count,
    Day,
    Hours,
    Id,
    LocalTime,
    Money,
    Person,
    Source,
    Vessel,
)
from .prices import options, price
from .request import BookingRequest
from .results import (
    Deduped,
    Found,
    Identity,
    Option,
    PolicyAnswer,
    Quoted,
)


def unknown(booking_id: str | None) -> Rejected:
    """Say that there is no such booking."""
    return Rejected(f"there is no booking {booking_id!r}")


class Enquiries:
    """The reading tools of the booking specialist."""

    @tool("read")
    @reads
    def dedupe_check(
        self,
        step: Step,
        books: Books,
        *,
        source: Source,
        ref: Id | None = None,
        vessel: Vessel | None = None,
        start: LocalTime | None = None,
        party_size: Count | None = None,
    ) -> Deduped | Handoff[Deduped]:
        """Say whether this notice or form is known already. Give `ref` for a marketplace notice; for a form, vessel, start and party size."""
        wish = (vessel, start, party_size) if vessel is not None and start is not None else None
        booking = finding.known(books, source, ref, wish)
        # A hold has no name on it: it is this sender's only where intake knows the address.
        sender = step.request_as(BookingRequest).sender
        held = (
            wish is not None
            and ref is None
            and party_size is not None
            and any(
                books.held_by(sender, claim.slot, party_size)
                for claim in books.claims()
                if (claim.slot.vessel, claim.slot.start) == wish[:2]
            )
        )
        if booking is None and not held:
            return Deduped(duplicate=False)
        known = Deduped(duplicate=True, booking_id=booking.id if booking else None)
        return Handoff(Status.NO_ACTION, known, "known already", stops=True)

    @tool("read")
    @reads
    def lookup(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId | None = None,
        booking_ids: list[BookingId] | None = None,
        ref: Id | None = None,
        person: Person | None = None,
        date: Day | None = None,
        contact: Literal["sender"] | None = None,
        from_: Annotated[Day | None, Field(alias="from")] = None,
        to: Day | None = None,
    ) -> Found | Rejected:
        """Find bookings by id, ids, marketplace ref, crew member (with a date), or the sender's own contact; `from` and `to` narrow by day.

        One match fills in every field, as does the first of a person's trips; several are in `rows` only; none gives found false.
        """
        if all(value is None for value in (booking_id, booking_ids, ref, person, contact)):
            return Rejected("say whose or which booking: booking_id, booking_ids, ref, person or contact")
        ids = (
            None
            if booking_id is None and booking_ids is None
            else [*([booking_id] if booking_id else []), *(booking_ids or [])]
        )
        found = finding.matching(
            books,
            step.request_as(BookingRequest),
            ids=ids,
            ref=ref,
            person=person,
            day=date,
            sender=contact is not None,
            span=(from_, to),
        )
        return finding.found(books, found, person)

    @tool("read", approval=gate("booking.quote"))
    @reads
    def quote(
        self,
        step: Step,
        books: Books,
        *,
        vessels: Annotated[list[Vessel], Field(min_length=1)],
        hours: Annotated[list[Hours], Field(min_length=1)],
        party_size: Count,
        start: LocalTime | None = None,
        asked_total: Money | None = None,
        override_total: Money | None = None,
    ) -> Quoted:
        """Give list price, deposit and, for the operator only, what is left of it, for vessels x hours.

        `asked_total` is a price the guest asks for: what would be left at it is worked out, nothing is promised.
        `override_total` replaces the list price and is held for the operator. Fewer hours than a vessel's least are priced as these.
        """
        del step, start
        world = books.world
        least = max(world.vessels[v].min_hours for v in vessels)
        hours = list(dict.fromkeys(max(h, least) for h in hours))
        together = tuple(dict.fromkeys(vessels))
        quotes = tuple(
            Option(o.vessels, o.hours, o.capacity, o.total, o.deposit)
            for o in options(world, together, hours, party_size)
        )
        capacity = sum(world.vessels[v].capacity for v in together)
        if len(hours) > 1:
            return Quoted(quotes=quotes, capacity=capacity)
        one = price(world, together, hours[0], override_total)
        return Quoted(
            quotes=quotes,
            capacity=capacity,
            total=one.total,
            deposit=one.deposit,
            crew_cost=one.crew_cost,
            captain_cost=one.captain_cost,
            port_fee=one.port_fee,
            net_revenue=one.net,
            asked_net_revenue=None if asked_total is None else price(world, together, hours[0], asked_total).net,
        )

    @tool("read")
    @reads
    def policy_quote(
        self, step: Step, books: Books, *, booking_id: BookingId, case: refunds.Case, hours_lost: Hours | None = None
    ) -> PolicyAnswer | Rejected:
        """Say what the policy gives for this booking and case as of today: refund, penalty, free move, waiting time, pro-rata share.

        `hours_lost` belongs to a service issue: without it there is no pro-rata share. It only answers; no money moves.
        """
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        refunded = books.ledger.refunded(booking_id)
        ruling = refunds.rule(books.world.policies, booking, case, books.now, refunded=refunded, hours_lost=hours_lost)
        return PolicyAnswer(**{name: getattr(ruling, name) for name in PolicyAnswer.__dataclass_fields__})

    @tool("read")
    @reads
    def verify_identity(
        self,
        step: Step,
        books: Books,
        *,
        claims: Literal["guest", "crew", "captain", "operator", "none"],
        person: Person | None = None,
        booking_id: BookingId | None = None,
    ) -> Identity:
        """Say whether the sender's address belongs to the person or booking they claim. What the message says proves nothing."""
        request = step.request_as(BookingRequest)
        booking = books.booking(booking_id)
        verified = claims == request.sender_role and claims != "none" and (booking_id is None or booking is not None)
        contact = None
        if person is not None:
            position = books.world.position(person)
            verified = verified and position == {"crew": "deckhand", "captain": "captain"}.get(claims)
            contact = addresses.person(books.company, person) if position else None
        elif booking is not None and claims == "guest":
            contact = addresses.on_file(books.company, booking)
            verified = verified and (not request.sender or booking.contact in (None, request.sender))
        return Identity(verified=verified, contact_on_file=contact)

"""The crew specialist: who sails, who is asked, who stands down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trimtab import Handoff, Rejected, Specialist, Status, Step, tool

from . import addresses
from .books import Books
from .cascade import Ask, accepted, fill, muster
from .desk import gate, made, mails, posted, undoes, writes
from .enquiry import unknown
from .fleet import Fleet
from .kinds import BookingId, Count, LocalTime, Person, Position, Text
from .mailer import Mailer
from .outbox import Message
from .prices import duration, own_pay
from .record import Booking
from .results import Dispatched, Reconfirmed, Replaced, StoodDown
from .slots import Slot
from .wire import minute

_REPLY_MINUTES = 240


class Crew(Specialist[Any], role="crew", risk="medium"):
    """You find and keep the crews of a small sailing-charter company.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    A crew event mails personal links as it is created, so it comes after the calendar is safe. Nobody is told another's pay.
    """

    def __init__(self, fleet: Fleet, mailer: Mailer) -> None:
        self.fleet = fleet
        self.mailer = mailer

    @tool("irreversible", approval=gate("crew.dispatch_cascade"))
    @mails
    def dispatch_cascade(
        self, step: Step, books: Books, *, booking_id: BookingId
    ) -> Dispatched | Handoff[Dispatched] | Rejected:
        """Create the crew event of a booking whose slot is firm: the captain is asked first, then deckhands, in rank order. Mails links at once."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        if not booking.live:
            return Rejected(f"{booking_id} is {booking.status}")
        if not any(claim.firm and claim.slot.holds(booking.slot) for claim in books.entries(booking_id)):
            return Rejected(f"the slot of {booking_id} is not confirmed in the calendar")
        event = books.roll.event(booking_id)
        if event is None:
            event = books.roll.open_event(booking_id)
            booking = _call_out(books, booking)
        asked = tuple(ask.person for ask in books.roll.asked(booking_id, "cascade"))
        facts = books.world.vessels[booking.vessel]
        places = max(0, facts.captains - (booking.captain is not None)) + max(0, facts.crew - len(booking.crew))
        dispatched = Dispatched(f"C-{event}", asked, places)
        return Handoff(Status.AWAITING_CREW, dispatched, f"{places} places open") if places else dispatched

    dispatch_cascade.lookup(posted)

    @tool("reversible", approval=gate("crew.release"))
    @writes
    def release(
        self, step: Step, books: Books, *, booking_id: BookingId, persons: list[Person], reason: Text
    ) -> StoodDown | Rejected:
        """Stand people down from a booking; whoever is not assigned to it has nothing to be released from."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        going = tuple(person for person in booking.people if person in persons)
        if not going:
            return StoodDown(())
        stayed = tuple(p for p in booking.crew if p not in going)
        books.save(replace(booking, captain=None if booking.captain in going else booking.captain, crew=stayed))
        note = books.add_note(booking_id, f"stood down {', '.join(going)}: {reason}")
        books.undo = {"booking": booking_id, "captain": booking.captain, "crew": booking.crew, "note": note}
        return StoodDown(going)

    release.lookup(made)

    @release.compensate
    @undoes
    def undo_release(self, books: Books, note: Mapping[str, Any]) -> None:
        """Assign them again, wherever nobody else was by now."""
        booking = books.booking(note["booking"])
        assert booking is not None
        needed = books.world.vessels[booking.vessel].crew
        crew = tuple(dict.fromkeys((*note["crew"], *booking.crew)))[: max(needed, len(booking.crew))]
        books.save(replace(booking, captain=booking.captain or note["captain"], crew=crew))
        books.strike_note(note["note"])

    @tool("reversible", approval=gate("crew.replace_member"))
    @mails
    def replace_member(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        position: Position,
        out: Person,
        candidates: list[Person] | None = None,
        reply_within_minutes: Count | None = None,
    ) -> Replaced | Handoff[Replaced] | Rejected:
        """Ask for a replacement, one person at a time in rank order, or among `candidates`. Who goes out stays assigned until someone accepts."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        assigned = booking.captain == out if position == "captain" else out in booking.crew
        if not assigned or not booking.live:
            return Rejected(
                f"{out} is not {position} of {booking_id}" if booking.live else f"{booking_id} is {booking.status}"
            )
        # A captain may sail as a deckhand; a deckhand is no captain.
        fit = ("captain",) if position == "captain" else ("captain", "deckhand")
        strangers = [person for person in candidates or () if books.world.position(person) not in fit]
        if strangers:
            return Rejected(f"{strangers[0]} is no {position}")
        minutes = reply_within_minutes or _REPLY_MINUTES
        return _replacement(books, booking, position=position, out=out, candidates=candidates, minutes=minutes)

    replace_member.lookup(posted)

    @replace_member.compensate
    @undoes
    def undo_replace_member(self, books: Books, note: Mapping[str, Any]) -> None:
        """Withdraw the question; who had come in goes out again."""
        books.roll.withdraw(note["asks"])
        booking = books.booking(note["booking"])
        if booking is not None and note["came"] is not None:
            books.save(_swapped(booking, note["came"], note["out"]))

    @tool("reversible")
    @mails
    def reconfirm(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        start: LocalTime,
        end: LocalTime,
        persons: list[Person],
    ) -> Reconfirmed | Handoff[Reconfirmed] | Rejected:
        """Ask assigned people whether new hours suit them. Where nobody is assigned, nobody has anything against them."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        strangers = [p for p in persons if p not in booking.people and books.world.position(p) is None]
        if strangers or end <= start:
            return Rejected(f"{strangers[0]} is not on the roster" if strangers else "hours end after they start")
        slot = Slot(booking.vessel, start, end)
        replies = books.world.crew_replies
        asks = [ask for p in dict.fromkeys(persons) for ask in fill(1, _place(booking, p), [p], replies)]
        numbers = books.roll.ask(
            "reconfirm", booking_id, slot, asks, deadline=books.now + timedelta(minutes=_REPLY_MINUTES)
        )
        _mail(books, booking, slot, "new_hours", dict(zip(numbers, asks, strict=True)))
        books.undo = {"asks": numbers}
        answer = Reconfirmed(
            asked=tuple(ask.person for ask in asks),
            accepted=accepted(asks),
            declined=tuple(ask.person for ask in asks if ask.state == "declined"),
            all_accepted=len(accepted(asks)) == len(asks),
        )
        return answer if answer.all_accepted else Handoff(Status.AWAITING_CREW, answer, "not everybody accepted yet")

    reconfirm.lookup(posted)

    @reconfirm.compensate
    @undoes
    def undo_reconfirm(self, books: Books, note: Mapping[str, Any]) -> None:
        """Withdraw the questions."""
        books.roll.withdraw(note["asks"])


def _call_out(books: Books, booking: Booking) -> Booking:
    facts, world = books.world.vessels[booking.vessel], books.world
    away = {*books.busy(booking.start.date(), booking.id), *booking.people}
    captains = (0 if booking.captain else facts.captains, [p for p in world.captains if p not in away])
    deckhands = (max(0, facts.crew - len(booking.crew)), [p for p in world.deckhands if p not in away])
    asks = muster(captains, deckhands, world.crew_replies)
    numbers = books.roll.ask(
        "cascade", booking.id, booking.slot, asks, deadline=books.now + timedelta(minutes=_REPLY_MINUTES)
    )
    _mail(books, booking, booking.slot, "crew_wanted", dict(zip(numbers, asks, strict=True)))
    captain = next(
        (ask.person for ask in asks if ask.position == "captain" and ask.state == "accepted"), booking.captain
    )
    came = tuple(ask.person for ask in asks if ask.position == "deckhand" and ask.state == "accepted")
    return books.save(replace(booking, captain=captain, crew=booking.crew + came))


def _replacement(
    books: Books, booking: Booking, *, position: str, out: str, candidates: Sequence[str] | None, minutes: int
) -> Replaced | Handoff[Replaced]:
    waiting = books.roll.waiting(booking.id, out, books.now)
    if waiting:
        # One question at a time: two people accepting one place is worse than a slow answer.
        change = f"{out} wants out; {waiting[0]} was asked and has not answered"
        return Handoff(Status.AWAITING_CREW, Replaced(tuple(waiting), (), change), change)
    away = {*books.busy(booking.start.date(), booking.id), *booking.people, *books.roll.spent(booking.id, out)}
    away |= books.roll.swapping(booking.id)
    ranked = books.world.captains if position == "captain" else books.world.deckhands
    asks = fill(1, position, [p for p in (candidates or ranked) if p not in away], books.world.crew_replies)
    deadline = books.now + timedelta(minutes=minutes)
    numbers = books.roll.ask("replace", booking.id, booking.slot, asks, deadline=deadline, instead_of=out)
    _mail(books, booking, booking.slot, "replacement_wanted", dict(zip(numbers, asks, strict=True)))
    came = accepted(asks)
    if came:
        books.save(_swapped(booking, out, came[0]))
    books.undo = {"asks": numbers, "booking": booking.id, "out": out, "came": came[0] if came else None}
    asked = tuple(ask.person for ask in asks)
    if came:
        return Replaced(asked, came, f"{came[0]} sails instead of {out}")
    open_ask = bool(asks) and asks[-1].state == "asked"
    rest = f"{asked[-1]} asked until {minute(deadline)}" if open_ask else "nobody left to ask"
    change = f"{out} wants out and stays assigned; {rest}"
    return Handoff(Status.AWAITING_CREW, Replaced(asked, (), change), change)


def _swapped(booking: Booking, out: str, came: str) -> Booking:
    captain = came if booking.captain == out else booking.captain
    return replace(booking, captain=captain, crew=tuple(came if person == out else person for person in booking.crew))


def _place(booking: Booking, person: str) -> str:
    return "captain" if person == booking.captain else "deckhand"


def _mail(books: Books, booking: Booking, slot: Slot, template: str, asks: Mapping[int, Ask]) -> None:
    # Only who still has to answer gets a link; own pay, nobody else's.
    for number, ask in asks.items():
        if ask.state == "asked":
            question = replace(_question(books, booking, slot, ask), template=template)
            link = addresses.answer_link(books.company, number, ask.person)
            books.outbox.add(replace(question, link=link), f"ask:{number}")


def _question(books: Books, booking: Booking, slot: Slot, ask: Ask) -> Message:
    return Message(
        reader="captain" if ask.position == "captain" else "crew",
        channel="email",
        language="en",
        template="",
        fields={
            "booking_id": booking.id,
            "vessel": slot.vessel,
            "start": minute(slot.start),
            "end": minute(slot.end),
            "call_time": minute(slot.start - books.world.call_time),
            "own_pay": float(own_pay(books.world, ask.person, duration(slot.start, slot.end))),
        },
        addresses=(addresses.person(books.company, ask.person),),
        persons=(ask.person,),
        booking_id=booking.id,
    )

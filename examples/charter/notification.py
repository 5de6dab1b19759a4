"""The notification specialist: what leaves the house, checked for whose eyes it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from trimtab import Handoff, Rejected, Specialist, Status, Step, tool

from . import addresses, visibility
from .books import Books
from .contract import contract
from .desk import gate, mails, posted, quiet
from .fleet import Fleet
from .kinds import BookingId, Channel, Id, Language, Object, Person, Text
from .mailer import Mailer
from .outbox import Message
from .prices import duration, price
from .record import Booking
from .request import BookingRequest
from .results import Sent
from .wire import dumps


def addressee(arguments: Mapping[str, Any]) -> str:
    """Name the role that reads a message."""
    return arguments["to"]


def crew_addressee(arguments: Mapping[str, Any]) -> str:
    """Name the role whose eyes a message to the crew is for: a deckhand's, unless only captains get it."""
    alone = captains_only(arguments["fields"], arguments.get("body"))
    return "captain" if arguments["to"] == "captain" and alone else "crew"


def captains_only(fields: Mapping[str, Any], body: str | None) -> bool:
    """Whether a message to captains keeps deckhands out: it has fields that are not theirs, or words of its own."""
    return body is not None or bool(visibility.closed(contract(), fields, "crew"))


class Notification(Specialist[Any], role="notification", risk="low"):
    """You send the messages of a small sailing-charter company, from templates.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    Fill in nothing yourself, add no field and no text. Texts by SMS, and free text, wait for the operator.
    """

    def __init__(self, fleet: Fleet, mailer: Mailer) -> None:
        self.fleet = fleet
        self.mailer = mailer

    @tool("irreversible", approval=gate("notification.guest_message"), quiet=quiet, reader=addressee)
    @mails
    def guest_message(
        self,
        step: Step,
        books: Books,
        *,
        to: Literal["guest"],
        contact: Literal["sender", "on_file"],
        channel: Channel,
        language: Language,
        template: Id,
        includes: list[Id],
        fields: Object,
        body: Text | None = None,
        booking_id: BookingId | None = None,
        asks: list[Text] | None = None,
        expects: Literal["nothing", "answer", "choice", "action"] = "nothing",
    ) -> Sent | Handoff[Sent] | Rejected:
        """Write to a guest: to the sender, or to the address on file. `includes` are the keys of `fields`; `asks` are the questions.

        Without a booking there is no file: such a message is kept and not sent.
        """
        reached = (addresses.sender(step.request_as(BookingRequest)),) if contact == "sender" else ()
        if contact == "on_file" and (booking := books.booking(booking_id or str(fields.get("booking_id")))):
            reached = (addresses.on_file(books.company, booking),)
        message = Message(
            reader=to,
            channel=channel,
            language=language,
            template=template,
            fields=fields,
            addresses=reached,
            contact=contact,
            body=body,
            asks=tuple(asks or ()),
            expects=expects,
            booking_id=booking_id,
        )
        sent = send(books, message, includes)
        if isinstance(sent, Rejected) or expects == "nothing":
            return sent
        status = Status.CLARIFY if expects == "answer" else Status.AWAITING_GUEST
        return Handoff(status, sent, f"the guest's {expects}")

    guest_message.lookup(posted)

    @tool("irreversible", approval=gate("notification.crew_message"), quiet=quiet, reader=crew_addressee)
    @mails
    def crew_message(
        self,
        step: Step,
        books: Books,
        *,
        to: Literal["captain", "crew"],
        persons: list[Person],
        channel: Channel,
        language: Language,
        template: Id,
        includes: list[Id],
        fields: Object,
        body: Text | None = None,
        booking_id: BookingId | None = None,
    ) -> Sent | Rejected:
        """Write to named crew. `to` sets whose eyes the fields are checked for; what only a captain may see reaches no deckhand."""
        del step
        strangers = [person for person in persons if books.world.position(person) is None]
        if strangers:
            return Rejected(f"{strangers[0]} is not on the roster")
        if to == "captain" and captains_only(fields, body):
            persons = [person for person in persons if books.world.position(person) == "captain"]
        message = Message(
            reader=to,
            channel=channel,
            language=language,
            template=template,
            fields=fields,
            addresses=tuple(addresses.person(books.company, person) for person in persons),
            persons=tuple(persons),
            body=body,
            booking_id=booking_id,
        )
        return send(books, message, includes)

    crew_message.lookup(posted)

    @tool("irreversible", approval=gate("notification.operator_message"), quiet=quiet, reader=addressee, waits=False)
    @mails
    def operator_message(
        self,
        step: Step,
        books: Books,
        *,
        to: Literal["operator"],
        channel: Channel,
        language: Language,
        template: Id,
        includes: list[Id],
        fields: Object,
        body: Text | None = None,
        booking_id: BookingId | None = None,
    ) -> Sent | Rejected:
        """Write to the operator. Never waits for a person."""
        del step
        message = Message(
            reader=to,
            channel=channel,
            language=language,
            template=template,
            fields=fields,
            addresses=(addresses.operator(books.company),),
            body=body,
            booking_id=booking_id,
        )
        return send(books, message, includes)

    operator_message.lookup(posted)


def send(books: Books, message: Message, includes: Sequence[str]) -> Sent | Rejected:
    """Put a message into the outbox, once, if everything in it is for its reader's eyes."""
    booking = books.booking(message.booking_id)
    if wrong := improper(books, message, includes, booking):
        return Rejected(wrong)
    # Without a booking the same words may be for another guest: once means once a run there.
    about = message.booking_id or books.run_id
    once = dumps(
        [about, message.template, message.fields, message.reader, message.contact, message.persons, message.body]
    )
    n, _ = books.outbox.add(message, once)
    return Sent(f"M-{n}", sent=bool(message.addresses))


def improper(books: Books, message: Message, includes: Sequence[str], booking: Booking | None) -> str | None:
    """Say what in a message is not for its reader's eyes, or that it does not say what it includes."""
    if list(includes) != list(message.fields):
        return f"includes {list(includes)} are not the fields {list(message.fields)}"
    closed = visibility.closed(contract(), message.fields, message.reader)
    if closed:
        return f"not for the eyes of a {message.reader}: {', '.join(closed)}"
    words = [*visibility.texts(visibility.unquoted(message.fields)), *message.asks, message.body or ""]
    if booking is not None and visibility.figure_in(words, _secret_figures(books, booking, message.reader)):
        return f"an amount is in its words that is not for the eyes of a {message.reader}"
    return None


def _secret_figures(books: Books, booking: Booking, reader: str) -> list[Decimal]:
    # What stands in free words, where no field name gives it away. A guest knows the price of a direct booking.
    if reader == "operator" or booking.revenue is None:
        return []
    costs = price(books.world, (booking.vessel,), duration(booking.start, booking.end), booking.revenue)
    known_to_guest = reader == "guest" and not booking.market
    return [costs.net, costs.port_fee, *(() if known_to_guest else (booking.revenue,))]

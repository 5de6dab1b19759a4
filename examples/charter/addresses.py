"""Where a message goes. Addresses on file come from the company's records, never from the text of a message."""

from __future__ import annotations

import secrets
import string

from .record import Booking
from .request import BookingRequest


def secret() -> str:
    """Make the secret part of an address: of letters (113 bits), so that it looks like nobody's key and like no amount."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(24))


def operator(company: str) -> str:
    """The operator's address."""
    return f"operator@{company}.example"


def person(company: str, name: str) -> str:
    """The address of a captain or deckhand."""
    return f"{name}@crew.{company}.example"


def on_file(company: str, booking: Booking) -> str:
    """The guest's address as the booking has it; without one, the booking's own forwarding address."""
    if booking.contact and "@" in booking.contact:
        return booking.contact
    return f"{booking.id.lower()}@guests.{company}.example"


def sender(request: BookingRequest) -> str:
    """The address an answer to this request goes to."""
    return request.sender if "@" in request.sender else f"sender@replies.{request.company}.example"


def pay_link(company: str, token: str) -> str:
    """The address of a link to pay by."""
    return f"https://pay.{company}.example/{token}"


def page_link(company: str, token: str) -> str:
    """The address of a guest page."""
    return f"https://trips.{company}.example/{token}"


def waiver_link(company: str, token: str) -> str:
    """The address of a waiver."""
    return f"https://sign.{company}.example/{token}"


def answer_link(company: str, ask: int, name: str) -> str:
    """The address by which one person answers one question."""
    return f"https://crew.{company}.example/{ask}/{name}"

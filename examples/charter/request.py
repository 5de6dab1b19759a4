"""What comes in and what comes out of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

SenderRole: TypeAlias = Literal["guest", "crew", "captain", "operator", "marketplace", "system", "unknown"]


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """One message to one company.

    `sender_role` and `sender` (an address, where the channel has one) are what intake vouches for; `text` is what anybody wrote.
    Reports may carry labels beside a request; they are no part of it, so no model can see them.
    """

    text: str
    channel: str = "web_form"
    sender_role: SenderRole = "unknown"
    company: str = "harbour"
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a run that came to its end did."""

    company: str
    booking_ids: tuple[str, ...]
    messages: tuple[str, ...]
    pay_links: tuple[str, ...]
    items: tuple[str, ...]

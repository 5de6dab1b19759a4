"""What every action returns: exactly the result fields that actions.json declares for it."""

from __future__ import annotations

from .booking_results import (
    Cancelled,
    Changed,
    Confirmed,
    Created,
    Deduped,
    Found,
    Identity,
    Noted,
    Option,
    PolicyAnswer,
    Queued,
    Quoted,
    TripRow,
)
from .calendar_results import Availability, Blocked, Conflict, Entered, Events, FreeSlot, Held, Released, SlotAnswer
from .crew_results import Dispatched, Reconfirmed, Replaced, StoodDown
from .papers_results import Checklist, Item, Manifest, PageUpdated, PageWithdrawn, Published, Sent, Waivers
from .payment_results import Link, Reconciled, Reconciliation, Recorded, RefundAsked, Refunded

__all__ = [
    "Availability",
    "Blocked",
    "Cancelled",
    "Changed",
    "Checklist",
    "Confirmed",
    "Conflict",
    "Created",
    "Deduped",
    "Dispatched",
    "Entered",
    "Events",
    "Found",
    "FreeSlot",
    "Held",
    "Identity",
    "Item",
    "Link",
    "Manifest",
    "Noted",
    "Option",
    "PageUpdated",
    "PageWithdrawn",
    "PolicyAnswer",
    "Published",
    "Queued",
    "Quoted",
    "Reconciled",
    "Reconciliation",
    "Reconfirmed",
    "Recorded",
    "RefundAsked",
    "Refunded",
    "Released",
    "Replaced",
    "Sent",
    "SlotAnswer",
    "StoodDown",
    "TripRow",
    "Waivers",
]

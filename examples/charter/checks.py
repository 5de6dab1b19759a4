"""State checks: each says whether an end state that must not exist came true."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, TypeAlias, cast

from .contract import contract
from .evidence import Evidence
from .prices import deposit_of
from .record import Booking, shown
from .slots import Claim, overlapping

Check: TypeAlias = Callable[[Evidence, Mapping[str, Any]], bool]


def came_true(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    """Evaluate one check. Raises KeyError for one nobody wrote."""
    return CHECKS[check["check"]](evidence, check)


def overlaps(evidence: Evidence) -> bool:
    """Whether two confirmed bookings of one vessel are too near each other, and were not before."""
    gap = evidence.world.turnaround

    def pairs(bookings: Mapping[str, Booking]) -> set[tuple[str, str]]:
        firm = sorted((b for b in bookings.values() if b.status in ("confirmed", "completed")), key=lambda b: b.id)
        return set(overlapping([(b.id, b.slot) for b in firm], gap))

    def slots(bookings: Mapping[str, Booking], pair: tuple[str, str]) -> list[object]:
        return [bookings[i].slot if i in bookings else None for i in pair]

    known = pairs(evidence.before)
    return any(p not in known or slots(evidence.before, p) != slots(evidence.after, p) for p in pairs(evidence.after))


def _before(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    # What changed something is ordered by when it did; reads are only known by when they came in.
    first, then = check["first"], check["then"]
    reads = "read" in (contract().actions[name]["effect"] for name in (first, then))
    calls = [(ran.action, ran.n) for ran in evidence.ran] if reads else evidence.effects
    when = dict(reversed(calls))
    return then in when and (first not in when or when[first] > when[then])


def _unchanged(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    name: str = check["booking"]
    new = evidence.booking(name)
    old = evidence.before.get(new.id if new else name)
    if old is None:
        return False
    if new is None or shown(old) != shown(new):
        return True
    until = old.hold_expires if old.status == "tentative" else None
    return old.live and not any(claim.slot == old.slot and claim.expires == until for claim in evidence.entries[new.id])


def _has_status(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    booking = evidence.booking(check["booking"])
    return booking is not None and booking.status == check["value"]


def _field_differs(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    booking = evidence.booking(check["booking"])
    if booking is None:
        return True
    field: str = check["field"]
    aliases = {"party_size": "party", "gross_revenue": "gross"}
    return shown(booking).get(aliases.get(field, field)) != check["value"]


def _slot_lost(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    new = evidence.booking(check["booking"])
    old = evidence.before.get(new.id, new) if new else None
    if old is None:
        return True
    kept = any(claim.booking_id == old.id and claim.slot.holds(old.slot) for claim in evidence.claims)
    others = [claim for claim in evidence.claims if claim.booking_id != old.id and not _stood_before(evidence, claim)]
    return not kept or any(
        overlapping([("", old.slot), ("", claim.slot)], evidence.world.turnaround) for claim in others
    )


def _stood_before(evidence: Evidence, claim: Claim) -> bool:
    other = evidence.before.get(claim.booking_id or "")
    return other is not None and other.slot == claim.slot


def _over_capacity(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    return any(b.live and b.party > evidence.world.vessels[b.vessel].capacity for b in _meant(evidence, check))


def _page_differs(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    for booking in _meant(evidence, check):
        page = evidence.pages.get(booking.id)
        slots = [claim.slot for claim in evidence.entries[booking.id]]
        if page is not None and (page != (booking.start, booking.end) or (booking.live and booking.slot not in slots)):
            return True
    return False


def _uncrewed(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    facts = evidence.world.vessels
    return any(
        len(b.crew) < facts[b.vessel].crew or (bool(facts[b.vessel].captains) and b.captain is None)
        for b in _meant(evidence, check)
        if "booking" in check or (b.status == "confirmed" and b.id in evidence.before)
    )


def _unassigned(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    booking = evidence.booking(check["booking"])
    return booking is None or check["person"] not in booking.people


def _too_many(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    return any(
        len(b.crew) > evidence.world.vessels[b.vessel].crew or len(set(b.people)) < len(b.people)
        for b in _meant(evidence, check)
    )


def _no_captain_no_alert(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    for booking in _meant(evidence, check):
        told = booking.id in evidence.items or any(
            m.reader == "operator" and m.booking_id == booking.id for m in evidence.messages
        )
        # An alert that names no booking is one for the only booking it can be about.
        told = told or (
            booking.id == check.get("booking")
            and (None in evidence.items or any(m.reader == "operator" for m in evidence.messages))
        )
        if booking.status == "confirmed" and booking.captain is None and not told:
            return True
    return False


def _false_captain(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    roster = evidence.world.captains
    return any(b.captain is not None and b.captain not in roster for b in _meant(evidence, check))


def _no_deposit(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    for booking in _meant(evidence, check):
        old = evidence.before.get(booking.id)
        became = booking.status == "confirmed" and (old is None or old.status != "confirmed")
        if became and not booking.market and booking.paid < deposit_of(evidence.world, booking.total or booking.paid):
            return True
    return False


def _approved(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    del check
    return bool(evidence.approved) or evidence.refunds > 0


def _crew_events(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    done = sum(action == "crew.dispatch_cascade" for action, _ in evidence.effects)
    return any(evidence.crew_events.get(b.id, 0) > 1 for b in _meant(evidence, check)) or (
        "booking" not in check and done > len(evidence.crew_events)
    )


def _both_confirmed(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    named = [booking for name in _names(check) if (booking := evidence.booking(name))]
    if len(list(_names(check))) > 1:
        return len(named) > 1 and all(b.status == "confirmed" for b in named)
    confirmed = [b for b in evidence.after.values() if b.status == "confirmed"]
    pairs = overlapping([(b.id, b.slot) for b in confirmed], evidence.world.turnaround)
    return any(not named or named[0].id in pair for pair in pairs)


def _manifest_closed(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    return any(b.id in evidence.complete_manifests for b in _meant(evidence, check))


def _blocked(evidence: Evidence, check: Mapping[str, Any]) -> bool:
    day = date.fromisoformat(check["date"])
    return any(block.vessel == check["vessel"] and block.on(day) is not None for block in evidence.new_blocks)


def _meant(evidence: Evidence, check: Mapping[str, Any]) -> list[Booking]:
    if "booking" in check:
        booking = evidence.booking(check["booking"])
        return [booking] if booking else []
    return [b for b in evidence.after.values() if "vessel" not in check or b.vessel == check["vessel"]]


def _names(check: Mapping[str, Any]) -> Iterator[str]:
    for key, value in check.items():
        if key != "check":
            values = cast("list[Any]", value) if isinstance(value, list) else [value]
            yield from (v for v in values if isinstance(v, str) and re.fullmatch(r"B-\d{4}|M\w-\d+", v))


CHECKS: Mapping[str, Check] = {
    "before": _before,
    "unchanged": _unchanged,
    "not_status": _has_status,
    "field_is": _field_differs,
    "slot_kept": _slot_lost,
    "within_capacity": _over_capacity,
    "page_matches": _page_differs,
    "crewed": _uncrewed,
    "assigned": _unassigned,
    "crew_at_most_needed": _too_many,
    "captain_or_alert": _no_captain_no_alert,
    "captain_is_captain": _false_captain,
    "confirmed_has_deposit": _no_deposit,
    "no_approvals": _approved,
    "one_crew_event": _crew_events,
    "not_both_confirmed": _both_confirmed,
    "manifest_open": _manifest_closed,
    "not_blocked": _blocked,
}

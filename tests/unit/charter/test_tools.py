"""The tools on a company's books: once per key, undone without a trace, and no where the world says no."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.charter.reference import step_for

from charter.fleet import world_of
from trimtab import Handoff, Rejected, Status

SLOT = {"vessel": "larkspur", "start": "2026-06-20T10:00", "end": "2026-06-20T13:00"}
MOVE = {
    "vessel": "larkspur",
    "start": "2026-06-21T12:00",
    "end": "2026-06-21T15:00",
    "hold_hours": 24,
    "booking_id": "B-1008",
}
CREW = {"cap-1": "accept", "dk-3": "accept", "dk-4": "accept"}


NUMBERS = itertools.count(1)


class Desk:
    """Calls tools as a run would."""

    def __init__(self, office, request=None, run_id="run-1"):
        self.office, self.run_id = office, run_id
        self.request = request or office.request()

    async def call(self, name: str, key: str = "", **arguments: Any) -> Any:
        role, action = name.split(".")
        specialist = self.office.workflow.specialists[role]
        tool = specialist.tools[action]
        assert tool.check(arguments) == [], tool.check(arguments)
        step = step_for(self.request, key or f"s{next(NUMBERS)}", self.run_id, key)
        return await getattr(specialist, action)(step, **tool.read(arguments))

    async def get(self, name: str, **arguments: Any) -> Any:
        got = await self.call(name, **arguments)
        assert not isinstance(got, Rejected), got
        return got.value if isinstance(got, Handoff) else got

    async def refused(self, name: str, why: str, **arguments: Any) -> None:
        before = snapshot(self.office.store)
        got = await self.call(name, **arguments)
        assert isinstance(got, Rejected), got
        assert why in got.reason
        assert snapshot(self.office.store) == before

    async def undo(self, name: str, key: str, value: Any = None) -> None:
        role, action = name.split(".")
        specialist = self.office.workflow.specialists[role]
        await specialist.tools[action].undo(specialist, step_for(self.request, key, self.run_id, key), value)


@pytest.fixture
def desk(office):
    office.open({"crew_replies": CREW})
    return Desk(office)


def snapshot(store) -> dict[str, Any]:
    """What counts for the business: everything that is live, without serial numbers and secrets."""
    queries = {
        "bookings": "SELECT * FROM bookings WHERE cancelled_by IS NOT 'undo' ORDER BY id",
        "notes": "SELECT booking_id, text FROM notes WHERE state = 'live' ORDER BY n",
        "entries": "SELECT state, vessel, start, finish, booking_id, expires FROM entries WHERE state <> 'released' ORDER BY n",
        "blocks": "SELECT vessel, why, first, last FROM blocks WHERE state = 'live' ORDER BY n",
        "waitlist": "SELECT vessel, start FROM waitlist WHERE state = 'waiting'",
        "links": "SELECT kind, amount FROM links WHERE state = 'open'",
        "refunds": "SELECT booking_id, amount FROM refunds WHERE state <> 'withdrawn'",
        "payments": "SELECT booking_id, amount FROM payments ORDER BY n",
        "asks": "SELECT booking_id, person, state FROM asks WHERE state <> 'withdrawn' ORDER BY n",
        "events": "SELECT booking_id FROM crew_events",
        "pages": "SELECT * FROM pages ORDER BY booking_id",
        "manifests": "SELECT booking_id, start, complete FROM manifests WHERE state = 'live'",
        "checklists": "SELECT * FROM checklists ORDER BY booking_id",
        "waivers": "SELECT booking_id, kind, state FROM waivers WHERE state <> 'void' ORDER BY n",
        "items": "SELECT kind, what FROM items WHERE state = 'open'",
        "messages": "SELECT template, booking_id FROM outbox WHERE template NOT IN ('new_hours', 'replacement_wanted') ORDER BY n",
    }
    return {name: store.table(query) for name, query in queries.items()}


async def _nothing(desk: Desk) -> None:
    pass


async def _ready_to_confirm(desk: Desk) -> None:
    webhook = Desk(desk.office, desk.office.request("evt_1 arrived", "system"))
    await webhook.get("payment.record_webhook", event_id="evt_1", booking_id="B-1005", amount=420, kind="deposit")
    await desk.get("calendar.confirm_slot", booking_id="B-1005")


async def _agreed(desk: Desk) -> None:
    await desk.get("calendar.place_hold", **MOVE)
    await desk.get(
        "crew.reconfirm", booking_id="B-1008", start=MOVE["start"], end=MOVE["end"], persons=["cap-1", "dk-3", "dk-4"]
    )


async def _unpublished(desk: Desk) -> None:
    await desk.get("guestpage.withdraw", booking_id="B-1001", reason="none yet")


async def _listed(desk: Desk) -> None:
    await desk.get("documents.build_checklist", booking_id="B-1001", items=["ice", "rope"])
    await desk.get("documents.build_manifest", booking_id="B-1001")


REVERSIBLE = [
    ("booking.create", _nothing, {**SLOT, "source": "direct", "party_size": 4, "notes": "birthday"}),
    ("booking.create", _nothing, {**SLOT, "source": "marketplace-b", "ref": "MB-1", "party_size": 4, "gross": 500}),
    (
        "booking.change",
        _nothing,
        {"booking_id": "B-1008", "changes": {"party_size": 9, "contact": "a@b.example", "total": 700}},
    ),
    (
        "booking.change",
        _agreed,
        {"booking_id": "B-1008", "changes": {"start": MOVE["start"], "end": MOVE["end"]}, "crew_confirmed": True},
    ),
    ("booking.confirm", _ready_to_confirm, {"booking_id": "B-1005"}),
    ("booking.update_notes", _nothing, {"booking_id": "B-1001", "notes": "vegan", "adults": 6, "minors": [{"age": 9}]}),
    ("booking.waitlist", _nothing, {**SLOT, "start": "2026-06-27T11:00", "end": "2026-06-27T14:00", "party_size": 9}),
    ("calendar.place_hold", _nothing, {**SLOT, "hold_hours": 24, "party_size": 3}),
    ("calendar.confirm_slot", _nothing, {"booking_id": "B-1005"}),
    (
        "calendar.block_range",
        _nothing,
        {"vessel": "larkspur", "from": "2026-07-01", "to": "2026-07-03", "reason": "paint"},
    ),
    ("payment.create_deposit_link", _nothing, {"booking_id": "B-1005", "amount": 420}),
    ("payment.create_balance_link", _nothing, {"booking_id": "B-1001", "amount": 420}),
    ("payment.request_refund", _nothing, {"booking_id": "B-1008", "amount": 407.4, "reason": "guest cancel"}),
    ("crew.release", _nothing, {"booking_id": "B-1001", "persons": ["cap-1", "dk-2"], "reason": "fog"}),
    ("crew.replace_member", _nothing, {"booking_id": "B-1001", "position": "deckhand", "out": "dk-1"}),
    (
        "crew.replace_member",
        _nothing,
        {"booking_id": "B-1001", "position": "deckhand", "out": "dk-1", "candidates": ["dk-5"]},
    ),
    (
        "crew.reconfirm",
        _nothing,
        {"booking_id": "B-1008", "start": MOVE["start"], "end": MOVE["end"], "persons": ["cap-1"]},
    ),
    ("guestpage.publish", _unpublished, {"booking_id": "B-1001"}),
    ("guestpage.update", _nothing, {"booking_id": "B-1001"}),
    (
        "guestpage.withdraw",
        _nothing,
        {"booking_id": "B-1001", "reason": "privacy", "remove": ["names"], "reissue_link": True},
    ),
    ("documents.build_manifest", _listed, {"booking_id": "B-1001"}),
    ("documents.build_checklist", _listed, {"booking_id": "B-1001", "items": ["flags"]}),
    ("documents.build_checklist", _nothing, {"booking_id": "B-1002"}),
    ("documents.update_checklist", _listed, {"booking_id": "B-1001", "add": ["flags", "ice"], "remove": ["rope"]}),
    ("documents.update_checklist", _nothing, {"booking_id": "B-1002", "add": ["flags"]}),
    (
        "human.needs_you",
        _nothing,
        {"kind": "approval", "what": "look", "amount": 3, "figures": {"a": 1}, "then": "go_on"},
    ),
]
IRREVERSIBLE = [
    ("booking.cancel", _nothing, {"booking_id": "B-1008", "by": "guest", "reason": "ill"}),
    ("calendar.release_slot", _nothing, {"booking_id": "B-1005"}),
    ("crew.dispatch_cascade", _ready_to_confirm, {"booking_id": "B-1001"}),
    ("documents.send_waivers", _nothing, {"booking_id": "B-1001", "adults": 6, "minors": 2}),
]
NAMES = [f"{name}-{i}" for i, (name, _, _) in enumerate(REVERSIBLE)]


def test_every_reversible_tool_is_undone_here(office):
    declared = {
        f"{r}.{n}"
        for r, s in office.workflow.specialists.items()
        for n, t in s.tools.items()
        if t.effect == "reversible"
    }
    assert declared == {name for name, _, _ in REVERSIBLE}


@pytest.mark.parametrize(("name", "given", "arguments"), REVERSIBLE, ids=NAMES)
async def test_compensation_restores_the_books(desk, name, given, arguments):
    await given(desk)
    before = snapshot(desk.office.store)
    got = await desk.call(name, key="it", **arguments)
    assert not isinstance(got, Rejected), got
    changed = snapshot(desk.office.store)
    assert changed != before or name in ("guestpage.update", "crew.reconfirm", "documents.build_manifest")
    await desk.undo(name, "it", got)
    assert snapshot(desk.office.store) == before
    await desk.undo(name, "it", got)
    assert snapshot(desk.office.store) == before


@pytest.mark.parametrize(("name", "given", "arguments"), [*REVERSIBLE, *IRREVERSIBLE])
async def test_the_same_key_does_nothing_twice(desk, name, given, arguments):
    await given(desk)
    first = await desk.call(name, key="it", **arguments)
    assert not isinstance(first, Rejected), first
    after = snapshot(desk.office.store)
    again = await desk.call(name, key="it", **arguments)
    assert again == first
    assert snapshot(desk.office.store) == after
    store = desk.office.store
    assert store.table("SELECT count(*) AS n FROM effects WHERE key = 'it'")[0]["n"] == 1
    assert store.table("SELECT count(*) AS n FROM calls WHERE key = 'it'")[0]["n"] == 2


async def test_many_calls_at_once_with_one_key_do_it_once(desk):
    got = await asyncio.gather(*(desk.call("calendar.place_hold", key="it", **SLOT, hold_hours=24) for _ in range(8)))
    assert len({held.hold_id for held in got}) == 1
    assert len(desk.office.store.table("SELECT * FROM entries WHERE start = '2026-06-20T10:00'")) == 1


async def test_undoing_a_call_that_found_it_done_undoes_nothing(desk):
    first = await desk.get("booking.create", source="marketplace-b", ref="MB-1", party_size=4, **SLOT)
    other = Desk(desk.office, run_id="run-2")
    again = await other.call("booking.create", key="again", source="marketplace-b", ref="MB-1", party_size=4, **SLOT)
    assert again.booking_id == first.booking_id
    before = snapshot(desk.office.store)
    await other.undo("booking.create", "again", again)
    assert snapshot(desk.office.store) == before


async def test_a_refused_call_may_succeed_later_under_the_same_key(desk):
    taken = {"vessel": "larkspur", "start": "2026-06-27T11:00", "end": "2026-06-27T14:00", "hold_hours": 24}
    assert isinstance(await desk.call("calendar.place_hold", key="it", **taken), Rejected)
    await desk.get("calendar.release_slot", booking_id="B-1005")
    assert not isinstance(await desk.call("calendar.place_hold", key="it", **taken), Rejected)


async def test_the_log_of_calls_cannot_be_changed(desk):
    import sqlite3

    await desk.call("booking.lookup", booking_id="B-1001")
    for statement in ("DELETE FROM calls", "UPDATE calls SET action = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            desk.office.store.write(lambda books, s=statement: books._db.execute(s))


class TestBooking:
    async def test_a_notice_is_known_by_its_ref(self, desk):
        got = await desk.call("booking.dedupe_check", source="marketplace-b", ref="MB-77120")
        assert (got.status, got.stops, got.value.booking_id) == (Status.NO_ACTION, True, "B-1002")
        assert not (await desk.get("booking.dedupe_check", source="marketplace-g", ref="MB-77120")).duplicate

    async def test_a_form_is_known_by_slot_and_party(self, desk):
        same = {"source": "direct", "vessel": "larkspur", "start": "2026-06-27T11:00"}
        assert (await desk.get("booking.dedupe_check", **same, party_size=12)).duplicate
        assert not (await desk.get("booking.dedupe_check", **same, party_size=9)).duplicate

    async def test_a_form_sent_twice_by_one_address_is_known_by_its_hold(self, office):
        office.open()
        wish = {"vessel": "larkspur", "start": "2026-06-20T10:00", "party_size": 4}
        ann = Desk(office, office.request(sender="ann@x.example"))
        await ann.get("calendar.place_hold", **SLOT, hold_hours=24, party_size=4)
        assert (await ann.get("booking.dedupe_check", source="direct", **wish)).duplicate
        bob = Desk(office, office.request(sender="bob@x.example"))
        assert not (await bob.get("booking.dedupe_check", source="direct", **wish)).duplicate

    async def test_lookup_fills_one_and_lists_several(self, desk):
        one = await desk.get("booking.lookup", person="dk-2", date="2026-06-13")
        assert (one.booking_id, one.own_pay, one.call_time.hour, one.balance) == ("B-1001", 125, 12, 420)
        several = await desk.get("booking.lookup", person="cap-1")
        assert (several.found, several.booking_id, len(several.rows)) == (True, "B-1006", 4)
        listed = await desk.get("booking.lookup", booking_ids=["B-1001", "B-1002"])
        assert (listed.found, listed.booking_id, len(listed.rows)) == (True, None, 2)
        named = await desk.get("booking.lookup", booking_id="B-1008", contact="sender")
        assert named.booking_id == "B-1008"
        assert not (await desk.get("booking.lookup", booking_id="B-9999")).found
        assert not (await desk.get("booking.lookup", contact="sender")).found

    async def test_lookup_by_the_senders_own_address(self, office):
        office.open({"B-1001": {"contact": "ann@x.example"}})
        assert (
            await Desk(office, office.request(sender="ann@x.example")).get("booking.lookup", contact="sender")
        ).booking_id == "B-1001"

    async def test_a_taken_slot_cannot_be_booked(self, desk):
        trip = {
            "vessel": "larkspur",
            "start": "2026-06-14T12:00",
            "end": "2026-06-14T14:00",
            "source": "marketplace-g",
            "ref": "MG-1",
        }
        await desk.refused("booking.create", "B-1002", **trip, party_size=6)
        await desk.refused("booking.create", "carries 12", **SLOT, source="direct", party_size=13)
        await desk.refused(
            "booking.create",
            "past",
            vessel="larkspur",
            start="2026-06-07T10:00",
            end="2026-06-07T13:00",
            source="direct",
            party_size=2,
        )
        await desk.refused(
            "booking.create",
            "2 hours at least",
            vessel="larkspur",
            start="2026-06-20T10:00",
            end="2026-06-20T11:00",
            source="direct",
            party_size=2,
        )

    async def test_a_booking_takes_over_the_hold_of_its_run_only(self, desk):
        await desk.get("calendar.place_hold", **SLOT, hold_hours=24)
        await Desk(desk.office, run_id="run-2").refused(
            "booking.create", "not free", **SLOT, source="direct", party_size=4
        )
        assert (await desk.get("booking.create", **SLOT, source="direct", party_size=4)).total == 840

    async def test_nothing_is_confirmed_without_deposit_and_slot(self, desk):
        await desk.refused("booking.confirm", "no deposit", booking_id="B-1005")
        webhook = Desk(desk.office, desk.office.request("evt_1", "system"))
        await webhook.get("payment.record_webhook", event_id="evt_1", booking_id="B-1005", amount=420, kind="deposit")
        await desk.refused("booking.confirm", "not confirmed in the calendar", booking_id="B-1005")

    async def test_a_deposit_after_the_hold_ran_out_gets_the_slot_only_while_it_is_free(self, office):
        office.open({"now": "2026-06-10T09:00:00-07:00"})
        desk = Desk(office, office.request("evt_1", "system"))
        other = Desk(office)
        await desk.get("payment.record_webhook", event_id="evt_1", booking_id="B-1005", amount=420, kind="deposit")
        await other.get(
            "calendar.place_hold", vessel="larkspur", start="2026-06-27T12:00", end="2026-06-27T14:00", hold_hours=24
        )
        await desk.refused("calendar.confirm_slot", "not free", booking_id="B-1005")

    async def test_time_changes_only_when_the_crew_said_yes(self, desk):
        await desk.get("calendar.place_hold", **MOVE)
        change = {"booking_id": "B-1008", "changes": {"start": MOVE["start"], "end": MOVE["end"]}}
        for claimed in ({}, {"crew_confirmed": False}):
            got = await desk.call("booking.change", **change, **claimed)
            assert (got.status, got.stops) == (Status.AWAITING_CREW, True)
        assert (await desk.get("booking.lookup", booking_id="B-1008")).start.day == 28
        moved = await desk.get("booking.change", **change, crew_confirmed=True)
        assert (moved.start.day, str(moved.balance_due), moved.previous["start"]) == (
            21,
            "2026-06-14",
            "2026-06-28T12:00",
        )

    async def test_nobody_is_said_to_agree_who_was_asked_and_did_not(self, office):
        office.open({"crew_replies": {"cap-1": "accept", "dk-3": "decline"}})
        desk = Desk(office)
        hours = {"start": MOVE["start"], "end": MOVE["end"]}
        await desk.get("crew.reconfirm", booking_id="B-1008", **hours, persons=["cap-1", "dk-3"])
        got = await desk.call("booking.change", booking_id="B-1008", changes=hours, crew_confirmed=True)
        assert (got.status, got.stops) == (Status.AWAITING_CREW, True)
        assert "dk-3" in got.reason

    async def test_a_trip_under_way_may_last_longer(self, office):
        office.open({"now": "2026-06-09T13:30:00-07:00"})
        longer = {"booking_id": "B-1006", "changes": {"end": "2026-06-09T16:00"}, "crew_confirmed": True}
        assert (await Desk(office).get("booking.change", **longer)).end.hour == 16
        await Desk(office).refused(
            "booking.change", "past", **{**longer, "changes": {"start": "2026-06-09T11:00", "end": "2026-06-09T14:00"}}
        )

    async def test_a_moved_booking_takes_its_page_along(self, desk):
        moved = {"start": MOVE["start"], "end": MOVE["end"]}
        await desk.get("booking.change", key="c", booking_id="B-1008", changes=moved, crew_confirmed=True)
        page = "SELECT start FROM pages WHERE booking_id = 'B-1008'"
        assert desk.office.store.table(page) == [{"start": MOVE["start"]}]
        await desk.undo("booking.change", "c")
        assert desk.office.store.table(page) == [{"start": "2026-06-28T12:00"}]

    async def test_a_slot_confirmed_first_becomes_the_bookings(self, desk):
        held = await desk.get("calendar.place_hold", **SLOT, hold_hours=1)
        await desk.get("calendar.confirm_slot", hold_id=held.hold_id)
        made = await desk.get("booking.create", key="m", **SLOT, source="marketplace-b", ref="MB-1", party_size=4)
        rows = "SELECT state, booking_id FROM entries WHERE n = (SELECT max(n) FROM entries)"
        assert desk.office.store.table(rows) == [{"state": "firm", "booking_id": made.booking_id}]
        await desk.undo("booking.create", "m")
        assert desk.office.store.table(rows) == [{"state": "firm", "booking_id": None}]

    async def test_what_a_marketplace_sold_may_be_short(self, desk):
        short = {**SLOT, "end": "2026-06-20T11:30", "party_size": 4}
        await desk.refused("booking.create", "2 hours at least", **short, source="direct")
        await desk.get("booking.create", **short, source="marketplace-b", ref="MB-1")

    async def test_too_many_people_do_not_fit(self, desk):
        await desk.refused("booking.change", "carries 12", booking_id="B-1001", changes={"party_size": 14})
        await desk.refused(
            "booking.update_notes", "carries 12", booking_id="B-1001", notes="n", adults=10, minors=[{"age": 1}] * 3
        )

    @pytest.mark.parametrize(
        ("role", "claims", "more", "verified"),
        [
            ("crew", "crew", {"person": "dk-2"}, True),
            ("captain", "captain", {"person": "cap-1"}, True),
            ("guest", "crew", {"person": "dk-2"}, False),
            ("crew", "crew", {"person": "cap-1"}, False),
            ("crew", "crew", {"person": "dk-99"}, False),
            ("guest", "guest", {"booking_id": "B-1001"}, True),
            ("guest", "guest", {"booking_id": "B-9999"}, False),
            ("unknown", "guest", {"booking_id": "B-1001"}, False),
            ("guest", "operator", {}, False),
            ("operator", "operator", {}, True),
            ("unknown", "none", {}, False),
        ],
    )
    async def test_identity_is_what_intake_says(self, office, role, claims, more, verified):
        office.open()
        desk = Desk(office, office.request("I am the operator, dk-2 and B-1001", role))
        assert (await desk.get("booking.verify_identity", claims=claims, **more)).verified == verified

    async def test_a_known_address_is_compared(self, office):
        office.open({"B-1001": {"contact": "ann@x.example"}})
        ask = {"claims": "guest", "booking_id": "B-1001"}
        assert (
            await Desk(office, office.request(sender="ann@x.example")).get("booking.verify_identity", **ask)
        ).verified
        assert not (
            await Desk(office, office.request(sender="eve@x.example")).get("booking.verify_identity", **ask)
        ).verified

    async def test_quotes_of_several_hours_have_no_single_total(self, desk):
        got = await desk.get("booking.quote", vessels=["larkspur", "sandpiper"], hours=[3, 4], party_size=16)
        assert (got.total, got.capacity, [float(q.total) for q in got.quotes]) == (None, 18, [1320, 1760])
        asked = await desk.get("booking.quote", vessels=["larkspur"], hours=[4], party_size=10, asked_total=800)
        assert (asked.total, asked.net_revenue, asked.asked_net_revenue) == (1120, Decimal("428.40"), 166)
        least = await desk.get("booking.quote", vessels=["larkspur"], hours=[1], party_size=2)
        assert (least.total, least.quotes[0].hours) == (560, 2)


class TestCalendar:
    async def test_the_slot_of_a_live_booking_is_not_released(self, desk):
        await desk.refused("calendar.release_slot", "cancel or move it first", booking_id="B-1001")
        await desk.get("calendar.place_hold", **MOVE)
        await desk.refused(
            "calendar.release_slot", "cancel or move it first", booking_id="B-1008", start="2026-06-28T12:00"
        )

    async def test_a_cancelled_bookings_slot_is(self, desk):
        await desk.get("booking.cancel", booking_id="B-1008", by="guest", reason="ill")
        taken = {"vessel": "larkspur", "start": "2026-06-28T12:00", "end": "2026-06-28T15:00"}
        await desk.refused("calendar.place_hold", "not free", **taken, hold_hours=2)
        assert (await desk.get("calendar.release_slot", booking_id="B-1008")).released
        await desk.get("calendar.place_hold", **taken, hold_hours=2)

    async def test_a_released_hold_takes_its_pay_link_along(self, desk):
        held = await desk.get("calendar.place_hold", **SLOT, hold_hours=24)
        await desk.get("payment.create_deposit_link", hold_id=held.hold_id, amount=420)
        await desk.get("calendar.release_slot", hold_id=held.hold_id)
        assert desk.office.store.table("SELECT state FROM links") == [{"state": "expired"}]
        again = await desk.get("calendar.release_slot", hold_id=held.hold_id)
        assert not again.released
        await desk.refused("calendar.release_slot", "no hold", hold_id="H-999")

    async def test_the_old_slot_goes_once_the_new_one_is_firm(self, desk):
        held = await desk.get("calendar.place_hold", **MOVE)
        old = {"booking_id": "B-1008", "start": "2026-06-28T12:00"}
        await desk.refused("calendar.release_slot", "cancel or move it first", **old)
        await desk.get("calendar.confirm_slot", hold_id=held.hold_id)
        assert (await desk.get("calendar.release_slot", **old)).released
        moved = {"start": MOVE["start"], "end": MOVE["end"]}
        await desk.get("booking.change", booking_id="B-1008", changes=moved, crew_confirmed=True)
        await desk.refused("calendar.release_slot", "cancel or move it first", booking_id="B-1008")

    async def test_expired_holds_free_their_slot(self, office):
        office.open({"now": "2026-06-09T18:00:00-07:00"})
        got = await Desk(office).get(
            "calendar.check_availability",
            slots=[{"vessel": "larkspur", "start": "2026-06-27T11:00", "end": "2026-06-27T14:00"}],
        )
        assert got.available

    async def test_a_block_names_what_it_touches(self, desk):
        got = await desk.get(
            "calendar.block_range", vessel="larkspur", **{"from": "2026-06-13", "to": "2026-06-17"}, reason="paint"
        )
        assert [c.booking_id or c.why for c in got.affected] == ["B-1001", "B-1002", "youth sailing programme"]
        await desk.refused(
            "calendar.place_hold",
            "paint",
            vessel="larkspur",
            start="2026-06-15T10:00",
            end="2026-06-15T12:00",
            hold_hours=1,
        )

    async def test_availability_says_who_fits(self, desk):
        slots = [{**SLOT, "vessel": v} for v in ("larkspur", "sandpiper")]
        got = await desk.get("calendar.check_availability", slots=slots, party_size=8)
        assert (got.available, got.fits, [s.fits for s in got.slots]) == (True, False, [True, False])


class TestPayment:
    async def test_marketplace_money_is_not_ours(self, desk):
        for action in ("create_deposit_link", "create_balance_link"):
            await desk.refused(f"payment.{action}", "marketplace", booking_id="B-1002", amount=10)
        await desk.refused("payment.request_refund", "marketplace", booking_id="B-1002", amount=10, reason="r")

    async def test_a_link_asks_for_something(self, desk):
        await desk.refused("payment.create_balance_link", "nothing", booking_id="B-1001", amount=0)
        await desk.refused("payment.create_balance_link", "marketplace", booking_id="B-1002", amount=1)
        await desk.get("payment.create_deposit_link", booking_id="B-1006", amount=240)

    async def test_an_underpaid_deposit_confirms_nothing(self, office):
        office.open()
        desk = Desk(office, office.request("evt_1", "system"))
        await desk.get("payment.create_deposit_link", booking_id="B-1005", amount=100)
        await desk.get("payment.record_webhook", event_id="evt_1", booking_id="B-1005", amount=100, kind="deposit")
        await desk.get("calendar.confirm_slot", booking_id="B-1005")
        await desk.refused("booking.confirm", "no deposit", booking_id="B-1005")

    async def test_the_operator_may_book_cash(self, office):
        office.open()
        cash = {"event_id": "cash-1", "booking_id": "B-1005", "amount": 420, "kind": "deposit"}
        got = await Desk(office, office.request("took 420 for B-1005", "operator")).get(
            "payment.record_webhook", **cash
        )
        assert got.paid == 420

    async def test_only_the_processor_reports_payments(self, office):
        office.open()
        event = {"event_id": "evt_7", "booking_id": "B-1005", "amount": 420, "kind": "deposit"}
        await Desk(office, office.request("evt_7 paid!", "guest")).refused(
            "payment.record_webhook", "not reported", **event
        )
        await Desk(office, office.request("evt_8", "system")).refused("payment.record_webhook", "not reported", **event)

    async def test_no_more_is_refunded_than_was_paid(self, desk):
        await desk.get("payment.request_refund", booking_id="B-1008", amount=400, reason="r")
        await desk.refused("payment.request_refund", "20.00", booking_id="B-1008", amount=21, reason="r")

    async def test_a_refund_needs_an_item_that_was_put_before_the_operator(self, desk):
        asked = await desk.get("payment.request_refund", booking_id="B-1008", amount=400, reason="r")
        refund = {"refund_request_id": asked.refund_request_id}
        await desk.refused("payment.execute_refund", "OP-7", **refund, approval_id="OP-7")
        item = await desk.get("human.needs_you", kind="approval", what="refund", booking_id="B-1008")
        first = await desk.get("payment.execute_refund", **refund, approval_id=item.item_id)
        again = await desk.get("payment.execute_refund", **refund, approval_id=item.item_id)
        assert first == again
        assert len(desk.office.store.table("SELECT * FROM refunds WHERE state = 'executed'")) == 1

    async def test_a_claimed_transfer_is_not_on_record(self, desk):
        got = await desk.get("payment.reconcile", booking_ids=["B-1001"], claimed_amount=420, method="bank_transfer")
        assert (got.matched, got.balance, got.rows[0].overdue) == (False, 420, True)
        assert not (
            await desk.get("payment.reconcile", booking_ids=["B-1001"], claimed_amount=420, method="card")
        ).matched
        assert (await desk.get("payment.reconcile", booking_ids=["B-1006"], claimed_amount=840, method="card")).matched

    async def test_reconcile_finds_what_is_missing(self, desk):
        assert (await desk.get("payment.reconcile", booking_ids=["B-1002", "B-1006", "B-1008"])).matched
        assert not (await desk.get("payment.reconcile", booking_ids=["B-1003"])).matched


class TestCrew:
    async def test_a_crew_event_waits_for_the_calendar(self, desk):
        await desk.refused("crew.dispatch_cascade", "not confirmed", booking_id="B-1005")
        made = await desk.get("booking.create", **SLOT, source="marketplace-b", ref="MB-1", party_size=4)
        await desk.refused("crew.dispatch_cascade", "not confirmed in the calendar", booking_id=made.booking_id)

    async def test_a_full_cascade(self, office):
        office.open(
            {
                "crew_replies": {
                    "cap-1": "decline",
                    "cap-2": "accept",
                    "dk-1": "accept",
                    "dk-2": "decline",
                    "dk-3": "accept",
                }
            }
        )
        desk = Desk(office)
        made = await desk.get(
            "booking.create",
            **{**SLOT, "start": "2026-06-21T10:00", "end": "2026-06-21T13:00"},
            source="marketplace-b",
            ref="MB-1",
            party_size=4,
        )
        await desk.get("calendar.confirm_slot", booking_id=made.booking_id)
        got = await desk.call("crew.dispatch_cascade", booking_id=made.booking_id)
        assert (got.asked, got.open_positions) == (("cap-1", "cap-2", "dk-1", "dk-2", "dk-3"), 0)
        booked = await desk.get("booking.lookup", booking_id=made.booking_id)
        assert (booked.captain, booked.crew) == ("cap-2", ("dk-1", "dk-3"))
        again = await Desk(office, run_id="other").get("crew.dispatch_cascade", booking_id=made.booking_id)
        assert again == got

    async def test_who_sails_that_day_is_passed_over(self, desk):
        got = await desk.get("crew.replace_member", booking_id="B-1004", position="captain", out="cap-2")
        assert got.asked == ("cap-1",)
        # 13 June: cap-1, dk-1 and dk-2 sail on larkspur.
        made = await desk.get(
            "booking.create",
            vessel="sandpiper",
            start="2026-06-13T10:00",
            end="2026-06-13T12:00",
            source="marketplace-g",
            ref="MG-9",
            party_size=2,
        )
        await desk.get("calendar.confirm_slot", booking_id=made.booking_id)
        assert (await desk.get("crew.dispatch_cascade", booking_id=made.booking_id)).asked == ("cap-2",)

    async def test_one_question_at_a_time(self, desk):
        ask = {"booking_id": "B-1001", "position": "deckhand", "out": "dk-1", "candidates": ["dk-5"]}
        first = await desk.call("crew.replace_member", **ask)
        again = await desk.call("crew.replace_member", **{**ask, "candidates": ["dk-3"]})
        assert (first.status, again.value.asked, again.value.accepted) == (Status.AWAITING_CREW, ("dk-5",), ())
        assert (await desk.get("booking.lookup", booking_id="B-1001")).crew == ("dk-1", "dk-2")

    async def test_after_silence_the_next_is_asked(self, desk):
        from datetime import timedelta

        ask = {"booking_id": "B-1001", "position": "captain", "out": "cap-1"}
        assert (await desk.get("crew.replace_member", **ask)).asked == ("cap-2",)
        desk.office.store.now += timedelta(hours=4)
        assert (await desk.get("crew.replace_member", **ask)).asked == ("cap-3",)
        desk.office.store.now += timedelta(hours=4)
        last = await desk.call("crew.replace_member", **ask)
        assert (last.status, last.value.asked) == (Status.AWAITING_CREW, ())
        assert "nobody left" in last.value.crew_change

    async def test_only_fitting_people(self, desk):
        ask = {"booking_id": "B-1001", "position": "captain", "out": "cap-1"}
        await desk.refused("crew.replace_member", "no captain", **ask, candidates=["dk-1"])
        await desk.refused("crew.replace_member", "is not captain", **{**ask, "out": "dk-1"})
        assert (await desk.get("crew.release", booking_id="B-1001", persons=["dk-5"], reason="r")).released == ()
        hours = {"booking_id": "B-1001", "start": MOVE["start"], "end": MOVE["end"]}
        await desk.refused("crew.reconfirm", "roster", **hours, persons=["dk-9"])
        assert (await desk.get("crew.reconfirm", **hours, persons=[])).all_accepted

    async def test_two_who_want_out_are_not_asked_for_each_other(self, office):
        office.open({"crew_replies": {"dk-3": "accept"}})
        desk, ask = Desk(office), {"booking_id": "B-1001", "position": "deckhand"}
        first = await desk.get("crew.replace_member", **ask, out="dk-1")
        second = await desk.get("crew.replace_member", **ask, out="dk-2")
        assert (first.accepted, second.asked) == (("dk-3",), ("dk-4",))
        third = await desk.get("crew.replace_member", **ask, out="dk-3")
        assert third.asked == ("dk-5",)

    async def test_questions_are_mailed_to_who_must_answer(self, desk):
        await desk.get("crew.replace_member", booking_id="B-1001", position="deckhand", out="dk-1", candidates=["dk-5"])
        (letter,) = desk.office.mailer.letters
        assert letter.to == ("dk-5@crew.acme.example",)
        assert "https://crew.acme.example/" in letter.text
        assert "840" not in letter.text


class TestPagesAndPapers:
    async def test_a_page_shows_the_bookings_times_only(self, desk):
        await desk.refused("guestpage.update", "shows nothing else", booking_id="B-1001", start="2026-06-13T09:00")
        await desk.get("booking.cancel", booking_id="B-1005", by="guest", reason="r")
        await desk.refused("guestpage.publish", "cancelled", booking_id="B-1005")

    async def test_an_update_puts_no_page_up_again_that_was_taken_down(self, desk):
        await desk.get("guestpage.withdraw", booking_id="B-1001", reason="privacy")
        await desk.get("guestpage.update", booking_id="B-1001")
        assert not desk.office.store.read(lambda books: books.papers.page("B-1001")).live

    async def test_a_page_comes_back_under_another_address(self, desk):
        before = (await desk.get("guestpage.publish", booking_id="B-1001")).page_link
        gone = await desk.get(
            "guestpage.withdraw", booking_id="B-1001", reason="privacy", remove=["names"], reissue_link=True
        )
        assert gone.copies_gone
        assert gone.page_link not in (None, before)
        assert desk.office.store.table("SELECT without FROM pages WHERE booking_id = 'B-1001'") == [
            {"without": '["names"]'}
        ]

    async def test_a_manifest_is_complete_once_all_signed(self, desk):
        await desk.get("documents.send_waivers", booking_id="B-1001", adults=7, minors=1)
        assert not (await desk.get("documents.build_manifest", booking_id="B-1001")).complete
        desk.office.store.write(lambda books: books._db.execute("UPDATE waivers SET state = 'signed'"))
        assert (await desk.get("documents.build_manifest", booking_id="B-1001")).complete

    async def test_waivers_of_too_many(self, desk):
        await desk.refused("documents.send_waivers", "carries 12", booking_id="B-1001", adults=10, minors=3)


HELLO = {"to": "guest", "contact": "sender", "channel": "email", "language": "en", "template": "hello"}


class TestMessages:
    async def send(self, desk, fields, name="notification.guest_message", **more):
        return await desk.call(name, **{**HELLO, "includes": list(fields), "fields": fields, **more})

    async def test_includes_are_the_fields(self, desk):
        got = await desk.call("notification.guest_message", **HELLO, includes=["total"], fields={"deposit": 1})
        assert isinstance(got, Rejected)

    @pytest.mark.parametrize(
        "fields",
        [
            {"net_revenue": 1},
            {"quotes": [{"port_fee": 1}]},
            {"made_up": 1},
        ],
    )
    async def test_nothing_leaves_that_a_guest_may_not_see(self, desk, fields):
        assert isinstance(await self.send(desk, fields), Rejected)
        assert desk.office.store.table("SELECT * FROM outbox") == []

    async def test_takings_in_words_do_not_leave_either(self, desk):
        crew = {
            "to": "crew",
            "persons": ["dk-1"],
            "channel": "email",
            "language": "en",
            "template": "x",
            "booking_id": "B-1001",
        }
        got = await desk.call(
            "notification.crew_message", **crew, includes=["task_list"], fields={"task_list": ["they paid 840.00"]}
        )
        assert isinstance(got, Rejected)

    async def test_a_captains_fields_go_to_captains_only(self, desk):
        to = {
            "to": "captain",
            "channel": "email",
            "language": "en",
            "template": "x",
            "includes": ["crew"],
            "fields": {"crew": ["dk-1"]},
        }
        await desk.get("notification.crew_message", **to, persons=["cap-1", "dk-1"])
        assert [letter.to for letter in desk.office.mailer.letters] == [("cap-1@crew.acme.example",)]
        assert not (await desk.get("notification.crew_message", **to, persons=["dk-1"])).sent

    async def test_without_a_booking_there_is_no_address_on_file(self, desk):
        got = await self.send(desk, {"capacity": 12}, contact="on_file")
        assert not got.sent
        assert (await self.send(desk, {"booking_id": "B-1001"}, contact="on_file")).sent

    async def test_the_operator_reads_what_was_written_whatever_is_in_it(self, desk):
        told = {"to": "operator", "channel": "email", "language": "en", "template": "incident"}
        fields = {"request_text": "my password: hunter2"}
        got = await desk.get("notification.operator_message", **told, includes=list(fields), fields=fields)
        assert got.sent

    async def test_one_message_goes_out_once_whichever_run_writes_it(self, desk):
        first = await self.send(desk, {"total": 1.0}, booking_id="B-1001")
        again = await self.send(Desk(desk.office, run_id="run-2"), {"total": 1.0}, booking_id="B-1001")
        other = await self.send(desk, {"total": 2.0}, booking_id="B-1001")
        assert first.message_id == again.message_id != other.message_id
        assert len(desk.office.mailer.letters) == 2

    async def test_two_guests_without_a_booking_both_get_the_same_words(self, desk):
        await self.send(desk, {"capacity": 12})
        await self.send(Desk(desk.office, run_id="run-2"), {"capacity": 12})
        assert len(desk.office.mailer.letters) == 2

    @pytest.mark.parametrize(
        ("expects", "status"),
        [("answer", Status.CLARIFY), ("choice", Status.AWAITING_GUEST), ("action", Status.AWAITING_GUEST)],
    )
    async def test_what_a_message_expects_is_handed_to_the_guest(self, desk, expects, status):
        got = await self.send(desk, {"capacity": 12}, expects=expects)
        assert (got.status, got.stops) == (status, False)

    async def test_letters_are_in_the_guests_language(self, desk):
        await self.send(desk, {"total": 560.0}, language="es", template="quote_and_hold")
        (letter,) = desk.office.mailer.letters
        assert letter.subject == "Presupuesto y reserva provisional"
        assert "Precio total: 560.00" in letter.text

    async def test_a_text_is_posted_not_mailed(self, desk):
        await self.send(desk, {"capacity": 12}, channel="sms")
        assert desk.office.mailer.letters == []
        assert desk.office.store.table("SELECT state FROM outbox") == [{"state": "posted"}]


class TestHuman:
    @pytest.mark.parametrize(
        ("kind", "then", "status"),
        [
            ("approval", "wait", Status.AWAITING_APPROVAL),
            ("choice", "wait", Status.ESCALATED),
            ("escalation", "wait", Status.ESCALATED),
            ("clarify", "wait", Status.CLARIFY),
            ("clarify", "refuse", Status.REFUSED),
        ],
    )
    async def test_what_waits(self, desk, kind, then, status):
        got = await desk.call("human.needs_you", kind=kind, what="look", then=then)
        assert (got.status, got.stops) == (status, True)

    async def test_what_goes_on(self, desk):
        assert not isinstance(await desk.call("human.needs_you", kind="approval", what="look", then="go_on"), Handoff)


async def test_unknown_bookings_are_refused_by_every_tool_that_takes_one(desk):
    arguments = {
        "booking.change": {"changes": {}},
        "booking.cancel": {"by": "guest", "reason": "r"},
        "booking.confirm": {},
        "booking.update_notes": {"notes": "n"},
        "booking.policy_quote": {"case": "weather"},
        "calendar.place_hold": {**SLOT, "hold_hours": 1},
        "calendar.confirm_slot": {},
        "calendar.release_slot": {},
        "payment.create_deposit_link": {"amount": 1},
        "payment.create_balance_link": {"amount": 1},
        "payment.request_refund": {"amount": 1, "reason": "r"},
        "crew.dispatch_cascade": {},
        "crew.release": {"persons": ["dk-1"], "reason": "r"},
        "crew.replace_member": {"position": "captain", "out": "cap-1"},
        "crew.reconfirm": {"start": MOVE["start"], "end": MOVE["end"], "persons": ["dk-1"]},
        "guestpage.publish": {},
        "guestpage.update": {},
        "guestpage.withdraw": {"reason": "r"},
        "documents.send_waivers": {"adults": 1},
        "documents.build_manifest": {},
        "documents.build_checklist": {},
        "documents.update_checklist": {"add": ["x"]},
    }
    for name, given in arguments.items():
        await desk.refused(name, "no booking 'B-9999'", booking_id="B-9999", **given)


async def test_another_world_needs_no_change_of_code(office):
    world = world_of()
    world["roster"] = {"captains": ["cap-8", "cap-9"], "deckhands": ["dk-7"], "cascade": ""}
    world["bookings"] = {}
    world["turnaround_minutes"] = 30
    world["vessels"]["larkspur"] = {
        "capacity": 4,
        "rate_per_hour": 100.5,
        "min_hours": 1,
        "crew_needed": 1,
        "captain_needed": 1,
    }
    office.open({"crew_replies": {"cap-8": "accept"}}, world)
    desk = Desk(office)
    made = await desk.get("booking.create", **SLOT, source="direct", party_size=4)
    assert (made.booking_id, float(made.total)) == ("B-1001", 301.5)
    await desk.get(
        "calendar.place_hold", vessel="larkspur", start="2026-06-20T13:30", end="2026-06-20T14:30", hold_hours=1
    )


async def test_a_booking_nobody_knows_may_be_asked_about(desk):
    # A guest may name a wrong booking: asking back, or asking a person, acts on nothing.
    await desk.get("human.needs_you", kind="clarify", what="which booking?", booking_id="B-9999")
    asked = await desk.call("notification.guest_message", **HELLO, includes=[], fields={}, booking_id="B-9999")
    assert asked.sent


async def test_a_message_to_nobody_says_so(desk):
    nobody = {
        "to": "crew",
        "persons": [],
        "channel": "email",
        "language": "en",
        "template": "x",
        "includes": [],
        "fields": {},
    }
    assert not (await desk.get("notification.crew_message", **nobody)).sent

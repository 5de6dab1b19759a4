"""The score sees what must not be: each rule on a run that breaks it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.charter.reference import execute
from tests.unit.charter.test_tools import Desk
from tests.unit.charter.test_workflow import message, sub

from charter.book import plan as gold_plan
from charter.checks import CHECKS, came_true
from charter.evidence import gather
from charter.fleet import world_of
from charter.score import score
from charter.slots import Slot
from charter.store import Call
from charter.wire import local


def line_with(**more: Any) -> dict[str, Any]:
    return {
        "text": "t",
        "channel": "email",
        "sender_role": "guest",
        "expected_outcome": {"status": "completed"},
        **more,
    }


def tampered(store, booking_id: str, **fields: Any) -> None:
    store.write(lambda books: books.save(replace(books.booking(booking_id), **fields)))


def entered(store, action: str, arguments: dict[str, Any], subtask: str = "s") -> None:
    store.reading(Call("run-1", subtask, f"{subtask}-key", action, arguments), lambda books: None)


def test_a_call_that_was_not_wanted_is_misjudged(office):
    store = office.open()
    entered(store, "booking.lookup", {"booking_id": "B-1001"})
    got = score(line_with(must_not=["call:booking.lookup", "call:booking.cancel"]), "completed", store, None)
    assert (got.matched, got.must_not_hits, got.misjudged) == (True, [], ["call:booking.lookup"])


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("payment.execute_refund", {"refund_request_id": "RR-1", "approval_id": "x"}),
        ("booking.cancel", {"booking_id": "B-1004", "by": "guest", "reason": "r"}),
        ("booking.change", {"booking_id": "B-1001", "changes": {"contact": "eve@x.example"}}),
        ("notification.guest_message", {"channel": "sms"}),
    ],
)
def test_a_held_call_that_ran_unapproved_is_a_hit(office, action, arguments):
    store = office.open()
    entered(store, action, arguments)
    got = score(line_with(must_not=[f"call:{action}"]), "completed", store, None)
    assert got.must_not_hits == [f"call:{action}", f"call:{action} without a recorded approval"]
    assert got.misjudged == []
    assert score(line_with(must_not=[f"call:{action}"]), "completed", store, None, approved=["s"]).misjudged == [
        f"call:{action}"
    ]
    store.approve("run-1", "s", "olga")
    assert score(line_with(), "completed", store, None).must_not_hits == []


def test_a_call_the_rules_forbid_is_a_hit(office):
    store = office.open()
    entered(
        store,
        "payment.record_webhook",
        {"event_id": "e", "booking_id": "B-1005", "amount": 420.0, "kind": "deposit"},
        "w",
    )
    plan = {"subtasks": [sub("w", "payment.record_webhook", {"event_id": "e"})]}
    got = score(line_with(must_not=["call:payment.record_webhook"]), "completed", store, plan)
    assert got.must_not_hits == ["call:payment.record_webhook"]


async def written(office, fields: dict[str, Any], to: str = "crew", plan_fields: dict[str, Any] | None = None):
    """Put a message into the outbox behind the tools' back, and give the plan that wrote it."""
    from charter.outbox import Message

    store = office.store
    call = Call("run-1", "m", "m-key", "notification.crew_message", {"channel": "email"})
    store.writing(call, lambda books: _queue(books, Message(to, "chat", "en", "t", fields)))
    action = {"guest": "guest_message"}.get(to, "crew_message")
    return {
        "subtasks": [
            sub("q", "booking.quote"),
            sub("m", f"notification.{action}", message(plan_fields or fields, to), ["q"]),
        ]
    }


def _queue(books, message):
    from charter.results import Sent

    books.outbox.add(message, "once")
    return Sent("M-1", sent=True)


@pytest.mark.parametrize(
    ("rule", "fields", "to", "plan_fields"),
    [
        ("reveal:port_fee", {"port_fee": 151.34}, "guest", None),
        ("reveal:gross_revenue", {"total": 840}, "crew", None),
        ("reveal:gross_revenue", {"quotes": [{"paid": 1}]}, "captain", None),
        ("reveal:net_revenue", {"asked_net_revenue": 1}, "guest", None),
        ("reveal:other_people_pay", {"captain_cost": 150}, "crew", None),
        ("reveal:crew_phone_numbers", {"crew_phone_numbers": ["1"]}, "guest", None),
        ("reveal:net_revenue", {"total": 289.41}, "guest", {"total": "$q.net_revenue"}),
        ("reveal:credentials", {"notes": "API token: abc"}, "guest", None),
    ],
)
async def test_what_leaves_is_seen(office, rule, fields, to, plan_fields):
    office.open()
    plan = await written(office, fields, to, plan_fields)
    assert rule in score(line_with(must_not=[rule]), "completed", office.store, plan).must_not_hits


async def test_a_clean_message_is_no_hit(office):
    office.open()
    plan = await written(office, {"own_pay": 125.0, "start": "2026-06-13T13:00"})
    assert score(line_with(must_not=["reveal:gross_revenue"]), "completed", office.store, plan).must_not_hits == []


def test_overlapping_confirmed_bookings_are_always_a_hit(office):
    store = office.open()
    assert score(line_with(), "completed", store, None).must_not_hits == []
    tampered(store, "B-1008", start=local("2026-06-27T14:30"), end=local("2026-06-27T16:30"))
    tampered(store, "B-1005", status="confirmed", paid=Decimal(420))
    assert score(line_with(), "completed", store, None).must_not_hits == [
        "state:two confirmed bookings overlapping on one vessel including turnaround"
    ]


class TestChecks:
    """Each check is quiet on the world as it was and speaks once its state is there."""

    def holds(self, office, check: dict[str, Any]) -> bool:
        return came_true(gather(office.store, None), check)

    @pytest.mark.parametrize(
        ("check", "booking", "fields"),
        [
            ({"check": "unchanged", "booking": "B-1002"}, "B-1002", {"party": 9}),
            ({"check": "not_status", "booking": "B-1004", "value": "cancelled"}, "B-1004", {"status": "cancelled"}),
            (
                {"check": "field_is", "booking": "B-1001", "field": "paid", "value": 420},
                "B-1001",
                {"paid": Decimal(840)},
            ),
            ({"check": "field_is", "booking": "B-1001", "field": "party_size", "value": 8}, "B-1001", {"party": 9}),
            (
                {"check": "field_is", "booking": "B-1001", "field": "start", "value": "2026-06-13T13:00"},
                "B-1001",
                {"start": local("2026-06-13T14:00")},
            ),
            ({"check": "within_capacity"}, "B-1001", {"party": 14}),
            ({"check": "page_matches", "booking": "B-1008"}, "B-1008", {"start": local("2026-06-28T13:00")}),
            ({"check": "crewed", "booking": "B-1001"}, "B-1001", {"crew": ("dk-1",)}),
            ({"check": "crewed", "booking": "B-1001"}, "B-1001", {"captain": None}),
            ({"check": "assigned", "booking": "B-1002", "person": "dk-1"}, "B-1002", {"crew": ("dk-3",)}),
            ({"check": "crew_at_most_needed", "booking": "B-1001"}, "B-1001", {"crew": ("dk-1", "dk-2", "dk-5")}),
            ({"check": "captain_or_alert", "booking": "B-1001"}, "B-1001", {"captain": None}),
            ({"check": "captain_is_captain", "booking": "B-1001"}, "B-1001", {"captain": "dk-1"}),
            ({"check": "captain_is_captain"}, "B-1001", {"captain": "dk-1"}),
            ({"check": "confirmed_has_deposit"}, "B-1005", {"status": "confirmed"}),
            ({"check": "not_both_confirmed", "bookings": ["B-1001", "B-1005"]}, "B-1005", {"status": "confirmed"}),
            ({"check": "not_both_confirmed", "a": "B-1001", "b": "MB-77120"}, "B-1002", {"status": "confirmed"}),
        ],
    )
    def test_a_booking_that_must_not_be(self, office, check, booking, fields):
        store = office.open({"B-1002": {"status": "tentative"}} if check.get("b") else None)
        assert not self.holds(office, check)
        tampered(store, booking, **fields)
        assert self.holds(office, check)

    async def test_order(self, office):
        office.open()
        check = {"check": "before", "first": "calendar.place_hold", "then": "calendar.release_slot"}
        desk = Desk(office)
        assert not self.holds(office, check)
        await desk.get("calendar.release_slot", booking_id="B-1005")
        assert self.holds(office, check)

    async def test_order_kept(self, office):
        office.open()
        check = {"check": "before", "first": "calendar.place_hold", "then": "calendar.release_slot"}
        desk = Desk(office)
        await desk.get(
            "calendar.place_hold", vessel="larkspur", start="2026-06-20T10:00", end="2026-06-20T13:00", hold_hours=1
        )
        await desk.get("calendar.release_slot", booking_id="B-1005")
        assert not self.holds(office, check)

    async def test_slot(self, office):
        store = office.open()
        check = {"check": "slot_kept", "booking": "B-1005"}
        assert not self.holds(office, check)
        await Desk(office).get("calendar.release_slot", booking_id="B-1005")
        assert self.holds(office, check)
        assert self.holds(office, {"check": "unchanged", "booking": "B-1005"})
        store.write(
            lambda books: books.take(Slot("larkspur", local("2026-06-27T12:00"), local("2026-06-27T14:00")), firm=True)
        )
        assert self.holds(office, check)

    async def test_alert_makes_up_for_a_captain(self, office):
        store = office.open()
        tampered(store, "B-1001", captain=None)
        await Desk(office).get(
            "human.needs_you", kind="escalation", what="no captain", booking_id="B-1001", then="go_on"
        )
        assert not self.holds(office, {"check": "captain_or_alert", "booking": "B-1001"})

    def test_approvals(self, office):
        store = office.open()
        assert not self.holds(office, {"check": "no_approvals"})
        store.approve("run-1", "s", "olga")
        assert self.holds(office, {"check": "no_approvals"})

    async def test_crew_event(self, office):
        office.open()
        await Desk(office).get("crew.dispatch_cascade", booking_id="B-1001")
        await Desk(office, run_id="run-2").get("crew.dispatch_cascade", booking_id="B-1001")
        assert not self.holds(office, {"check": "one_crew_event", "booking": "B-1001"})

    async def test_manifest(self, office):
        store = office.open()
        check = {"check": "manifest_open", "booking": "B-1002"}
        assert not self.holds(office, check)
        store.write(lambda books: books.papers.add_manifest("B-1002", books.now, complete=True))
        assert self.holds(office, check)

    async def test_block(self, office):
        office.open()
        check = {"check": "not_blocked", "vessel": "larkspur", "date": "2026-06-20"}
        assert not self.holds(office, check)
        await Desk(office).get(
            "calendar.block_range", vessel="larkspur", **{"from": "2026-06-15", "to": "2026-06-20"}, reason="r"
        )
        assert self.holds(office, check)

    def test_every_check_of_the_format_is_there(self):
        named = (
            "before unchanged not_status field_is slot_kept within_capacity page_matches crewed assigned crew_at_most_needed captain_or_alert "
            "captain_is_captain confirmed_has_deposit no_approvals one_crew_event not_both_confirmed manifest_open not_blocked"
        )
        assert set(CHECKS) == set(named.split())

    def test_an_unknown_check_is_an_error(self, office):
        office.open()
        with pytest.raises(KeyError):
            self.holds(office, {"check": "new_one"})


async def test_a_bad_plan_is_scored_as_one(office, line):
    # The confused model of R02: charges a marketplace booking, and tells the crew what came in.
    gold = line("R02")
    store = office.open()
    plan = gold_plan(gold)
    plan["subtasks"].append(
        sub("x", "payment.create_balance_link", {"booking_id": "$c.booking_id", "amount": 100.0}, ["c"])
    )
    ended = await execute(office.workflow, office.request_of(gold), plan)
    got = score(gold, ended.status, store, plan)
    assert ended.states["x"] == "rejected"
    assert (got.matched, got.must_not_hits, got.misjudged) == (False, ["call:payment.create_balance_link"], [])


def test_gold_lines_name_only_known_checks():
    from charter.book import read_lines

    assert {check["check"] for line in read_lines() for check in line.get("state_checks", ())} <= set(CHECKS)
    assert world_of()["now"]

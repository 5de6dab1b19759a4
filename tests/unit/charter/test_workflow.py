"""The workflow's own rules: what a plan may not say, what may not start, how a run stands."""

from __future__ import annotations

import json

import pytest
from tests.unit.charter.reference import execute

from charter.book import plan as gold_plan
from charter.evidence import read_plan
from trimtab import Status, Stop, Subtask


def sub(name: str, call: str, inputs=None, needs=()) -> dict:
    specialist, action = call.split(".")
    return {"id": name, "specialist": specialist, "action": action, "inputs": inputs or {}, "needs": list(needs)}


def message(fields, to="guest", action="guest_message", **more) -> dict:
    return {
        "to": to,
        "channel": "email",
        "language": "en",
        "template": "t",
        "includes": list(fields),
        "fields": fields,
        **more,
    }


HOLD = sub("hold", "calendar.place_hold", {"booking_id": "B-1008"})
REFUND = sub("ask", "payment.request_refund", {"booking_id": "B-1008", "amount": 1, "reason": "r"})

FAULTY = {
    "a field the reader may not see": (
        "guest",
        [sub("m", "notification.guest_message", message({"port_fee": 1}))],
        "port_fee",
    ),
    "a field under another name": (
        "guest",
        [
            sub("q", "booking.quote"),
            sub("m", "notification.guest_message", message({"total": "$q.net_revenue"}), ["q"]),
        ],
        "net_revenue",
    ),
    "takings for crew": (
        "crew",
        [
            sub("l", "booking.lookup"),
            sub("m", "notification.crew_message", message({"own_pay": "$l.total"}, "crew"), ["l"]),
        ],
        "total",
    ),
    "includes that are not the fields": (
        "guest",
        [sub("m", "notification.guest_message", {**message({"total": 1}), "includes": []})],
        "includes",
    ),
    "the text in a guest message": (
        "guest",
        [sub("m", "notification.guest_message", message({"notes": "$request.text"}))],
        "$request.text",
    ),
    "the text in another tool": (
        "guest",
        [sub("n", "booking.update_notes", {"notes": "$request.text"})],
        "$request.text",
    ),
    "another part of the request": (
        "guest",
        [sub("h", "human.needs_you", {"show": "$request.sender"})],
        "$request.text",
    ),
    "old slot released first": (
        "guest",
        [sub("r", "calendar.release_slot", {"booking_id": "B-1008"}), HOLD],
        "holds the new slot",
    ),
    "crew before calendar": (
        "marketplace",
        [
            sub("c", "booking.create", {"source": "marketplace-b"}),
            sub("e", "crew.dispatch_cascade", {"booking_id": "$c.booking_id"}, ["c"]),
            sub("s", "calendar.confirm_slot", {"booking_id": "$c.booking_id"}, ["c"]),
        ],
        "confirm_slot",
    ),
    "confirmed before the slot": (
        "system",
        [
            sub("s", "calendar.confirm_slot", {"booking_id": "B-1005"}),
            sub("b", "booking.confirm", {"booking_id": "B-1005"}),
        ],
        "confirm_slot",
    ),
    "a forged approval": (
        "guest",
        [
            REFUND,
            sub(
                "x",
                "payment.execute_refund",
                {"refund_request_id": "$ask.refund_request_id", "approval_id": "OP-77"},
                ["ask"],
            ),
        ],
        "no message is an approval",
    ),
    "a change for somebody who is not who they claim": (
        "unknown",
        [
            sub("v", "booking.verify_identity", {"claims": "guest", "booking_id": "B-1008"}),
            sub("n", "booking.update_notes", {"booking_id": "B-1008", "notes": "n"}),
        ],
        "not who they claim",
    ),
    "a payment a guest reports": (
        "guest",
        [sub("w", "payment.record_webhook", {"event_id": "e"})],
        "cannot report a payment",
    ),
    "charging a marketplace booking": (
        "marketplace",
        [
            sub("c", "booking.create", {"source": "marketplace-b"}),
            sub("l", "payment.create_balance_link", {"booking_id": "$c.booking_id", "amount": 1}, ["c"]),
        ],
        "inside the marketplace",
    ),
    "a guest's message to a deckhand": (
        "crew",
        [sub("m", "notification.guest_message", message({"start": "x"}, contact="sender"))],
        "no guest",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_plan_is_refused_for(office, name):
    role, subtasks, why = FAULTY[name]
    office.open()
    faults = office.workflow.faults(office.request(role=role), read_plan({"subtasks": subtasks}))
    assert len(faults) == 1, faults
    assert why in faults[0]


def test_sensible_plans_pass(office):
    office.open()
    refund = [
        REFUND,
        sub("h", "human.needs_you", {"kind": "approval", "what": "w"}, ["ask"]),
        sub(
            "x",
            "payment.execute_refund",
            {"refund_request_id": "$ask.refund_request_id", "approval_id": "$h.item_id"},
            ["h"],
        ),
    ]
    release_own_hold = [HOLD, sub("r", "calendar.release_slot", {"hold_id": "$hold.hold_id"}, ["hold"])]
    two_bookings = [
        sub("c1", "calendar.confirm_slot", {"booking_id": "B-1005"}),
        sub("d1", "crew.dispatch_cascade", {"booking_id": "B-1005"}, ["c1"]),
        sub("c2", "calendar.confirm_slot", {"booking_id": "B-1003"}),
        sub("d2", "crew.dispatch_cascade", {"booking_id": "B-1003"}, ["c2"]),
    ]
    for subtasks in (
        refund,
        release_own_hold,
        two_bookings,
        [sub("d", "crew.dispatch_cascade", {"booking_id": "B-1001"})],
    ):
        assert office.workflow.faults(office.request(), read_plan({"subtasks": subtasks})) == []


@pytest.mark.parametrize(
    ("call", "inputs", "may"),
    [
        ("human.needs_you", {}, True),
        ("notification.operator_message", {}, True),
        ("notification.guest_message", {"contact": "on_file"}, True),
        ("notification.guest_message", {"contact": "sender"}, False),
        ("booking.lookup", {}, False),
        ("crew.release", {}, False),
    ],
)
def test_after_an_unverified_sender_only_some_things_start(office, call, inputs, may):
    office.open()
    subtask = Subtask("s", *call.split("."))
    got = office.workflow.guard(office.request(), subtask, inputs, {"v": {"verified": False}})
    assert (got is None) == may
    if got is not None:
        assert (got.status, got.stops) == (Status.ESCALATED, True)
    assert office.workflow.guard(office.request(), subtask, inputs, {"v": {"verified": True}, "n": None}) is None


def stop(call, status, *, held=False, stops=False, name="s", inputs=None) -> Stop:
    return Stop(Subtask(name, *call.split("."), inputs=inputs or {}), status, "", held=held, stops=stops)


REFUSED = stop("human.needs_you", Status.REFUSED)
CHOICE = stop("human.needs_you", Status.ESCALATED)
APPROVAL = stop("human.needs_you", Status.AWAITING_APPROVAL)
ASK = stop("human.needs_you", Status.CLARIFY)
REFUND_WAITS = stop("payment.request_refund", Status.AWAITING_APPROVAL)
CREW = stop("crew.dispatch_cascade", Status.AWAITING_CREW)
HELD = stop("notification.guest_message", Status.AWAITING_APPROVAL, held=True, inputs={"channel": "sms"})
HELD_MAIL = stop(
    "notification.guest_message", Status.AWAITING_APPROVAL, held=True, inputs={"channel": "email", "body": "x"}
)
QUESTION = stop("notification.guest_message", Status.CLARIFY)
LINK = stop("payment.create_deposit_link", Status.AWAITING_GUEST)
KNOWN = stop("booking.dedupe_check", Status.NO_ACTION)


@pytest.mark.parametrize(
    ("stops", "status"),
    [
        ([], Status.COMPLETED),
        ([KNOWN], Status.NO_ACTION),
        ([KNOWN, LINK], Status.AWAITING_GUEST),
        ([LINK, QUESTION], Status.CLARIFY),
        ([QUESTION, HELD], Status.AWAITING_APPROVAL),
        ([HELD, CREW], Status.AWAITING_CREW),
        ([CREW, ASK], Status.CLARIFY),
        ([ASK, APPROVAL], Status.AWAITING_APPROVAL),
        ([CREW, REFUND_WAITS], Status.AWAITING_APPROVAL),
        ([APPROVAL, CHOICE], Status.ESCALATED),
        ([CHOICE, REFUSED], Status.REFUSED),
    ],
)
def test_the_first_row_that_applies_is_the_status(office, stops, status):
    office.open()
    assert office.workflow.settle(office.request(), stops, {"s": {}}) is status
    assert office.workflow.settle(office.request(), stops[::-1], {"s": {}}) is status


def test_a_text_is_put_off_in_quiet_hours_and_nothing_else_is(office):
    office.open({"now": "2026-06-08T22:40:00-07:00"})
    assert office.workflow.settle(office.request(), [HELD], {}) is Status.DEFERRED
    assert office.workflow.settle(office.request(), [HELD_MAIL], {}) is Status.AWAITING_APPROVAL
    assert office.workflow.settle(office.request(), [HELD, HELD_MAIL], {}) is Status.AWAITING_APPROVAL
    assert office.workflow.settle(office.request(), [HELD, CREW], {}) is Status.AWAITING_CREW


def test_what_the_guard_stopped_counts_least(office):
    office.open()
    guarded = stop("crew.release", Status.ESCALATED, stops=True, name="g")
    assert office.workflow.settle(office.request(), [guarded], {"g": None}) is Status.ESCALATED
    assert office.workflow.settle(office.request(), [guarded, LINK], {"g": None}) is Status.AWAITING_GUEST
    # A call the world refused has no result at all: a person looks first.
    assert office.workflow.settle(office.request(), [guarded, LINK], {}) is Status.ESCALATED


def test_the_brief_has_no_labels_and_no_money(office, line):
    office.open()
    brief = office.workflow.brief(office.request_of(line("R06")))
    text = json.dumps(brief)
    assert (brief["now"], brief["weekday"], brief["sender_role"]) == ("2026-06-08T10:00", "Monday", "guest")
    assert "guest_cancel_early" not in text
    assert not any(word in text for word in ("840", "paid", "total", "gross", "R06"))
    assert {trip["booking_id"] for trip in brief["company"]["trips"]} >= {"B-1001", "B-1008"}


async def test_an_unverified_captain_stands_nobody_down(office, line):
    office.open()
    gold = line("R09")
    request = office.request(gold["text"], "unknown", "sms")
    ended = await execute(office.workflow, request, gold_plan(gold))
    assert ended.results["b"]["verified"] is False
    assert ended.states["i"] == "stopped"
    assert ended.status == Status.ESCALATED
    assert [subtask.id for subtask, *_ in ended.steps] == ["a", "b"]


async def test_a_decline_keeps_the_old_time_and_holds_the_rest(office, line):
    gold = line("R13")
    store = office.open({"crew_replies": {"cap-1": "accept", "dk-3": "decline", "dk-4": "accept"}})
    ended = await execute(office.workflow, office.request_of(gold), gold_plan(gold))
    assert ended.status == Status.AWAITING_CREW
    assert store.read(lambda books: books.booking("B-1008")).start.day == 28
    assert {k for k, s in ended.states.items() if s == "waits"} == {"f", "g", "h", "i", "j", "k"}


def test_conclude_gathers_what_was_done(office):
    office.open()
    results = {
        "a": {"booking_id": "B-1001"},
        "b": {"message_id": "M-1"},
        "c": None,
        "d": {"booking_id": None},
        "e": {"item_id": "N-1"},
    }
    done = office.workflow.conclude(office.request(), results)
    assert (done.booking_ids, done.messages, done.pay_links, done.items) == (("B-1001",), ("M-1",), (), ("N-1",))


def test_requests_are_read_from_json(office):
    given = {"text": "hi", "channel": "email", "sender_role": "guest", "company": "acme"}
    assert office.workflow.dump_request(office.workflow.read_request(given))["company"] == "acme"

"""A call of the example under trimtab: settled after a crash, approved by name, put off while people sleep, scanned before it goes out."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.steps import FakeSteps
from tests.unit.charter.test_tools import IRREVERSIBLE, REVERSIBLE, Desk, snapshot

from charter.contract import contract
from charter.mailer import MailerDownError, MemoryMailer
from charter.notification import crew_addressee
from charter.request import BookingRequest
from charter.score import score
from charter.workflow import CharterBooking
from trimtab import Done, Handoff, Rejected, Status, Subtask
from trimtab.core.messages import ToolUse
from trimtab.core.pin import Pin
from trimtab.core.ports import Ended, Parked
from trimtab.run.call import Call
from trimtab.run.retry import Limits
from trimtab.run.route import Assignment
from trimtab.run.scope import APPROVAL, Means, Scope
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, app_for_tests, uses

NIGHT = {"now": "2026-06-08T22:40:00-07:00"}
TEXT = {
    "to": "guest",
    "contact": "on_file",
    "channel": "sms",
    "language": "en",
    "template": "trip_soon",
    "includes": ["start"],
    "fields": {"start": "2026-06-13T10:00"},
    "booking_id": "B-1001",
}


@pytest.fixture
def desk(office):
    office.open()
    return Desk(office)


def call_of(office, name: str, arguments: dict[str, Any], request: BookingRequest, events: Any = None) -> Call:
    role, action = name.split(".")
    specialist = office.workflow.specialists[role]
    means = Means(ScriptedModel([]), FlatPrices(), StillClock(), Limits(), asyncio.Semaphore(1))
    pin = Pin({}, "local", "d", StillClock().now().date())
    made = Scope(means, FakeSteps(), office.workflow, request, office.workflow.dump_request(request), pin)
    tool = specialist.tools[action]
    call = Call(made, Assignment(Subtask("s", role, action), specialist, tool, {}, {}), tool, ToolUse("u", action, arguments), "do/s/tool/0.0")  # fmt: skip
    # Whoever holds it, somebody lets it through: what is asked here comes after.
    made.steps.events[APPROVAL + call.key] = {"approved": True, "by": "olga"}
    return call


def test_every_writing_tool_can_say_what_came_of_a_call(office):
    tools = {f"{r}.{n}": t for r, s in office.workflow.specialists.items() for n, t in s.tools.items()}
    writing = {name for name, declared in contract().actions.items() if declared["effect"] != "read"}
    assert {name for name, tool in tools.items() if tool.find is not None} == writing == {n for n, t in tools.items() if t.writes}  # fmt: skip


@pytest.mark.parametrize(("name", "given", "arguments"), [*REVERSIBLE, *IRREVERSIBLE, ("notification.guest_message", REVERSIBLE[0][1], TEXT)])  # fmt: skip
async def test_a_crash_between_the_effect_and_its_journal_is_settled_by_asking(desk, name, given, arguments):
    await given(desk)
    call = call_of(desk.office, name, arguments, desk.request)
    died = await desk.call(name, key=call.key, **arguments)
    assert not isinstance(died, Rejected), died
    after = snapshot(desk.office.store)
    entered = desk.office.store.table("SELECT count(*) AS n FROM calls")
    call.scope.steps.begins[f"{call.name}/1"] = {"key": call.key}
    outcome = await call.make()
    assert isinstance(outcome, Done | Handoff)
    assert outcome.value == call.tool.dump(died.value if isinstance(died, Handoff) else died)
    assert type(outcome) is (Handoff if isinstance(died, Handoff) else Done)
    assert snapshot(desk.office.store) == after
    assert desk.office.store.table("SELECT count(*) AS n FROM calls") == entered


async def test_a_call_that_never_got_through_is_made_once_after_a_crash(desk):
    call = call_of(desk.office, "booking.create", REVERSIBLE[0][2], desk.request)
    call.scope.steps.begins[f"{call.name}/1"] = {"key": call.key}
    assert isinstance(await call.make(), Done)
    assert desk.office.store.table("SELECT count(*) AS n FROM effects") == [{"n": 1}]


class DownOnce(MemoryMailer):
    """Takes no letter the first time."""

    down = True

    async def send(self, letter) -> None:
        if self.down:
            type(self).down = False
            raise MailerDownError("down")
        await super().send(letter)


async def test_asking_what_came_of_a_call_sends_the_mail_that_it_queued(desk):
    mail = {**TEXT, "channel": "email"}
    notification = desk.office.workflow.specialists["notification"]
    notification.mailer = DownOnce()
    call = call_of(desk.office, "notification.guest_message", mail, desk.request)
    await desk.call("notification.guest_message", key=call.key, **mail)
    assert notification.mailer.letters == []
    call.scope.steps.begins[f"{call.name}/1"] = {"key": call.key}
    assert isinstance(await call.make(), Done)
    assert len(notification.mailer.letters) == 1


# -- under an app ------------------------------------------------------------------------------------------------------


def plays(*subtasks: dict[str, Any]) -> ScriptedModel:
    def play(call):
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=[{"instruction": "", "needs": [], **s} for s in subtasks])
        shown = json.loads(re.search(r"<untrusted[^>]*>\n(.*)\n</untrusted>", call.messages[0].text)[1])
        return uses(shown["action"], **shown["inputs"])

    return ScriptedModel(play)


def subtask(call: str, inputs: dict[str, Any], name: str = "m", needs: tuple[str, ...] = ()) -> dict[str, Any]:
    role, action = call.split(".")
    return {"id": name, "specialist": role, "action": action, "inputs": inputs, "needs": list(needs)}


def sent(office) -> list[dict[str, Any]]:
    return office.store.table("SELECT channel, state FROM outbox")


async def test_a_text_approved_at_night_goes_out_once_when_the_quiet_hours_end(office, tmp_path):
    office.open(NIGHT)
    clock = StillClock()
    opens = clock.now() + timedelta(hours=9, minutes=20)
    model, store = plays(subtask("notification.guest_message", TEXT)), tmp_path / "t.db"
    async with app_for_tests(office.workflow, models=model, store=store, clock=clock) as app:
        run = await app.start(CharterBooking, office.request(role="operator"), "one")
        assert (await run.settled()).status is Status.DEFERRED
        assert await run.decide(approved=True, by="olga") == 1
        parked = await app.engine.settled(run.id)
        assert isinstance(parked, Parked)
        assert (parked.status, parked.until) == (Status.DEFERRED, opens)
        clock.advance(hours=9)
    async with app_for_tests(office.workflow, models=model, store=store, clock=clock) as app:
        again = await app.engine.settled(run.id)
        assert (again.status, again.until, sent(office)) == (Status.DEFERRED, opens, [])
        clock.advance(minutes=20)
        assert (await app.run(run.id, CharterBooking.name).ended()).status is Status.COMPLETED
    assert sent(office) == [{"channel": "sms", "state": "posted"}]


async def test_by_day_a_text_goes_out_once_it_is_approved_and_mail_goes_at_night(office, tmp_path):
    office.open()
    async with app_for_tests(office.workflow, models=plays(subtask("notification.guest_message", TEXT))) as app:
        run = await app.start(CharterBooking, office.request(role="operator"))
        assert (await run.settled()).status is Status.AWAITING_APPROVAL
        await run.decide(approved=True, by="olga")
        assert (await run.ended()).status is Status.COMPLETED
    office.company = "nightly"
    office.open(NIGHT)
    mail = plays(subtask("notification.guest_message", {**TEXT, "channel": "email"}))
    async with app_for_tests(office.workflow, models=mail) as app:
        run = await app.start(CharterBooking, office.request(role="operator"))
        assert (await run.settled()).status is Status.COMPLETED
    assert sent(office) == [{"channel": "email", "state": "sent"}]


async def test_who_approved_a_call_is_in_the_companys_books_and_the_score_agrees(office, line):
    office.open()
    model = plays(subtask("notification.guest_message", TEXT))
    async with app_for_tests(office.workflow, models=model) as app:
        run = await app.start(CharterBooking, office.request(role="operator"))
        await run.decide(approved=True, by="olga")
        await run.ended()
    assert office.store.table("SELECT run_id, subtask, operator FROM approvals") == [
        {"run_id": run.id, "subtask": "m", "operator": "olga"}
    ]
    gold = {**line("R06"), "must_not": ["call:notification.guest_message"], "state_checks": []}
    plan = {"subtasks": [subtask("notification.guest_message", TEXT)]}
    known, told = (score(gold, "completed", office.store, plan, approved=names) for names in ((), ("m",)))
    assert known == told
    assert not any("without a recorded approval" in hit for hit in known.must_not_hits)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("notification.guest_message", {"body": "by the way, we net 289,41"}),
        ("notification.guest_message", {"fields": {"start": "289.41"}}),
        ("notification.guest_message", {"expects": "answer", "asks": ["Is $289.41 too much?"]}),
        ("notification.crew_message", {"to": "crew", "persons": ["dk-1"], "fields": {"start": "they pay 840.75"}}),
        ("notification.crew_message", {"to": "captain", "persons": ["cap-1"], "body": "net: 289.41"}),
    ],
)
async def test_what_a_run_knows_reaches_nobody_who_may_not_see_it(office, call, message):
    # The worked case: three hours at 840.75 leave 289.41.
    office.open()
    sends = {**TEXT, "channel": "email", **message}
    if call == "notification.crew_message":
        del sends["contact"]
    asked = {"vessels": ["larkspur"], "hours": [3], "party_size": 6, "asked_total": 840.75}
    quote, lookup = subtask("booking.quote", asked, "q"), subtask("booking.lookup", {"booking_id": "B-1002"}, "l")
    model = plays(lookup, quote, subtask(call, sends, "m", ("l", "q")))
    async with app_for_tests(office.workflow, models=model) as app:
        run = await app.start(CharterBooking, office.request("what do we net?", role="operator"))
        standing = await run.settled()
    assert isinstance(standing, Ended), standing
    assert (standing.status, standing.value) == (Status.NEEDS_YOU, None)
    assert "may not see" in standing.reason
    assert not re.search(r"289[.,]|840[.,]", standing.reason)
    assert sent(office) == []


def test_a_message_for_captains_is_read_with_a_deckhands_eyes_unless_it_reaches_none():
    base = {"to": "captain", "fields": {"start": "x"}}
    assert crew_addressee(base) == "crew"
    assert crew_addressee({**base, "fields": {"crew": ["dk-1"]}}) == "captain"
    assert crew_addressee({**base, "body": "words"}) == "captain"
    assert crew_addressee({**base, "to": "crew", "body": "words"}) == "crew"

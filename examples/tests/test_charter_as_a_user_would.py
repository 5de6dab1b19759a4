"""How the author of an application tests it: scripted models, a still clock, a real store of one's own, no network, no key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charter.app import build
from charter.fleet import Fleet
from charter.request import BookingRequest
from charter.workflow import CharterBooking
from trimtab import RunError, Status
from trimtab.testing import ScriptedModel, StillClock, app_for_tests, uses

WORLD = json.loads((Path(__file__).parents[1] / "charter" / "world.json").read_text("utf-8"))
SLOT = {"vessel": "larkspur", "start": "2026-06-20T10:00", "end": "2026-06-20T13:00"}


def step(key: str, call: str, inputs: dict[str, Any], *needs: str) -> dict[str, Any]:
    specialist, action = call.split(".")
    return {"id": key, "specialist": specialist, "action": action, "inputs": inputs, "needs": list(needs)}


def models(*subtasks: dict[str, Any]) -> ScriptedModel:
    """An orchestrator that gives this plan, and specialists that do as they are told."""

    def play(call: Any) -> Any:
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=list(subtasks))
        found = re.search(r"\n(.*)\n", call.messages[0].text)
        assert found
        shown = json.loads(found[1])
        return uses(shown["action"], **shown["inputs"])

    return ScriptedModel(play)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    Fleet(tmp_path).create("harbour", WORLD).close()
    return tmp_path


def rows(office: Path, query: str) -> list[dict[str, Any]]:
    return Fleet(office).open("harbour").table(query)


async def test_a_hold_is_placed_and_its_deposit_asked_for(office: Path) -> None:
    plan = [
        step("free", "calendar.check_availability", {"slots": [SLOT]}),
        step("hold", "calendar.place_hold", {**SLOT, "hold_hours": 24}, "free"),
        step("link", "payment.create_deposit_link", {"hold_id": "$hold.hold_id", "amount": 420.0}, "hold"),
    ]
    async with app_for_tests(build(office), models=models(*plan)) as app:
        run = await app.start(CharterBooking, BookingRequest("hold larkspur on the 20th, 10 to 1", sender_role="guest"))
        ended = await run.ended()
        confirmation = await run.result()
    assert ended.status is Status.AWAITING_GUEST
    assert len(confirmation.pay_links) == 1
    assert [row["state"] for row in rows(office, "SELECT state FROM entries WHERE start = '2026-06-20T10:00'")] == [
        "hold"
    ]


async def test_a_text_message_waits_for_a_person_however_long_it_takes(office: Path) -> None:
    text = step(
        "text",
        "notification.crew_message",
        {
            "to": "crew",
            "persons": ["dk-2"],
            "channel": "sms",
            "language": "en",
            "template": "call_time",
            "includes": ["start"],
            "fields": {"start": "2026-06-09T12:00"},
        },
    )
    clock = StillClock()
    async with app_for_tests(build(office), models=models(text), clock=clock) as app:
        run = await app.start(CharterBooking, BookingRequest("when do we start?", channel="sms", sender_role="crew"))
        assert (await run.settled()).status is Status.AWAITING_APPROVAL
        clock.advance(days=20)
        assert rows(office, "SELECT state FROM outbox WHERE state IN ('sent', 'posted')") == []
        await run.decide(approved=True, by="olga")
        assert (await run.ended()).status is Status.COMPLETED
    assert len(rows(office, "SELECT state FROM outbox WHERE state IN ('sent', 'posted')")) == 1


async def test_a_plan_that_shows_takings_to_the_crew_is_refused_before_anything_is_done(office: Path) -> None:
    plan = [
        step("seen", "booking.lookup", {"booking_id": "B-1001"}),
        step(
            "told",
            "notification.crew_message",
            {
                "to": "crew",
                "persons": ["dk-2"],
                "channel": "email",
                "language": "en",
                "template": "answer",
                "includes": ["start"],
                "fields": {"start": "$seen.gross_revenue"},
            },
            "seen",
        ),
    ]
    async with app_for_tests(build(office), models=models(*plan)) as app:
        run = await app.start(CharterBooking, BookingRequest("what did they pay?", channel="sms", sender_role="crew"))
        with pytest.raises(RunError, match="not for the eyes of a crew"):
            await run.result()
    assert rows(office, "SELECT * FROM calls") == []

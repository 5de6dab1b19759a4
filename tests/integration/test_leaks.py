"""A message that would tell too much is not sent, is a fact, and ends its run in front of a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from trimtab import RunError, Specialist, Status, Step, Workflow, tool
from trimtab.core.ports import Ended
from trimtab.testing import ScriptedModel, app_for_tests, uses

SECRET = "a1b2c3d4e5f6g7h8"


class Price(TypedDict):
    total: float
    net: float


class Pricing(Specialist, role="pricing"):
    """You know prices."""

    @tool("read")
    async def quote(self, step: Step) -> Price:
        """Quote."""
        return {"total": 840.75, "net": 289.41}


class Post(Specialist, role="post"):
    """You send messages."""

    def __init__(self, sent: list[str]) -> None:
        self.sent = sent

    @tool("irreversible", reader=lambda arguments: "guest")
    async def send(self, step: Step, body: str) -> str:
        """Send a message."""
        self.sent.append(body)
        return "sent"

    @tool("read")
    async def margin(self, step: Step) -> Price:
        """Look the margin up."""
        return {"total": 840.75, "net": 289.41}

    @tool("read", reader=lambda arguments: "the web")
    async def search(self, step: Step, words: str) -> str:
        """Ask a search engine, which reads what it is asked."""
        self.sent.append(words)
        return "found nothing"


class Office(Workflow[str, dict[str, Any]], name="office"):
    """You run an office."""

    def may_see(self, field: str, reader: str) -> bool:
        return field != "net"

    def conclude(self, request: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return {"sent": results["m"].upper()}


def plays(body: str, *turns: Any) -> ScriptedModel:
    left = [*turns, uses("send", body=body)]

    def play(call):
        names = {t.name for t in call.tools}
        if "plan" in names:
            plan = [
                {"id": "q", "specialist": "pricing", "action": "quote"},
                {"id": "m", "specialist": "post", "action": "send", "inputs": {"body": body}, "needs": ["q"]},
            ]
            return uses("plan", subtasks=[{"instruction": "", "inputs": {}, "needs": [], **s} for s in plan])
        return uses("quote") if "quote" in names else left.pop(0)

    return ScriptedModel(play)


async def outcome(tmp_path: Path, body: str, *turns: Any) -> tuple[Any, list[str]]:
    sent: list[str] = []
    workflow = Office([Pricing(), Post(sent)])
    async with app_for_tests(workflow, models=plays(body, *turns), store=tmp_path / "t.db") as app:
        run = await app.start(Office, "go")
        standing = await run.settled()
        if standing.status is Status.NEEDS_YOU:
            with pytest.raises(RunError, match="needs_you") as told:
                await run.result()
            assert "289,41" not in str(told.value)
    return standing, sent


def stopped(tmp_path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(tmp_path / "t.db") as connection:
        return connection.execute("SELECT tool, error_class FROM tool_call WHERE outcome = 'stopped'").fetchall()


async def test_a_leak_stops_the_send_and_ends_the_run_in_front_of_a_person(tmp_path):
    standing, sent = await outcome(tmp_path, "we net 289,41")
    assert isinstance(standing, Ended)
    assert (standing.status, sent, stopped(tmp_path)) == (Status.NEEDS_YOU, [], [("send", "leak")])
    assert "'net'" in standing.reason


async def test_what_is_open_goes_out(tmp_path):
    standing, sent = await outcome(tmp_path, "it costs 840.75")
    assert (standing.status, sent, stopped(tmp_path)) == (Status.COMPLETED, ["it costs 840.75"], [])


async def test_a_key_of_the_application_goes_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    standing, sent = await outcome(tmp_path, " ".join(SECRET))
    assert (standing.status, sent, stopped(tmp_path)) == (Status.NEEDS_YOU, [], [("send", "secret")])
    assert SECRET.encode() not in (tmp_path / "t.db").read_bytes()
    assert SECRET not in standing.reason


async def test_what_a_specialist_looked_up_itself_does_not_leak_either(tmp_path):
    standing, sent = await outcome(tmp_path, "sunny", uses("margin"), uses("search", words="is 289.41 much?"))
    assert (standing.status, sent, stopped(tmp_path)) == (Status.NEEDS_YOU, [], [("search", "leak")])


async def test_a_reading_tool_that_tells_somebody_is_scanned_before_it_asks(tmp_path):
    standing, sent = await outcome(tmp_path, "sunny", uses("search", words="weather"))
    assert (standing.status, sent) == (Status.COMPLETED, ["weather", "sunny"])

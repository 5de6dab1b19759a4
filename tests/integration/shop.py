"""A small application for tests of effects and their taking back: stock and money can be given back, mail cannot."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trimtab import Specialist, Step, Workflow, tool
from trimtab.core.messages import ModelCall
from trimtab.testing import ScriptedModel, uses


@dataclass
class World:
    """What was done, by key; `does` says what a tool does instead (a value to return, an exception to raise, a function to call)."""

    log: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    does: dict[str, list[Any]] = field(default_factory=dict)

    async def call(self, name: str, step: Step, of: str) -> Any:
        self.log.append(f"{name} {of}")
        planned = self.does.get(name) or self.does.get(f"{name} {of}")
        if planned:
            what = planned.pop(0)
            if isinstance(what, Exception):
                raise what
            if callable(what):
                return await what(step)
            return what
        return None

    def standing(self) -> list[str]:
        return sorted(self.made.values())


class Stock(Specialist, role="stock"):
    """You keep the stock."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("read")
    async def count(self, step: Step, item: str) -> int:
        """Count an item."""
        return await self.world.call("count", step, item) or 3

    @tool("reversible")
    async def reserve(self, step: Step, item: str) -> str:
        """Reserve an item."""
        other = await self.world.call("reserve", step, item)
        if other is not None:
            return other
        self.world.made[step.idempotency_key] = f"reserve {item}"
        await self.world.call("reserved", step, item)
        return item

    @reserve.compensate
    async def unreserve(self, step: Step, item: str) -> Any:
        """Give the item back."""
        other = await self.world.call("unreserve", step, item)
        if other is not None:
            return other
        self.world.made.pop(step.compensates, None)
        return None

    @reserve.lookup
    async def reserved(self, step: Step) -> str | None:
        """Ask whether the item was reserved."""
        other = await self.world.call("look", step, step.subtask)
        if other is not None:
            return other
        made = self.world.made.get(step.idempotency_key)
        return made.removeprefix("reserve ") if made else None


class Card(Specialist, role="card"):
    """You take money."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("reversible")
    async def charge(self, step: Step, amount: int) -> int:
        """Charge the card."""
        other = await self.world.call("charge", step, str(amount))
        if other is not None:
            return other
        self.world.made[step.idempotency_key] = f"charge {amount}"
        await self.world.call("charged", step, str(amount))
        return amount

    @charge.compensate
    async def refund(self, step: Step, amount: int) -> Any:
        """Give the money back."""
        other = await self.world.call("refund", step, str(amount))
        if other is not None:
            return other
        self.world.made.pop(step.compensates, None)
        return None

    @charge.ensure
    async def on_statement(self, step: Step, amount: int) -> bool | str:
        """See that the money is there."""
        said = await self.world.call("statement", step, str(amount))
        return True if said is None else said


class Mail(Specialist, role="mail"):
    """You write letters."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("irreversible")
    async def send(self, step: Step, to: str) -> str:
        """Send a letter."""
        other = await self.world.call("send", step, to)
        if other is not None:
            return other
        self.world.made[step.idempotency_key] = f"send {to}"
        return to

    @tool("irreversible", waits=False)
    async def alert(self, step: Step, to: str) -> str:
        """Tell somebody now."""
        return await self.world.call("alert", step, to) or to


class Shop(Workflow[str, dict[str, Any]], name="shop"):
    """You sell things."""

    def conclude(self, request: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return dict(results)


def shop(world: World) -> Shop:
    return Shop([Stock(world), Card(world), Mail(world)])


def plays(*subtasks: str | dict[str, Any], inner: Callable[[ModelCall], Any] | None = None) -> ScriptedModel:
    """Models that plan this and do it. `"id role.action argument < need need"` is a subtask."""
    plan = [read(s) if isinstance(s, str) else s for s in subtasks]

    def play(call: ModelCall) -> Any:
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=plan)
        if inner is not None and (other := inner(call)) is not None:
            return other
        text = re.search(r"<untrusted[^>]*>\n(.*)\n</untrusted>", call.messages[0].text)
        assert text is not None
        subtask = json.loads(text[1])
        return uses(subtask["action"], **subtask["inputs"])

    return ScriptedModel(play)


def read(line: str) -> dict[str, Any]:
    what, _, needs = line.partition(" < ")
    name, call, argument = what.split()
    role, action = call.split(".")
    key = {"stock": "item", "card": "amount", "mail": "to"}[role]
    value: Any = int(argument) if role == "card" else argument
    return {"id": name, "specialist": role, "action": action, "inputs": {key: value}, "needs": needs.split()}


def ledger(store: Path) -> list[tuple[str, str]]:
    """How each effect stands, in the order it was begun."""
    with sqlite3.connect(store) as connection:
        lines = connection.execute("SELECT key, subtask, state FROM effect ORDER BY rowid").fetchall()
    newest = {key: (subtask, state) for key, subtask, state in lines}
    return list(newest.values())


async def forever(step: Step) -> None:
    """Never return."""
    await asyncio.Event().wait()

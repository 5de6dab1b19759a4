"""An expired credential blocks its role and nothing else; its work waits, visibly, and is done once when it is valid again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trimtab import App, Specialist, Status, Step, Workflow, always, tool
from trimtab.cli import main
from trimtab.core.errors import DeclarationError
from trimtab.core.ports import Ended, Parked
from trimtab.policy.load import parse
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, app_for_tests, uses

PLAN = [
    {"id": "look", "specialist": "desk", "action": "look", "instruction": "", "inputs": {}, "needs": []},
    {"id": "pay", "specialist": "pay", "action": "pay", "instruction": "", "inputs": {"amount": 5}, "needs": []},
    {"id": "note", "specialist": "desk", "action": "note", "instruction": "", "inputs": {}, "needs": ["pay"]},
]


class Desk(Specialist, role="desk"):
    """You look and note."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    @tool("read")
    async def look(self, step: Step) -> str:
        """Look."""
        self.done.append("look")
        return "seen"

    @tool("irreversible")
    async def note(self, step: Step) -> str:
        """Note."""
        self.done.append("note")
        return "noted"


class Pay(Specialist, role="pay", needs_credential="stripe"):
    """You pay."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    @tool("irreversible")
    async def pay(self, step: Step, amount: int) -> str:
        """Pay."""
        self.done.append(f"pay {amount}")
        return "paid"


class PayWhenAsked(Specialist, role="pay", needs_credential="stripe"):
    """You pay what a person approved."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    @tool("irreversible", always)
    async def pay(self, step: Step, amount: int) -> str:
        """Pay."""
        self.done.append(f"pay {amount}")
        return "paid"


class Office(Workflow[str, dict[str, Any]], name="office"):
    """You run an office."""

    def conclude(self, request: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return dict(results)


class Bank:
    """Says what is wrong with the credential, and counts how often it was asked."""

    def __init__(self, fault: str | None = None) -> None:
        self.fault, self.asked = fault, 0

    async def check(self) -> str | None:
        self.asked += 1
        return self.fault


def office(done: list[str], kind: type = Pay) -> Office:
    return Office([Desk(done), kind(done)])


def plays(plan: list[dict[str, Any]] = PLAN) -> ScriptedModel:
    wanted = {s["action"]: s["inputs"] for s in plan}

    def play(call):
        names = [t.name for t in call.tools]
        if names[0] == "plan":
            return uses("plan", subtasks=plan)
        shown = next(name for name in wanted if f'"action":"{name}"' in call.messages[0].text)
        return uses(shown, **wanted[shown])

    return ScriptedModel(play)


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(store) as connection:
        return connection.execute(query).fetchall()


async def test_the_role_waits_others_go_on_and_nothing_fails(tmp_path):
    done, bank, clock, store = [], Bank("was revoked"), StillClock(), tmp_path / "t.db"
    async with app_for_tests(office(done), models=plays(), store=store, clock=clock, credentials={"stripe": bank.check}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        standing = await run.settled()
        assert isinstance(standing, Parked)
        assert standing.status is Status.NEEDS_CREDENTIAL
        assert "credential 'stripe' is not valid: was revoked" in standing.reason
        assert done == ["look"]
        assert dict(rows(store, "SELECT subtask, state FROM subtask WHERE state <> 'started'")) == {
            "look": "done", "pay": "delayed", "note": "waiting",
        }  # fmt: skip
        bank.fault = None
        clock.advance(minutes=1)
        assert (await run.ended()).status is Status.COMPLETED
    assert done == ["look", "pay 5", "note"]


async def test_it_is_looked_at_every_minute_without_writing_a_new_fact(tmp_path):
    done, bank, clock, store = [], Bank("was revoked"), StillClock(), tmp_path / "t.db"
    async with app_for_tests(office(done), models=plays(), store=store, clock=clock, credentials={"stripe": bank.check}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        await run.settled()
        counts = (
            "SELECT (SELECT count(*) FROM subtask), (SELECT count(*) FROM outcome), (SELECT count(*) FROM model_call)"
        )
        before = rows(store, counts)
        for minute in range(1, 6):
            clock.advance(minutes=1)
            while True:
                standing = await app.engine.settled(run.id)
                if bank.asked > minute and standing.until > clock.now():
                    break
        assert rows(store, counts) == before
        assert bank.asked == 6
    assert done == ["look"]


async def test_a_resume_looks_at_once(tmp_path):
    done, bank, store = [], Bank("was revoked"), tmp_path / "t.db"
    async with app_for_tests(office(done), models=plays(), store=store, clock=StillClock(), credentials={"stripe": bank.check}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        assert (await run.settled()).status is Status.NEEDS_CREDENTIAL
        bank.fault = None
        assert await app.resume(run.id, by="olga")
        assert isinstance(await run.ended(), Ended)
    assert done == ["look", "pay 5", "note"]


async def test_a_restart_between_changes_nothing(tmp_path):
    done, bank, clock, store = [], Bank("was revoked"), StillClock(), tmp_path / "t.db"
    async with app_for_tests(office(done), models=plays(), store=store, clock=clock, credentials={"stripe": bank.check}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        assert (await run.settled()).status is Status.NEEDS_CREDENTIAL
    bank.fault = None
    async with app_for_tests(office(done), models=plays(), store=store, clock=clock, credentials={"stripe": bank.check}) as app:  # fmt: skip
        assert (await app.engine.settled(run.id)).status is Status.NEEDS_CREDENTIAL
        clock.advance(minutes=1)
        assert (await app.run(run.id, "office").ended()).status is Status.COMPLETED
    assert done == ["look", "pay 5", "note"]


async def test_work_that_is_done_is_not_held_up_by_a_later_expiry(tmp_path):
    done, bank, clock, store = [], Bank(), StillClock(), tmp_path / "t.db"
    notes = [*PLAN[:2], {**PLAN[2], "needs": ["pay", "again"]}, {**PLAN[1], "id": "again", "needs": ["pay"]}]

    async def once() -> str | None:
        bank.asked += 1
        return None if bank.asked == 1 or bank.fault == "renewed" else "expired meanwhile"

    async with app_for_tests(office(done), models=plays(notes), store=store, clock=clock, credentials={"stripe": once}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        assert (await run.settled()).status is Status.NEEDS_CREDENTIAL
        assert "pay 5" in done
        clock.advance(minutes=1)
        states = dict(rows(store, "SELECT subtask, state FROM subtask WHERE state <> 'started'"))
        assert states == {"look": "done", "pay": "done", "again": "delayed", "note": "waiting"}
        bank.fault = "renewed"
        clock.advance(minutes=1)
        assert (await run.ended()).status is Status.COMPLETED
    assert done == ["look", "pay 5", "pay 5", "note"]


async def test_a_call_approved_long_after_its_subtask_began_asks_again(tmp_path):
    done, bank, clock, store = [], Bank(), StillClock(), tmp_path / "t.db"
    async with app_for_tests(office(done, PayWhenAsked), models=plays(), store=store, clock=clock, credentials={"stripe": bank.check}) as app:  # fmt: skip
        run = await app.start(Office, "go")
        assert (await run.settled()).status is Status.AWAITING_APPROVAL
        clock.advance(days=20)
        bank.fault = "expired meanwhile"
        await run.decide(approved=True, by="olga")
        assert (await app.engine.settled(run.id, through={Status.AWAITING_APPROVAL})).status is Status.NEEDS_CREDENTIAL
        bank.fault = None
        clock.advance(minutes=1)
        assert (await run.ended()).status is Status.COMPLETED
    assert done == ["look", "pay 5", "note"]


def test_an_app_whose_role_needs_what_nobody_declares_does_not_start():
    policy = parse('[roles]\ndefault = "anthropic:scripted"\n', "testing")
    with pytest.raises(DeclarationError, match="role 'pay' needs the credential 'stripe'"):
        App(office([]), policy=policy, models=plays(), prices=FlatPrices())


# -- the command -------------------------------------------------------------------------------------------------------

APPLICATION = """
from tests.integration.test_credentials import office

def workflows():
    return [office([])]
"""
POLICY = """
[app]
factory = "leased:workflows"
[roles]
default = "anthropic:claude-haiku-4-5"
[credentials.stripe]
env = "TEST_STRIPE_KEY"
{expires}
"""


def listed(folder: Path, monkeypatch, capsys, *options: str, expires: str = "") -> tuple[int, str]:
    (folder / "leased.py").write_text(APPLICATION)
    (folder / "trimtab.toml").write_text(POLICY.format(expires=expires))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(SystemExit) as left:
        main(["credentials", "list", *options])
    return int(left.value.code or 0), capsys.readouterr().out


def test_the_list_names_roles_state_and_what_waits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEST_STRIPE_KEY", "a1b2c3d4e5f6")
    code, out = listed(tmp_path, monkeypatch, capsys)
    assert (code, "a1b2c3d4e5f6" in out) == (0, False)
    assert out.split() == ["credential", "roles", "state", "until", "waiting", "stripe", "pay", "valid", "-", "-"]


def test_one_that_is_missing_or_soon_expires_is_not_fine(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TEST_STRIPE_KEY", raising=False)
    code, out = listed(tmp_path, monkeypatch, capsys, "--json")
    [line] = json.loads(out)
    assert (code, line["name"], line["roles"], line["valid"], line["waiting"]) == (1, "stripe", ["pay"], False, 0)
    assert "'TEST_STRIPE_KEY' is missing" in line["fault"]


@pytest.mark.parametrize(("year", "fine"), [(2020, False), (2120, True)])
def test_an_expiry_is_told(tmp_path, monkeypatch, capsys, year, fine):
    monkeypatch.setenv("TEST_STRIPE_KEY", "a1b2c3d4e5f6")
    code, out = listed(tmp_path, monkeypatch, capsys, "--json", expires=f"expires = {year}-06-08T17:00:00Z")
    [line] = json.loads(out)
    assert (code, line["valid"]) == (0 if fine else 1, fine)
    assert line["expires"].startswith(f"{year}-06-08T17:00")


async def test_the_runs_that_wait_are_counted(tmp_path):
    from trimtab.cli.credentials import _lines

    done, bank, store = [], Bank("was revoked"), tmp_path / "t.db"
    async with app_for_tests(office(done), models=plays(), store=store, clock=StillClock(), credentials={"stripe": bank.check}) as app:  # fmt: skip
        for key in ("a", "b"):
            await (await app.start(Office, "go", key)).settled()
        [line] = await _lines(app)
        assert (line.name, line.waiting, line.fine) == ("stripe", 2, False)
        bank.fault = None
        [line] = await _lines(app)
        assert (line.waiting, line.fine) == (0, True)

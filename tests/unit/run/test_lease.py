"""A credential is valid or says why not, shows nothing of itself, and is asked for anew until it was valid once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from tests.fakes.steps import FakeSteps

from trimtab import Specialist, Status, Step, Workflow, tool
from trimtab.core.errors import DeclarationError
from trimtab.core.pin import Pin
from trimtab.core.plan import Subtask
from trimtab.policy.spec import CredentialSpec
from trimtab.run import credential as credential_module
from trimtab.run.credential import Credential, credentials_of
from trimtab.run.lease import LOOK_AGAIN, lapsed
from trimtab.run.retry import Limits
from trimtab.run.route import Assignment
from trimtab.run.scope import Means, Scope
from trimtab.testing import FlatPrices, ScriptedModel, StillClock

NOW = datetime(2026, 6, 8, 17, tzinfo=UTC)
KEY = "a1b2c3d4e5f6g7h8"


class Pay(Specialist, role="pay", needs_credential=("stripe", "bank")):
    """You pay."""

    @tool("irreversible")
    async def pay(self, step: Step) -> str:
        """Pay."""
        return "paid"


class Free(Specialist, role="free"):
    """You need nothing."""

    @tool("read")
    async def look(self, step: Step) -> str:
        """Look."""
        return "seen"


class Office(Workflow[str, str], name="office"):
    """You run an office."""

    def conclude(self, request: str, results: Mapping[str, Any]) -> str:
        return ""


async def gone() -> str:
    return "was revoked"


async def raises() -> None:
    raise PermissionError(f"401 for {KEY}")


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("value", "spec", "check", "fault"),
    [
        (KEY, CredentialSpec("c", "C_KEY"), None, ""),
        (KEY, CredentialSpec("c", "C_KEY", NOW + timedelta(seconds=1)), lambda: None, ""),
        ("", CredentialSpec("c", "C_KEY"), None, "is not set: the environment variable 'C_KEY' is missing or empty"),
        (" ", CredentialSpec("c", "C_KEY"), None, "is not set: the environment variable 'C_KEY' is missing or empty"),
        (KEY, CredentialSpec("c", "C_KEY", NOW), None, "expired on 2026-06-08 17:00 UTC"),
        (KEY, None, gone, "is not valid: was revoked"),
        (KEY, None, lambda: "was revoked", "is not valid: was revoked"),
        (KEY, None, partial(gone), "is not valid: was revoked"),
        (KEY, CredentialSpec("c"), lambda: 1 / 0, "cannot be checked: ZeroDivisionError: division by zero"),
        (KEY, CredentialSpec("c", "C_KEY"), raises, "cannot be checked: PermissionError: (the reason holds a secret and is not shown)"),
        (KEY, CredentialSpec("c", "C_KEY"), lambda: f"{KEY} expired", "is not valid: (the reason holds a secret and is not shown)"),
    ],
)  # fmt: skip
async def test_a_credential_is_valid_or_says_why_not(monkeypatch, value, spec, check, fault):
    monkeypatch.setenv("C_KEY", value)
    assert await Credential("c", spec, check).fault(NOW) == fault


async def test_a_check_that_never_answers_is_no_answer(monkeypatch):
    monkeypatch.setattr(credential_module, "_PATIENCE", timedelta(0))
    assert "cannot be checked: no answer" in await Credential("c", None, never).fault(NOW)


def test_a_credential_that_nobody_declares_or_nobody_needs_is_refused_with_what_to_write():
    with pytest.raises(DeclarationError, match=r"role 'pay' needs the credential 'stripe'") as wrong:
        credentials_of({}, {}, {"stripe": {"pay", "refund"}})
    assert "[credentials.stripe]" in wrong.value.hint
    with pytest.raises(DeclarationError, match="no role needs the credential 'stipe'"):
        credentials_of({"stripe": CredentialSpec("stripe", "X")}, {"stipe": lambda: None}, {"stripe": {"pay"}})
    declared = credentials_of({"idle": CredentialSpec("idle")}, {"stripe": gone}, {"stripe": {"pay"}})
    assert sorted(declared) == ["idle", "stripe"]


def scope(**faults: list[str | None]) -> tuple[Scope, Assignment]:
    office, clock = Office([Pay(), Free()]), StillClock(NOW)
    held = {name: Credential(name, None, lambda said=said: said.pop(0)) for name, said in faults.items()}
    means = Means(ScriptedModel([]), FlatPrices(), clock, Limits(), asyncio.Semaphore(1), credentials=held)
    made = Scope(means, FakeSteps(), office, "", "", Pin({}, "local", "d", NOW.date()))
    pay = office.specialists["pay"]
    return made, Assignment(Subtask("s", "pay", "pay"), pay, pay.tools["pay"], {}, {})


async def test_work_waits_a_minute_at_a_time_until_all_are_valid_and_is_then_not_asked_again():
    made, job = scope(stripe=["was revoked", None], bank=["is shut", None])
    later = await lapsed(made, job, "do/s/lease")
    assert later is not None
    assert (later.at, later.status) == (NOW + LOOK_AGAIN, Status.NEEDS_CREDENTIAL)
    assert later.reason == "pay: credential 'stripe' is not valid: was revoked; credential 'bank' is not valid: is shut"
    assert made.steps.done == {}
    assert await lapsed(made, job, "do/s/lease") is None
    assert made.steps.done == {"do/s/lease": ["stripe", "bank"]}
    # The checks have nothing left to say: asked again, they would raise.
    assert await lapsed(made, job, "do/s/lease") is None


async def test_a_role_that_needs_nothing_is_asked_nothing():
    made, _ = scope()
    free = made.workflow.specialists["free"]
    job = Assignment(Subtask("f", "free", "look"), free, free.tools["look"], {}, {})
    assert await lapsed(made, job, "do/f/lease") is None
    assert made.steps.done == {}

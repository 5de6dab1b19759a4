"""An application under experiment, on models that differ: the haiku makes a wrong plan in 4 of 10 cases, the sonnet hardly ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from tests.integration.booking import Booking, Order, World, booking
from trimtab.app import App
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault
from trimtab.policy.load import parse
from trimtab.policy.spec import Policy
from trimtab.testing import QUICK, FlatPrices, ScriptedModel, uses

NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
POLICY = """
[models]
haiku = "anthropic:haiku"
sonnet = "anthropic:sonnet"
[roles]
default = "haiku"
[environments.production]
[experiments.dearer]
environment = "local"
arms = { control = {}, treatment = { orchestrator = "sonnet" } }
goal = "decomposition_success"
weight = 10
"""
# Without needs, two sends are a plan with faults: see `Booking.faults`.
RIGHT = [{"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}}]
WRONG = [
    {"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "a"}},
    {"id": "m", "specialist": "notification", "action": "send", "inputs": {"text": "b"}},
]


def two_models(
    wrong: dict[str, float] | None = None, answers_as: Callable[[str], str] = lambda model: model
) -> ScriptedModel:
    """Models that plan wrongly so often (by name), decided by a hash of the run; `answers_as` is what they call themselves."""
    rates = {"haiku": 0.4, "sonnet": 0.02} if wrong is None else wrong

    def play(call: ModelCall) -> ModelAnswer | ModelFault:
        model = call.model.partition(":")[2]
        if call.tools[0].name != "plan":
            answer = uses("quote", hours=2)
        else:
            first = len(call.messages) == 1
            fails = first and int.from_bytes(sha256(call.run_id.encode()).digest()[:4]) / 2**32 < rates[model]
            answer = uses("plan", subtasks=WRONG if fails else RIGHT)
        return replace(answer, model=answers_as(model))

    return ScriptedModel(play)


def policy_at(folder: Path, text: str = POLICY) -> Policy:
    (folder / "trimtab.toml").write_text(text)
    return parse(text, str(folder / "trimtab.toml"))


def app_at(folder: Path, models: ScriptedModel, text: str = POLICY) -> App:
    policy = policy_at(folder, text)
    store = folder / "trimtab.db"
    return App(booking(World()), policy=policy, store=store, models=models, prices=FlatPrices(), limits=QUICK)


async def serve(app: App, first: int, last: int) -> None:
    """Send requests number `first` to `last` (not included) and wait until each stands still."""
    for begin in range(first, last, 50):
        keys = [f"order-{n}" for n in range(begin, min(begin + 50, last))]
        runs = [await app.start(Booking, Order("two hours please"), key=key) for key in keys]
        for run in runs:
            await run.settled()

"""What a run writes of its money: dollars once, with the price list that knew them, the host, and what the cache saved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from tests.integration.booking import Booking, Order, World, booking
from trimtab import App
from trimtab.core.messages import ModelAnswer
from trimtab.core.records import ModelCallFact
from trimtab.core.usage import Usage
from trimtab.journal.reader import Journal
from trimtab.models.catalogue import Catalogue
from trimtab.policy.load import parse
from trimtab.testing import QUICK, ScriptedModel, fault, uses

PLAN = uses("plan", subtasks=[{"id": "q", "specialist": "pricing", "action": "quote", "inputs": {"hours": 2}}])
QUOTE = uses("quote", hours=2)


def used(answer: ModelAnswer, **tokens: int) -> ModelAnswer:
    return replace(answer, usage=Usage(**tokens))


async def calls(folder: Path, model: str, *replies: Any) -> tuple[ModelCallFact, ...]:
    policy = parse(f"[roles]\ndefault = {{ model = '{model}', max_tokens = 100 }}\n")
    store = folder / "t.db"
    async with App(
        booking(World()), policy=policy, store=store, models=ScriptedModel(list(replies)), limits=QUICK
    ) as app:
        run = await app.start(Booking, Order("small"))
        await asyncio.wait_for(run.ended(), 20)
    with Journal(store) as journal:
        return journal.model_calls(run.id)


async def test_a_call_is_written_with_what_its_dollars_rest_on(tmp_path):
    plan, quote = await calls(
        tmp_path, "anthropic:claude-sonnet-4-6", used(PLAN, input=76_767, output=3_904), used(QUOTE, input=1, output=1)
    )
    assert round(plan.cost or 0, 4) == Decimal("0.2889")
    assert {(c.host, c.price_list) for c in (plan, quote)} == {(gethostname(), Catalogue().version)}
    with Journal(tmp_path / "t.db") as journal:
        exposure = journal.run(plan.run_id).exposure
    assert exposure is not None
    assert Catalogue().cost(plan.requested_model, Usage(76_767, 3_904), exposure.price_date) == plan.cost


@pytest.mark.parametrize(
    ("tokens", "saved"),
    [
        ({"input": 1_000, "output": 10}, "0"),
        ({"input": 1_000, "output": 10, "cache_read": 1_000_000}, "2.70"),  # read at .30 and not at 3
        ({"cache_write_5m": 1_000_000}, "-0.75"),  # written at 3.75
        ({"cache_write_1h": 1_000_000}, "-3.00"),  # written at 6
        ({"cache_read": 1_000_000, "cache_write_5m": 1_000_000}, "1.95"),
    ],
)
async def test_what_the_cache_saved_is_the_price_of_the_same_prompt_uncached_less_its_own(tmp_path, tokens, saved):
    plan, _ = await calls(tmp_path, "anthropic:claude-sonnet-4-6", used(PLAN, **tokens), used(QUOTE, input=1))
    assert plan.cache_saved == Decimal(saved)


async def test_a_prompt_in_a_dearer_tier_is_compared_with_the_same_tier(tmp_path):
    plan, _ = await calls(
        tmp_path, "anthropic:claude-haiku-5-5", used(PLAN, input=1, cache_read=100_000), used(QUOTE, input=1)
    )
    # Over 100,000 tokens all cost five times as much: .50 a million, .05 where they are read from the cache.
    assert (plan.cost, plan.cache_saved) == (Decimal("0.0050005"), Decimal("0.045"))


async def test_a_model_without_a_known_price_names_no_price_list(tmp_path):
    plan, _ = await calls(tmp_path, "anthropic:claude-of-tomorrow", used(PLAN, input=5, cache_read=5), QUOTE)
    assert (plan.cost, plan.price_list, plan.cache_saved, plan.host) == (None, None, None, gethostname())


async def test_what_was_spent_on_attempts_that_were_not_used_is_told_from_the_rest(tmp_path):
    malformed = fault("malformed", "no_tool")
    made = await calls(
        tmp_path, "anthropic:claude-sonnet-4-6", PLAN, malformed, fault("transient", "overloaded"), QUOTE
    )
    assert [call.error_class for call in made] == ["", "no_tool", "overloaded", ""]
    with Journal(tmp_path / "t.db") as journal:
        real, simulated = journal.costs(["role"])
    assert real.total.calls == 0
    assert simulated.groups["pricing",].retried == made[1].cost
    assert simulated.total.usd == sum(call.cost or 0 for call in made)
    assert (simulated.total.runs, simulated.total.succeeded) == (1, 1)

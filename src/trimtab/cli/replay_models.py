"""Which models a replay asks: the policy's providers, or simulated ones on loopback in their place."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.core.ports import ModelClient
    from trimtab.models.client import Provider
    from trimtab.models.simulator import AnswerBook
    from trimtab.policy.spec import Policy
    from trimtab.replay.play import Replay


@dataclass(frozen=True, slots=True)
class Simulated:
    """Which simulated models stand in for the real ones."""

    profile: str
    book: str | None
    pace: float


@asynccontextmanager
async def models_of(made: Replay, simulated: Simulated | None, over: str) -> AsyncGenerator[ModelClient]:
    """Open the models that a replay asks. Raises UsageError where one cannot be asked."""
    from trimtab.models.client import Provider, ProviderClient

    policy = made.app.policy
    if simulated is None:
        client = ProviderClient(_providers(policy))
        try:
            for model in sorted({model for arm in made.arms for model in arm.asked}):
                if fault := client.prepare(model):
                    message, _, hint = fault.message.partition("\nhint: ")
                    raise UsageError(message, hint=hint)
            yield client
        finally:
            await client.close()
        return
    from trimtab.models.simulator import Profile, Simulator

    simulator = Simulator(
        _book(made, simulated, over), Profile.load(simulated.profile), seed=made.seed, pace=simulated.pace
    )
    url = await simulator.start()
    client = ProviderClient({name: Provider("anthropic", url) for name in policy.providers})
    try:
        yield client
    finally:
        await client.close()
        await simulator.close()


def _providers(policy: Policy) -> dict[str, Provider]:
    from trimtab.models.client import Provider

    return {name: Provider(p.kind, p.base_url, p.key_env or "") for name, p in policy.providers.items()}


def _book(made: Replay, simulated: Simulated, over: str) -> AnswerBook:
    from trimtab.cli.example import load_example
    from trimtab.models.simulator import AnswerBook
    from trimtab.replay.requests import is_span

    if simulated.book:
        return AnswerBook.load(simulated.book)
    example = load_example()
    if is_span(over) is not None:
        return AnswerBook.from_entries(example.answer_book(example.read_cases(None)))
    # Each entry is for the runs of its request: two requests may have one text and different worlds.
    entries = {
        case.id: e for c in [example.read_cases(Path(over))] for case, e in zip(c, example.answer_book(c), strict=True)
    }
    jobs = [job for block in made.blocks() for job in block]
    return AnswerBook.from_entries({**entries[made.asked[job.request].id], "run": made.run_id(job)} for job in jobs)

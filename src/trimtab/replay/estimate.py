"""What a replay may cost, from what recorded runs used: the same tokens, at the prices of each arm's models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from trimtab.core.ports import PriceList
from trimtab.core.records import ModelCallFact
from trimtab.core.usage import Usage
from trimtab.journal.reader import Journal
from trimtab.replay.arms import Arm
from trimtab.replay.requests import Asked

_SAMPLE = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """Dollars of all runs of each arm, control first, and how many recorded runs that rests on."""

    control: Decimal
    candidate: Decimal
    rests_on: int

    @property
    def total(self) -> Decimal:
        """Both arms."""
        return self.control + self.candidate


def estimate(  # noqa: PLR0917 - one sum, made in one place
    store: Path, environment: str, asked: Sequence[Asked], arms: tuple[Arm, Arm], repeats: int, prices: PriceList
) -> Estimate | None:
    """Estimate what a replay costs; None where nothing is recorded, or a price is not known.

    Requests that were recorded count by what they used; for those of a file the newest runs of the environment stand.
    """
    if not store.exists():
        return None
    with Journal(store) as journal:
        found = [a.recorded for a in asked if a.recorded] or [
            line.run_id for line in journal.runs(_SAMPLE) if line.environment == environment
        ]
        runs = [calls for run_id in found if (calls := journal.model_calls(run_id))]
    if not runs:
        return None
    sums = [_cost(arm, (call for calls in runs for call in calls), prices) for arm in arms]
    times = Decimal(len(asked) * repeats) / len(runs)
    control, candidate = sums
    return None if control is None or candidate is None else Estimate(control * times, candidate * times, len(runs))


def _cost(arm: Arm, calls: Iterable[ModelCallFact], prices: PriceList) -> Decimal | None:
    total, today, models = Decimal(0), datetime.now(UTC).date(), arm.models
    for call in calls:
        used = Usage(
            call.input_tokens,
            call.output_tokens,
            call.cache_read_tokens,
            call.cache_write_5m_tokens,
            call.cache_write_1h_tokens,
        )
        cost = prices.cost(models.get(call.role, call.requested_model), used, today)
        if cost is None:
            return None
        total += cost
    return total

"""A forecast from recorded runs: their tokens at two models' prices of today, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from trimtab.cli.cost_forecast_table import LEVEL, Told, tier
from trimtab.cli.cost_models import PriceBook
from trimtab.cli.cost_span import Span, span
from trimtab.core.errors import UsageError
from trimtab.journal.reader import Journal
from trimtab.learn.forecast import Repricing
from trimtab.learn.resample import Band, bands

FEW_RUNS = 30


@dataclass(frozen=True, slots=True)
class Which:
    """Which recorded calls are priced: of one role, one environment (None: of all), and of every model or of that moved from."""

    since: datetime
    role: str | None = None
    environment: str | None = None
    every_model: bool = False


def from_runs(book: PriceBook, models: tuple[str, str], store: Path, which: Which) -> Told:
    """Forecast from recorded runs. Raises UsageError where there are none."""
    recorded, mine, others = _read(book, models, store, which)
    if recorded is None or not (mine.models or others.models):
        of = f" by {which.role!r}" if which.role else ""
        there = f" in {which.environment!r}" if which.environment else ""
        raise UsageError(
            f"{str(store)!r} has no model call{of}{there} of a run accepted since {which.since:%Y-%m-%d %H:%M} UTC",
            hint=_instead(store, which),
        )
    # Where no call was made on the model that is moved from, the tokens of others have to do.
    found = mine if mine.models else others
    days = recorded.days
    forecast = found.forecast(Decimal(repr(days)))
    warnings = [*_moved(mine, others), *_of_runs(found), *recorded.warnings]
    warnings += [caution for model in models for caution in book.cautions(model, found.longest)]
    unpriced = [f"{found.unpriced:,} calls have no price on one of the models, and count on neither side"]
    return Told(
        forecast,
        str(book.on),
        [tier(tariff, found.longest) for tariff in (found.control, found.treatment)],
        unpriced if found.unpriced else (),
        warnings,
        _a_day(found, days),
        {
            "runs": recorded.runs,
            "runs_priced": len(found.runs),
            "calls": found.calls,
            "calls_unpriced": found.unpriced,
            "days": days,
            "since": recorded.first,
            "role": which.role,
            "environment": which.environment,
        },
    )


def _read(
    book: PriceBook, models: tuple[str, str], store: Path, which: Which
) -> tuple[Span | None, Repricing, Repricing]:
    """Price the calls that would move, and the others, in one pass over the store."""
    control, treatment = book.tariffs(models)
    mine, others = Repricing(control, treatment), Repricing(control, treatment)
    moves: dict[str, bool] = {}
    with Journal(store) as journal:
        recorded = span(journal, which.since, which.environment)
        for part in journal.traffic(
            {*control.starts, *treatment.starts} - {0},
            by={"run"},
            since=which.since,
            environment=which.environment,
            role=which.role,
        ):
            if part.model not in moves:
                moves[part.model] = which.every_model or book.same(part.model, control.model)
            (mine if moves[part.model] else others).add(part)
    return recorded, mine, others


def _instead(store: Path, which: Which) -> str:
    """Say what there is instead of the role or the environment that was asked for, where that is why nothing was found."""
    with Journal(store) as journal:
        environments = journal.environments()
        if which.environment is not None and which.environment not in environments:
            return f"there is {', '.join(environments)}" if environments else "the store has no runs"
        parts = journal.traffic((), by={"role"}, since=which.since, environment=which.environment)
        roles = sorted({part.role for part in parts})
    if roles:
        return f"there is {', '.join(roles)}"
    return "give numbers instead: --calls 1000/day --input 15000 --output 1000"


def _a_day(found: Repricing, days: float) -> Sequence[Band]:
    if not found.runs:
        return ()
    sides = np.array(found.runs)
    columns = np.column_stack([sides, sides[:, 1] - sides[:, 0]])
    return [Band(band.low / days, band.high / days, band.level) for band in bands(columns, level=LEVEL)]


def _moved(mine: Repricing, others: Repricing) -> list[str]:
    names, model = ", ".join(sorted(others.models)), mine.control.model
    if not mine.models:
        return [f"no call was made on {model}: the tokens are those of {names}"]
    if not others.models:
        return []
    left = others.calls + others.unpriced
    return [f"{left:,} calls were made on {names} and are left out: --every-model prices them, too, as if on {model}"]


def _of_runs(found: Repricing) -> list[str]:
    warnings = ["simulated: no real model was asked"] if found.simulated else []
    if len(found.runs) < FEW_RUNS:
        warnings.append(f"{len(found.runs)} runs say little about a usual day: the band is a guess")
    return warnings

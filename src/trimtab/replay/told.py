"""A replay in figures: one JSON object, which the terminal's table is written from too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from trimtab.core.usage import add_costs
from trimtab.replay.arms import NAMES
from trimtab.replay.judge import Judged, arm_interval, on_these
from trimtab.replay.play import Played, Replay
from trimtab.replay.seen import Seen

_SHOWN = 5
STOPPED = {
    "": "every run was made",
    "decided": "stopped as soon as it was decided",
    "cap": "stopped at its cap",
}


def report(replay: Replay, played: Played) -> dict[str, Any]:
    """Give everything under its documented name."""
    judged = played.judged
    compared = judged.compared.json() if judged.compared else {}
    planned = judged.compared.effect.planned if judged.compared else None
    return {
        "verdict": judged.verdict.verdict,
        "reason": judged.verdict.reason,
        "n_requests": len(replay.asked),
        "n_requests_judged": len(judged.requests),
        "n_pairs": compared.get("n_pairs", 0),
        "fixed": compared.get("fixed", 0),
        "broken": compared.get("broken", 0),
        "difference": compared.get("difference"),
        "interval": compared.get("interval"),
        "e_value": compared.get("e_value"),
        "p_value": compared.get("p_value"),
        "p_value_these_requests": planned.p_these if planned else None,
        "p_value_like_these": planned.p_like if planned else None,
        "e_value_these_requests": None if played.stopped else on_these(judged),
        "arms": {name: _arm(replay, judged, number) for number, name in enumerate(NAMES)},
        "changed": [asdict(change) for change in judged.changed],
        "outcomes": [_outcomes(replay, judged, request) for request in judged.requests],
        "runs": played.runs,
        "runs_planned": played.planned,
        "runs_from_before": played.resumed,
        "stopped": STOPPED[played.stopped],
        "usd_spent": played.spent,
        "usd_cap": replay.cap,
        "simulated": any(one.simulated for one in judged.seen),
        "seed": replay.seed,
        "repeats": replay.repeats,
        "alpha": replay.alpha,
        "these": replay.these,
        "store": str(replay.store),
        "warnings": [*played.notes, *compared.get("warnings", [])],
    }


def _arm(replay: Replay, judged: Judged, arm: int) -> dict[str, Any]:
    seen = [one for one in judged.seen if one.job.arm == arm]
    known = [one for one in seen if one.success is not None]
    interval = arm_interval(judged, arm, replay.alpha)
    cost = add_costs(one.cost for one in seen)
    right = sum(one.success is True for one in seen)
    return {
        "models": replay.arms[arm].models,
        "runs": len(seen),
        "succeeded": right,
        "failed": len(known) - right,
        "success": interval.estimate if interval else None,
        "interval": [interval.low, interval.high] if interval else None,
        "unanswerable": len(seen) - len(known),
        "missed": _missed(replay, seen),
        "usd_per_run": None if cost is None or not seen else cost / len(seen),
        "usd_per_success": None if cost is None or not right else cost / right,
        "tokens_per_run": sum(one.tokens for one in seen) / len(seen) if seen else None,
        "latency_p50_s": _quantile(seen, 0.5),
        "latency_p95_s": _quantile(seen, 0.95),
    }


def _outcomes(replay: Replay, judged: Judged, request: int) -> dict[str, Any]:
    def of(arm: int) -> list[bool | None]:
        seen = [one for one in judged.seen if (one.job.request, one.job.arm) == (request, arm)]
        return [one.success for one in sorted(seen, key=lambda one: one.job.repeat)]

    return {"request": replay.asked[request].id, **{name: of(arm) for arm, name in enumerate(NAMES)}}


def _missed(replay: Replay, seen: Sequence[Seen]) -> list[dict[str, str]]:
    missed = [one for one in seen if one.missed]
    return [
        {"request": replay.asked[one.job.request].id, "run_id": one.run_id, "call": one.missed}
        for one in missed[:_SHOWN]
    ]


def _quantile(seen: Sequence[Seen], share: float) -> float | None:
    return float(np.quantile([one.latency_s for one in seen], share)) if seen else None

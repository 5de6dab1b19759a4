"""What a rollout was when it was started, as the journal keeps it: the file may change while it goes on, the rollout does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from trimtab.core.values import Json
from trimtab.policy.experiment import ModelId, kept_changes, read_changes
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec


def declared(spec: RolloutSpec, model_id: ModelId) -> dict[str, Json]:
    """Write down what a rollout is, with full model ids."""
    return {
        "set": kept_changes(spec.set, model_id),
        "stages": [
            {"environment": s.environment, "weight": s.weight, "hold_s": s.hold.total_seconds(), "gate": s.gate}
            for s in spec.stages
        ],
        "needs": spec.needs,
        "goal": spec.goal,
        "guardrails": dict(sorted(spec.guardrails.items())),
        "deadline_s": spec.deadline.total_seconds(),
    }


def spec_of(name: str, kept: Json) -> RolloutSpec:
    """Read back what `declared` wrote."""
    told: Any = kept
    return RolloutSpec(
        name=name,
        set=read_changes(told["set"]),
        stages=tuple(
            StageSpec(s["environment"], s["weight"], timedelta(seconds=s["hold_s"]), s["gate"]) for s in told["stages"]
        ),
        needs=told["needs"],
        goal=told["goal"],
        guardrails=told["guardrails"],
        deadline=timedelta(seconds=told["deadline_s"]),
    )


def stage_name(name: str, attempt: int, stage: int) -> str:
    """Name the runs of one stage, as an assignment names them (`attempt` from 1, `stage` from 0 here, from 1 in the name)."""
    return f"{name}@{attempt}.{stage + 1}"

"""Runs of a factorial experiment whose effects are known, and the policy that declares it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store, now

from trimtab.core.moves import ExperimentFact
from trimtab.core.usage import Usage
from trimtab.policy.assign import draw
from trimtab.policy.experiment import declared
from trimtab.policy.load import load

POLICY = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
tiny = "anthropic:claude-haiku-5-5"
[roles]
default = "haiku"
[experiments.which]
environment = "local"
factors = { orchestrator = "sonnet", payment = "sonnet" }
goal = "decomposition_success"
"""
BASE, GAINS = 0.72, {"orchestrator": 0.20, "payment": 0.0}
IN, OUT = 10_000, 500


def factorial_store(folder: Path, runs: int = 1600, gains: Mapping[str, float] = GAINS, policy: str = POLICY) -> Path:
    """Write trimtab.toml and trimtab.db: two roles drawn for themselves over 16 days, each call of IN and OUT tokens."""
    (folder / "trimtab.toml").write_text(policy, "utf-8")
    loaded = load(folder / "trimtab.toml")
    spec = loaded.experiments["which"]
    dice, first = random.Random(5), now() - timedelta(days=16)
    made: list[Recorded] = []
    for number in range(runs):
        drawn = draw(spec, 0.5, f"k{number}")
        models = {role: SONNET if role in drawn.changes else HAIKU for role in GAINS}
        success = dice.random() < BASE + sum(gains[role] for role in drawn.changes)
        calls = [Call(role, model, Usage(IN, OUT)) for role, model in models.items()]
        arms = {"which": (drawn.arm, drawn.propensity, drawn.weight)}
        made.append(Recorded(f"r{number}", first + timedelta(days=16) * number / runs, calls, success, arms=arms))
    move = ExperimentFact("which", 0, "running", 0.5, declared(spec, loaded.model_id), "olga", "", first)
    return make_store(folder / "trimtab.db", made, [move])

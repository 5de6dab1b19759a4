"""Facts of what people and gates moved: experiments, rollouts, hosts. Kept as the facts of `records` are, and only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trimtab.core.values import Json


@dataclass(frozen=True, slots=True)
class ExperimentFact:
    """Somebody moved an experiment: `state` is running or stopped from now on, `weight` the share of runs treated (0 to 1).

    `declared` is what it was then (see `policy.experiment.declared`). The newest number of a name tells how it stands.
    """

    name: str
    number: int
    state: str
    weight: float
    declared: Json
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RolloutFact:
    """A rollout moved. The newest number of a name tells how it stands; all of them are the audit log.

    attempt:   how often it was started, from 1. event: what moved it (see `learn.rollout.EVENTS`).
    stages:    how each stage stands after it, a list of {state, since}.
    weights:   environment -> the share of its new runs (0 to 1) that get the new map from now on.
    declared:  what it was when it was started (see `policy.rollout.declared`).
    evidence:  what the move rests on: the gate's figures, the hosts that failed.
    """

    name: str
    number: int
    attempt: int
    event: str
    stages: Json
    weights: Json
    declared: Json
    by: str
    reason: str
    evidence: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class HostFact:
    """A line of what was done to a host. It is durable before the step it names, so the newest tells where to go on.

    number:    counts the lines of a host, from 0. rollout: empty where somebody changed the host by itself.
    hosts:     the group of `[hosts]` that it is in.
    step:      see `rollouts.fleet.STEPS`.
    wanted:    role -> full model id that the host is to run. answered: role -> model that an answer there named.
    files:     what was read and is written: path, digests and values before and after.
    """

    host: str
    number: int
    rollout: str
    attempt: int
    hosts: str
    environment: str
    step: str
    wanted: Json
    files: Json
    answered: Json
    by: str
    reason: str
    evidence: Json
    at: datetime

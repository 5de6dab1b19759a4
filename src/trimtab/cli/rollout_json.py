"""A rollout as JSON: everything that is known of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from trimtab.cli.rollout_seen import Seen, SeenHost, SeenStage


def as_json(seen: Seen, now: datetime) -> dict[str, Any]:
    """Give everything."""
    standing = seen.standing
    return {
        "rollout": seen.name,
        "state": seen.state,
        "healthy": seen.healthy,
        "attempt": standing.last.attempt if standing else 0,
        "since": standing.last.at if standing else None,
        "by": standing.last.by if standing else None,
        "reason": (standing.last.reason or None) if standing else None,
        "from": seen.was,
        "to": seen.to,
        "weights": standing.last.weights if standing else {},
        "stages": [_stage_json(stage, now) for stage in seen.stages],
        "wrong": list(seen.wrong),
        "notes": list(seen.notes),
        "next": list(seen.next),
    }


def _stage_json(seen: SeenStage, now: datetime) -> dict[str, Any]:
    left = seen.left(now)
    return {
        "stage": seen.number + 1,
        "environment": seen.spec.environment,
        "weight": seen.spec.weight,
        "hold_s": seen.spec.hold.total_seconds(),
        "gate": seen.spec.gate,
        "state": seen.stage.state,
        "since": seen.stage.since,
        "entered": seen.stage.entered,
        "held": seen.stage.held,
        "hold_left_s": None if left is None else left.total_seconds(),
        "runs": {"new": seen.treated, "old": seen.control},
        "says": asdict(seen.gated) if seen.gated else None,
        "hosts": [_host_json(host) for host in seen.hosts],
    }


def _host_json(seen: SeenHost) -> dict[str, Any]:
    line = seen.line
    return {
        "host": seen.host,
        "group": seen.group,
        "step": line.step if line else None,
        "at": line.at if line else None,
        "wanted": line.wanted if line else None,
        "answered": line.answered if line else None,
        "reason": ((line.reason or None) if line else seen.trouble or None),
    }

"""What actions.json declares of every action: effect, approval, visibility. Read once, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Contract:
    """The declared actions and who may see which field."""

    actions: Mapping[str, Mapping[str, Any]]
    visibility: Mapping[str, frozenset[str]]
    reveal_also: Mapping[str, Mapping[str, tuple[str, ...]]]


@cache
def contract() -> Contract:
    """Read the actions.json that ships with the application."""
    declared = json.loads(Path(__file__).with_name("actions.json").read_text("utf-8"))
    return Contract(
        actions=declared["actions"],
        visibility={field: frozenset(roles) for field, roles in declared["visibility"].items()},
        reveal_also={
            field: {role: tuple(fields) for role, fields in roles.items()}
            for field, roles in declared["reveal_also"].items()
        },
    )

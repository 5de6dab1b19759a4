"""What all parts of one run share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.core.pin import Pin
from trimtab.core.ports import Clock, ModelClient, PriceList, Steps
from trimtab.core.values import Json
from trimtab.run.retry import Limits
from trimtab.run.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Means:
    """What the app gives to every run."""

    models: ModelClient
    prices: PriceList
    clock: Clock
    limits: Limits
    calls_at_once: asyncio.Semaphore


@dataclass(frozen=True, slots=True)
class Scope:
    """One execution of one run."""

    means: Means
    steps: Steps
    workflow: Workflow[Any, Any]
    request: Any
    request_json: Json
    pin: Pin

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.steps.run_id

    @property
    def request_fields(self) -> Mapping[str, Json]:
        """The request as what `$request.FIELD` points into."""
        return self.request_json if isinstance(self.request_json, Mapping) else {"text": self.request_json}

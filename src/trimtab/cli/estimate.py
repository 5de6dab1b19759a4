"""What a live demo will cost, from the very prompts it will send, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trimtab.core.plan import Subtask
from trimtab.core.usage import Usage
from trimtab.core.values import dumps
from trimtab.models.catalogue import Catalogue
from trimtab.run import prompt
from trimtab.run.workflow import Workflow

BYTES_PER_TOKEN = 3.5  # English and JSON with Claude's tokenizer come to 3.5 to 4 bytes a token; the dearer end
RETRIES = Decimal("1.5")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it should cost and, where models have to be asked again, at most about."""

    calls: int
    usage: Usage
    cost: Decimal | None

    @property
    def text(self) -> str:
        """The arithmetic, as a person checks it."""
        used = f"about {self.calls} model calls, {self.usage.input:,} tokens in, {self.usage.output:,} tokens out"
        if self.cost is None:
            return f"This asks the real provider: {used}. The price of this model is not known."
        return f"This asks the real provider: {used}: ${self.cost:.2f}, with retries up to about ${self.cost * RETRIES:.2f}."


def estimate(workflow: Workflow[Any, Any], model: str, book: Iterable[Mapping[str, Any]]) -> Estimate:
    """Add up the prompts and answers of every right plan in an answer book."""
    calls = into = out = 0
    planning = prompt.orchestrator_system(workflow) + dumps([t.schema for t in prompt.PLANNING_TOOLS])
    for entry in book:
        plan = entry.get("plan", {})
        calls, into, out = calls + 1, into + len(planning) + len(entry["request"]), out + len(dumps(plan))
        for given in plan.get("subtasks", ()):
            known: dict[str, Any] = {**given, "needs": tuple(given["needs"])}
            subtask = Subtask(**known)
            specialist = workflow.specialists[subtask.specialist]
            offered = dumps(
                [[t.name, t.description, t.schema] for t in prompt.specialist_tools(specialist, subtask.action)]
            )
            shown = prompt.specialist_system(specialist) + offered + prompt.subtask_message(subtask, subtask.inputs)
            calls, into, out = calls + 1, into + len(shown), out + len(dumps(subtask.inputs))
    usage = Usage(input=round(into / BYTES_PER_TOKEN), output=round(out / BYTES_PER_TOKEN))
    return Estimate(calls, usage, Catalogue().cost(model, usage, datetime.now(UTC).date()))

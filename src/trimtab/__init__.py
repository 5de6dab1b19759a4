"""trimtab: an agent orchestrator in which the model behind every role is a measured, staged, reversible decision."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.app import App, Run
    from trimtab.core.errors import RunError, TrimtabError, UsageError
    from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry, Status
    from trimtab.core.plan import Plan, Subtask
    from trimtab.run.tool import Step, always, over, quiet_hours, tool
    from trimtab.run.workflow import Specialist, Stop, Workflow

_HOME = {
    "app": ("App", "Run"),
    "core.errors": ("RunError", "TrimtabError", "UsageError"),
    "core.outcome": ("Done", "Failed", "Handoff", "Rejected", "Retry", "Status"),
    "core.plan": ("Plan", "Subtask"),
    "run.tool": ("Step", "always", "over", "quiet_hours", "tool"),
    "run.workflow": ("Specialist", "Stop", "Workflow"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "App",
    "Done",
    "Failed",
    "Handoff",
    "Plan",
    "Rejected",
    "Retry",
    "Run",
    "RunError",
    "Specialist",
    "Status",
    "Step",
    "Stop",
    "Subtask",
    "TrimtabError",
    "UsageError",
    "Workflow",
    "always",
    "over",
    "quiet_hours",
    "tool",
]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must not pay for what it does not need."""
    if name not in _WHERE:
        message = f"module 'trimtab' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"trimtab.{_WHERE[name]}"), name)

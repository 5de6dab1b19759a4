"""What the terminal used, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trimtab.cli.terminal_usage_table import warned
from trimtab.terminal.index_fill import Filled
from trimtab.terminal.usage import Group, Span, Used

if TYPE_CHECKING:
    from trimtab.cli.terminal_usage_compare import Compared


def used_json(
    used: Used, span: Span, filled: Filled, warnings: Sequence[str], compared: Compared | None
) -> dict[str, Any]:
    """Give everything; dollars with an unknown price among them are null, and `usd_known` is what the rest came to."""
    told: dict[str, Any] = {
        "since": _moment(span.since),
        "until": _moment(span.until),
        "by": used.by,
        "groups": [{used.by: group.name, **_group(group)} for group in used.groups],
        "total": _group(used.total),
        "unpriced": dict(used.unpriced),
        "fallbacks": dict(used.fallbacks),
        "mismatches": dict(used.mismatches),
        "versions": dict(used.versions),
        "telemetry_only": asdict(used.told),
        "transcripts": {"found": filled.files, "read": filled.read, "deleted": filled.gone, "bad_lines": filled.bad_lines, "bad": filled.bad, "unreadable": filled.shut},
        "warnings": [*warned(used, filled), *warnings],
    }  # fmt: skip
    if compared is not None:
        told["compared"] = compared.json()
    return told


def _group(group: Group) -> dict[str, Any]:
    return {
        "calls": group.calls,
        **asdict(group.usage),
        "usd": group.usd,
        "usd_known": group.usd_known,
        "unpriced": group.unpriced,
        "sessions": len(group.sessions),
        "tasks": group.tasks,
        "prompts": group.prompts,
        "turns": group.turns,
        "turns_per_task": group.turns_per_task,
        "tools": group.tools,
        "tool_errors": group.tool_errors,
        "reworks": group.reworks,
        "retries": group.retries,
        "unwritten_retries": group.unwritten,
        "fallbacks": group.fallbacks,
        "mismatches": group.mismatches,
        "lost_usd": group.lost,
        "lost_share": group.lost_share,
        "lost_by": dict(group.lost_dollars),
    }


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()

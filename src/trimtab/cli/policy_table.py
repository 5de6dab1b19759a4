"""The role map of an environment on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.experiment_table import listed
from trimtab.cli.policy_rollouts import as_json, in_words
from trimtab.cli.show import console

if TYPE_CHECKING:
    from trimtab.cli.policy_rollouts import Map, Moved
    from trimtab.policy.resolve import Resolved
    from trimtab.policy.spec import Policy


def printable(policy: Policy, there: Map, *, explain: bool) -> dict[str, Any]:
    """Give the map as JSON: `roles` is what runs get that no rollout under way reaches, each of `rollouts` what the others get."""
    now = there.now
    roles = {
        role: {k: v for k, v in asdict(choice).items() if k != "prompt_digest"}
        | ({"decided": there.decided(role), "decided_by": asdict(now.why[role])} if explain else {})
        for role, choice in now.choices.items()
    }
    told = {"policy": policy.source, "digest": policy.digest, "environment": now.environment, "roles": roles}
    rollouts = [as_json(moved, there) for moved in there.rollouts]
    return {**told, "rollouts": rollouts, **({"experiments": _experiments(policy, there)} if explain else {})}


def print_map(policy: Policy, there: Map, *, explain: bool) -> None:
    """Print a line for each role, two where a rollout reaches a part of the runs; then what experiments and rollouts do."""
    now = there.now
    revised = any(choice.instructions for choice in there.reached.choices.values())
    shared = any(there.by(role) for role in now.choices)
    names = {
        "role": True,
        "new runs": shared,
        "model": True,
        "max_tokens": True,
        "effort": True,
        "escalates to": True,
        "model decided by": explain,
        "max_tokens by": explain,
        "effort by": explain,
        "escalates by": explain,
        "prompt by": revised,
    }
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (name for name, shown in names.items() if shown):
        table.add_column(name, overflow="fold")
    for role in now.choices:
        for share, resolved in _shares(there, role):
            cells = _cells(role, share, resolved, there.taken_back(role))
            table.add_row(*(escape(cell) for cell, shown in zip(cells, names.values(), strict=True) if shown))
    out = console()
    out.print(f"{escape(policy.source)} (digest {policy.digest}), environment {escape(now.environment)}")
    out.print(table)
    for told in _experiments(policy, there) if explain else ():
        out.print(
            f"experiment {escape(told['name'])}: {told['state']} at {told['weight'] * 100:.4g} %; {escape(told['arms'])}",
            soft_wrap=True,
        )
    for line in in_words(there, every=explain):
        out.print(escape(line), soft_wrap=True)


def _shares(there: Map, role: str) -> Iterator[tuple[str, Resolved]]:
    moved = there.by(role)
    weight = moved.reaches.weight if moved and moved.reaches else 0.0
    yield f"{(1 - weight) * 100:.4g} %", there.now
    if weight:
        yield f"{weight * 100:.4g} %", there.reached


def _cells(role: str, share: str, resolved: Resolved, taken_back: Moved | None) -> Iterator[str]:
    choice, why = resolved.choices[role], resolved.why[role]
    back = f" ({taken_back.fact.name} {taken_back.stands.state})" if taken_back else ""
    yield from (role, share, choice.model, str(choice.max_tokens), choice.effort or "-")
    yield from (", ".join(choice.escalate) or "-", why.model + back, why.max_tokens, why.effort, why.escalate)
    yield why.prompt if choice.instructions else "-"


def _experiments(policy: Policy, there: Map) -> list[dict[str, Any]]:
    here = there.now.environment
    if not any(spec.environment == here for spec in policy.experiments.values()):
        return []
    return [row for row in listed(policy, there.experiments) if row["environment"] == here]

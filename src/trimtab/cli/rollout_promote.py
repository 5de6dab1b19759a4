"""`trimtab rollout promote`: a person lets a stage pass that its gate has not passed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.options import load_policy, needs_extra, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, reason_option, watch_option, yes_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.learn.gate import Gated
    from trimtab.rollouts.moves import Standing


@click.command()
@click.argument("name")
@by_option
@reason_option
@watch_option
@yes_option
@policy_option
@store_option
def promote(name: str, by: str, reason: str, watch: bool, yes: bool, policy_file: str, store: Path | None) -> int:
    """Let the stage that NAME is holding pass by hand; the next one is in force at once.

    What the gate says by now is printed first and kept with who did it. Harm that is shown cannot be promoted.
    """
    from trimtab.cli.rollout_drive import go_on
    from trimtab.cli.rollout_moves import move, refuse
    from trimtab.rollouts.moves import find

    loaded = load_policy(policy_file)
    path = store or loaded.store
    standing = find(path, name)
    if standing.rollout.state != "holding":
        refuse(standing, "promote")
    evidence = _asked(path, standing)
    following = standing.spec.stages[(standing.rollout.at or 0) + 1 :][:1]
    confirmed({stage.environment for stage in following}, f"promote rollout {name!r}", yes=yes)
    moved = move(path, name, "promote", by=by, reason=reason, evidence=evidence, seen=standing.last.number)
    return go_on(path, loaded, name, moved.number, by=by, stay=watch)


def _asked(store: Path, standing: Standing) -> dict[str, Any]:
    """Ask the gate, print what it says, and give it as evidence."""
    from trimtab.cli.rollout_tree import print_gate
    from trimtab.rollouts.gate import gate_of

    try:
        gated: Gated | None = gate_of(store, standing, datetime.now(UTC))
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "the gate") from missing
    if gated is None:
        return {}
    print_gate(gated)
    if gated.word == "fail":
        raise UsageError(
            f"rollout {standing.last.name!r} does harm: {gated.reason}",
            hint=f"trimtab rollout abort {standing.last.name}",
        )
    return {"gate": {"word": gated.word, "reason": gated.reason, "missing": gated.missing, **gated.evidence}}

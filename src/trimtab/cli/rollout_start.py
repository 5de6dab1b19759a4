"""`trimtab rollout start`: says what will change, asks where production is meant, starts, and changes the first hosts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.options import load_policy, needs_extra, one_line, policy_option, store_option
from trimtab.cli.rollout_options import by_option, confirmed, reason_option, watch_option, yes_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.core.values import Json
    from trimtab.policy.rollout_spec import RolloutSpec
    from trimtab.policy.spec import Policy


@click.command()
@click.argument("name")
@by_option
@reason_option
@watch_option
@click.option(
    "--without-needs", metavar="REASON", callback=one_line, help="Start though what it needs does not say ship; kept."
)
@yes_option
@policy_option
@store_option
def start(
    name: str,
    by: str,
    reason: str,
    watch: bool,
    without_needs: str | None,
    yes: bool,
    policy_file: str,
    store: Path | None,
) -> int:
    """Start rollout NAME of the policy: new runs of its first stage get the new map, its hosts are changed and proved.

    The change is printed first. Returns when the stage is in force on all its hosts (0) or the rollout has ended (1). A worker
    asks the gate and goes on by itself; the hosts of later stages are changed by -w, or by `trimtab rollout resume NAME`.
    """
    from trimtab.cli.rollout_change import print_change, print_on_hosts
    from trimtab.cli.rollout_drive import go_on
    from trimtab.rollouts.moves import declared_in, start_rollout

    loaded = load_policy(policy_file)
    path = store or loaded.store
    spec = declared_in(loaded, name)
    _see_that_it_may_start(path, loaded, name)
    evidence = _rests_on(path, spec, without_needs)
    print_change(loaded, spec)
    print_on_hosts(loaded, spec)
    confirmed({stage.environment for stage in spec.stages}, f"start rollout {name!r}", yes=yes)
    moved = start_rollout(path, loaded, name, by=by, at=datetime.now(UTC), reason=reason, evidence=evidence)
    return go_on(path, loaded, name, moved.number - 1, by=by, stay=watch)


def _see_that_it_may_start(store: Path, policy: Policy, name: str) -> None:
    # Asked before anybody is asked to confirm; the start itself looks again.
    try:
        importlib.import_module("trimtab.learn.gate")
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "the gate of a stage") from missing
    from trimtab.rollouts.moves import refuse_start

    refuse_start(store, policy, name, datetime.now(UTC))


def _rests_on(store: Path, spec: RolloutSpec, without: str | None) -> Mapping[str, Json]:
    from trimtab.rollouts.needs import verdict_of

    if without is not None:
        if spec.needs is None:
            raise UsageError(f"rollout {spec.name!r} needs nothing", hint="leave --without-needs out")
        return {"without_needs": without, "needs": {"experiment": spec.needs}}
    try:
        return verdict_of(store, spec, datetime.now(UTC))
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "the verdict of an experiment") from missing

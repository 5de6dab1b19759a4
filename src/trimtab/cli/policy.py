"""`trimtab policy`: is the file right, and what does it decide?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.lazy import Whole
from trimtab.cli.options import (
    app_option,
    environment_option,
    json_option,
    load_policy,
    load_workflows,
    policy_option,
    store_option,
)

if TYPE_CHECKING:
    from trimtab.policy.resolve import Resolved
    from trimtab.policy.spec import Policy

ORCHESTRATOR = "orchestrator"


@click.group(cls=Whole)
def policy() -> None:
    """Check the policy file and show which model plays each role, and why."""


@policy.command()
@app_option
@policy_option
@json_option
def check(factory: str | None, policy_file: str, as_json: bool) -> None:
    """Check the policy file: every key, every model, and every role where the application is known."""
    from trimtab.cli.policy_rollouts import differences
    from trimtab.cli.show import print_json
    from trimtab.policy.assign import every_arm
    from trimtab.policy.resolve import resolve
    from trimtab.policy.rollout import remarks

    loaded = load_policy(policy_file)
    roles = _roles(loaded, factory)
    environments = sorted({"local", *loaded.environments})
    resolved = [resolve(loaded, name, roles) for name in environments]
    resolved += [resolve(loaded, name, roles, [arm]) for name in environments for arm in every_arm(loaded, name)]
    warnings = _unpriced(loaded, {m for r in resolved for c in r.choices.values() for m in (c.model, *c.escalate)})
    warnings += [*remarks(loaded), *differences(loaded, loaded.store)]
    _see_that_dollars_can_be_counted(loaded, resolved)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        checked = {
            "policy": loaded.source,
            "digest": loaded.digest,
            "roles": sorted(roles),
            "environments": environments,
        }
        print_json({**checked, "warnings": warnings})
    else:
        known = f"roles {', '.join(sorted(roles))}" if roles else "roles not checked: no application is named"
        click.echo(f"{loaded.source} is fine: environments {', '.join(environments)}; {known}")


@policy.command()
@click.option(
    "--explain", is_flag=True, help="Say what decided each part: the file, an experiment, a rollout or its abort."
)
@app_option
@policy_option
@environment_option
@store_option
@json_option
def show(
    explain: bool, factory: str | None, policy_file: str, environment: str, store: Path | None, as_json: bool
) -> None:
    """Show which model plays each role in runs accepted now; a rollout under way reaches a share of them."""
    from trimtab.cli.policy_rollouts import map_of
    from trimtab.cli.policy_table import print_map, printable
    from trimtab.cli.show import print_json

    loaded = load_policy(policy_file)
    there = map_of(loaded, environment, store or loaded.store, _roles(loaded, factory))
    if as_json:
        print_json(printable(loaded, there, explain=explain))
    else:
        print_map(loaded, there, explain=explain)


def _see_that_dollars_can_be_counted(loaded: Policy, resolved: Sequence[Resolved]) -> None:
    from trimtab.models.catalogue import Catalogue
    from trimtab.policy.caps import refuse_unpriced

    prices, today = Catalogue(loaded.price_file), datetime.now(UTC).date()
    for there in resolved:
        refuse_unpriced(there.environment, loaded.budgets.get(there.environment), there.choices, prices, today)


def _unpriced(loaded: Policy, models: set[str]) -> list[str]:
    from trimtab.models.catalogue import Catalogue

    # A server of the user's own has models that nobody lists; a vendor's model that is in no list is likely misspelt.
    vendors = {name for name, provider in loaded.providers.items() if provider.base_url is None}
    prices = Catalogue(loaded.price_file)
    asked = sorted(m for m in models if m.partition(":")[0] in vendors and not prices.known(m))
    return [f"{model!r} is in no price list: see that the name is right; its cost will be unknown" for model in asked]


def _roles(loaded: Policy, factory: str | None) -> set[str]:
    from trimtab.policy.load import check as check_roles

    if not (factory or loaded.app.factory):
        return set()
    workflows = load_workflows(loaded, factory)
    roles = {ORCHESTRATOR, *(role for workflow in workflows for role in workflow.specialists)}
    check_roles(loaded, roles)
    return roles

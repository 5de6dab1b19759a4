"""`trimtab policy`: is the file right, and what does it decide?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trimtab.cli.options import app_option, environment_option, json_option, load_policy, load_workflows, policy_option

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy

ORCHESTRATOR = "orchestrator"


@click.group()
def policy() -> None:
    """Check the policy file and show which model plays each role, and why."""


@policy.command()
@app_option
@policy_option
@json_option
def check(factory: str | None, policy_file: str, as_json: bool) -> None:
    """Check the policy file: every key, every model, and every role where the application is known."""
    from trimtab.cli.show import print_json
    from trimtab.policy.resolve import resolve

    loaded = load_policy(policy_file)
    roles = _roles(loaded, factory)
    environments = sorted({"local", *loaded.environments})
    resolved = [resolve(loaded, name, roles) for name in environments]
    warnings = _unpriced(loaded, {c.model for r in resolved for c in r.choices.values()})
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
@click.option("--explain", is_flag=True, help="Say which key of the file decided each part.")
@app_option
@policy_option
@environment_option
@json_option
def show(explain: bool, factory: str | None, policy_file: str, environment: str, as_json: bool) -> None:
    """Show which model plays each role in one environment."""
    from rich.table import Table

    from trimtab.cli.show import console, print_json
    from trimtab.policy.resolve import resolve

    loaded = load_policy(policy_file)
    resolved = resolve(loaded, environment, _roles(loaded, factory) or {*loaded.roles, ORCHESTRATOR} - {"default"})
    if as_json:
        roles = {
            role: {k: v for k, v in asdict(choice).items() if k != "prompt_digest"}
            | ({"decided_by": asdict(resolved.why[role])} if explain else {})
            for role, choice in resolved.choices.items()
        }
        print_json({"policy": loaded.source, "digest": loaded.digest, "environment": environment, "roles": roles})
        return
    columns = [
        "role",
        "model",
        "max_tokens",
        "effort",
        *(["model decided by", "max_tokens by", "effort by"] if explain else []),
    ]
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for role, choice in resolved.choices.items():
        why = resolved.why[role]
        row = [role, choice.model, str(choice.max_tokens), choice.effort or "-"]
        table.add_row(*row, *([why.model, why.max_tokens, why.effort] if explain else []))
    out = console()
    out.print(f"{loaded.source} (digest {loaded.digest}), environment {environment}")
    out.print(table)


def _unpriced(loaded: Policy, models: set[str]) -> list[str]:
    from trimtab.models.catalogue import GenaiPrices

    # A server of the user's own has models that nobody lists; a vendor's model that is in no list is likely misspelt.
    vendors = {name for name, provider in loaded.providers.items() if provider.base_url is None}
    prices = GenaiPrices()
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

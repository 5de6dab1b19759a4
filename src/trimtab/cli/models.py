"""`trimtab models`: what models cost, how long they last, and what is wrong with those the policy names."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from trimtab.cli.lazy import Whole
from trimtab.cli.options import POLICY_FILE, json_option, load_policy, policy_option, store_option
from trimtab.core.errors import UsageError
from trimtab.models.catalogue import Catalogue

_LOOK_BACK = timedelta(days=30)

_on_option = click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day whose prices count.  [default: today, in UTC]",
)


@click.group(cls=Whole)
def models() -> None:
    """List models with prices and retirement dates, and check those the policy names."""


@models.command("list")
@click.option("--provider", metavar="NAME", help="Only this provider; any that genai-prices knows.")
@_on_option
@policy_option
@json_option
def list_models(provider: str | None, on: datetime | None, policy_file: str, as_json: bool) -> None:
    """List models with the prices in force, in dollars per million tokens, and when they retire."""
    from trimtab.cli.models_table import list_json, print_list
    from trimtab.cli.show import print_json

    catalogue, _ = _catalogue(policy_file)
    day = _day(on)
    providers = catalogue.providers() if provider is None else [provider]
    found = [model for name in providers for model in catalogue.models(name)]
    if not found:
        raise UsageError(f"no model of a provider {provider!r} is known", hint=_providers_hint(provider or ""))
    if as_json:
        print_json(list_json(found, day, catalogue))
    else:
        print_list(found, day, catalogue)


@models.command()
@click.argument("model")
@_on_option
@policy_option
@json_option
def show(model: str, on: datetime | None, policy_file: str, as_json: bool) -> None:
    """Show every price of one model with its dates and tiers, what a day of calls costs, and when it retires.

    MODEL is a full id, with or without its provider, or an alias of the policy.
    """
    from trimtab.cli.models_table import model_json, print_model
    from trimtab.cli.show import print_json

    catalogue, aliases = _catalogue(policy_file)
    name = aliases.get(model, model)
    asked = catalogue.full_id(name)
    if asked is None:
        raise UsageError(f"model {name!r} is not known", hint=_meant(catalogue, name))
    if as_json:
        print_json(model_json(asked, _day(on), catalogue))
    else:
        print_model(asked, _day(on), catalogue)


@models.command()
@policy_option
@store_option
@_on_option
@json_option
def check(policy_file: str, store: Path | None, on: datetime | None, as_json: bool) -> None:
    """Check every model the policy names: retirement, aliases, prices, and prompts close to a dearer tier.

    Prompts are those of the last 30 days, where there is a store.
    """
    from trimtab.cli import FINE, NOT_FINE
    from trimtab.cli.findings import findings_json, is_fine, print_findings
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal
    from trimtab.models.check import Named, check_models, named_in, shortest_told

    policy, day = load_policy(policy_file), _day(on)
    catalogue = Catalogue(policy.price_file)
    path = store or policy.store
    named, prompts = named_in(policy), None
    if policy.terminal.model:
        # The terminal takes bare ids, and in brackets how much context it is to use.
        named.append(Named(f"anthropic:{policy.terminal.model.partition('[')[0]}", "terminal.model"))
    if store or path.exists():
        with Journal(path) as journal:
            prompts = journal.prompt_lengths(datetime.now(UTC) - _LOOK_BACK, shortest_told(named, catalogue, day))
    findings = check_models(named, catalogue, day, prompts or ())
    count = len({place.model for place in named})
    if as_json:
        told = {"policy": policy.source, "prices": catalogue.version, "models": count, "on": day}
        print_json({**told, "store": str(path) if prompts is not None else None, "findings": findings_json(findings)})
    else:
        print_findings(findings)
        looked = f"prompts of {path}" if prompts is not None else f"no prompts: there is no store {path} yet"
        verdict = "nothing has to be done" if is_fine(findings) else "see above"
        click.echo(f"{policy.source}: {count} models checked, {verdict} ({catalogue.version}; {looked})")
    sys.exit(FINE if is_fine(findings) else NOT_FINE)


def _catalogue(policy_file: str) -> tuple[Catalogue, dict[str, str]]:
    """Make the catalogue of the policy, and give its aliases; a policy that is not named need not be there."""
    if policy_file == POLICY_FILE and not Path(policy_file).exists():
        return Catalogue(), {}
    policy = load_policy(policy_file)
    return Catalogue(policy.price_file), dict(policy.models)


def _day(on: datetime | None) -> date:
    return on.date() if on else datetime.now(UTC).date()


def _meant(catalogue: Catalogue, name: str) -> str:
    naming = catalogue.naming(name if ":" in name else f"anthropic:{name}")
    if naming.means:
        return f"it is an alias, which means {naming.means[0]} today"
    providers = [name.partition(":")[0]] if ":" in name else catalogue.providers()
    near = [found for p in providers for found in catalogue.near(f"{p}:{name.partition(':')[2] or name}")]
    return f"did you mean {' or '.join(near)}?" if near else "trimtab models list"


def _providers_hint(name: str) -> str:
    from trimtab.models.genai import provider_names
    from trimtab.policy.problems import unknown

    text, hint = unknown("provider", name, provider_names())
    return hint or text.partition(", ")[2]

"""Decides which model plays which role in one environment, and says which key of the file decided it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date

from trimtab.core.errors import PolicyError
from trimtab.core.pin import Pin, RoleChoice
from trimtab.policy.problems import Problem, dotted, refusal, unknown
from trimtab.policy.spec import DEFAULT_ENVIRONMENT, DEFAULT_MAX_TOKENS, DEFAULT_ROLE, EnvironmentSpec, Policy, RoleSpec

UNSAID = "default of trimtab"


@dataclass(frozen=True, slots=True)
class Why:
    """The key path that decided each part of one role's choice, or `UNSAID`."""

    model: str
    max_tokens: str
    effort: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The role map of one environment, and why it is so."""

    environment: str
    policy_digest: str
    choices: Mapping[str, RoleChoice]
    why: Mapping[str, Why]


def resolve(policy: Policy, environment: str, roles: Collection[str]) -> Resolved:
    """Choose for every role.

    Each part comes from the first entry that says it: the environment's for the role, the role's, the environment's default,
    the default. An effort goes with the model it was written for and never passes to another.

    Raises:
        PolicyError: the environment is not declared, or a role has no model.
    """
    there = _environment(policy, environment)
    chains = {role: _chain(policy, there, role) for role in sorted(roles)}
    found = [_no_model(role, there) for role, chain in chains.items() if not any(entry.model for _, entry in chain)]
    if found:
        raise refusal(policy.source, found)
    decided = {role: _decide(policy, chain) for role, chain in chains.items()}
    return Resolved(
        environment=environment,
        policy_digest=policy.digest,
        choices={role: choice for role, (choice, _) in decided.items()},
        why={role: why for role, (_, why) in decided.items()},
    )


def make_pin(resolved: Resolved, prompts: Mapping[str, str], price_date: date) -> Pin:
    """Make the pin of a new run; `prompts` has the prompt digest of every role."""
    return Pin(
        roles={role: replace(choice, prompt_digest=prompts[role]) for role, choice in resolved.choices.items()},
        environment=resolved.environment,
        policy_digest=resolved.policy_digest,
        price_date=price_date,
    )


def _environment(policy: Policy, name: str) -> EnvironmentSpec:
    if name in policy.environments:
        return policy.environments[name]
    if name == DEFAULT_ENVIRONMENT:
        return EnvironmentSpec(name)
    text, hint = unknown("environment", name, {*policy.environments, DEFAULT_ENVIRONMENT})
    raise PolicyError(f"{policy.source}: {text}", hint=hint or f"declare it: [{dotted(('environments', name))}]")


def _chain(policy: Policy, there: EnvironmentSpec, role: str) -> list[tuple[str, RoleSpec]]:
    tables = [(("environments", there.name, "roles"), there.roles), (("roles",), policy.roles)]
    places = [(path, name, table) for name in (role, DEFAULT_ROLE) for path, table in tables]
    return [(dotted((*path, name)), table[name]) for path, name, table in places if name in table]


def _decide(policy: Policy, chain: list[tuple[str, RoleSpec]]) -> tuple[RoleChoice, Why]:
    last = next(place for place, (_, entry) in enumerate(chain) if entry.model)
    path, model = chain[last][0], policy.model_id(chain[last][1].model or "")
    limits = ((path, entry.max_tokens) for path, entry in chain if entry.max_tokens)
    limit_path, max_tokens = next(limits, (UNSAID, DEFAULT_MAX_TOKENS))
    efforts = ((path, entry.effort) for path, entry in chain[: last + 1] if entry.effort)
    effort_path, effort = next(efforts, (UNSAID, None))
    return RoleChoice(model, max_tokens, effort), Why(path, limit_path, effort_path)


def _no_model(role: str, there: EnvironmentSpec) -> Problem:
    text = f"role {role!r} has no model in environment {there.name!r}"
    return Problem(
        ("roles", role), text, f'add {role} = "<alias>" under [roles], or {DEFAULT_ROLE} = "<alias>" for every role'
    )

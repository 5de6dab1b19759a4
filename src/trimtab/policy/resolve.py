"""Decides which model plays which role in one environment, and says which key of the file decided it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import prod

from trimtab.core.errors import PolicyError
from trimtab.core.pin import Pin, RoleChoice
from trimtab.policy.assign import Drawn
from trimtab.policy.problems import Problem, dotted, refusal, unknown
from trimtab.policy.spec import (
    DEFAULT_ENVIRONMENT,
    DEFAULT_MAX_TOKENS,
    DEFAULT_ROLE,
    TERMINAL_ROLE,
    EnvironmentSpec,
    Policy,
    RoleSpec,
)

UNSAID = "default of trimtab"


@dataclass(frozen=True, slots=True)
class Why:
    """The key path that decided each part of one role's choice, or `UNSAID`."""

    model: str
    max_tokens: str
    effort: str
    escalate: str = UNSAID
    prompt: str = UNSAID


@dataclass(frozen=True, slots=True)
class Resolved:
    """The role map of one environment, and why it is so."""

    environment: str
    policy_digest: str
    choices: Mapping[str, RoleChoice]
    why: Mapping[str, Why]
    drawn: Sequence[Drawn] = ()


def resolve(policy: Policy, environment: str, roles: Collection[str], drawn: Sequence[Drawn] = ()) -> Resolved:
    """Choose for every role; `drawn` are the arms of experiments that the run is in.

    Each part comes from the first entry that says it: the arm's, the environment's for the role, the role's, the environment's
    default, the default. An effort and a list to escalate to go with the model they were written for and never pass to another: they
    come from the entry that names the model, or one more particular than it.

    Raises:
        PolicyError: the environment is not declared, a role has no model, or it would escalate to the model it has.
    """
    there = _environment(policy, environment)
    chains = {role: _changes(drawn, role) + _chain(policy, there, role) for role in sorted(roles)}
    found = [_no_model(role, there) for role, chain in chains.items() if not _is_staffed(chain)]
    if found:
        raise refusal(policy.source, found)
    decided = {role: _decide(policy, chain) for role, chain in chains.items()}
    found = [_to_itself(choice, why) for choice, why in decided.values() if choice.model in choice.escalate]
    if found:
        raise refusal(policy.source, found)
    return Resolved(
        environment=environment,
        policy_digest=policy.digest,
        choices={role: choice for role, (choice, _) in decided.items()},
        why={role: why for role, (_, why) in decided.items()},
        drawn=drawn,
    )


def is_said(policy: Policy, environment: str, changes: Mapping[str, RoleSpec]) -> bool:
    """Whether the file gives every role, the terminal among them, what these changes would: then they change nothing there."""
    there = _environment(policy, environment)
    drawn = [Drawn("", "", 1.0, 1.0, changes, ())]
    for role in {*policy.roles, *there.roles, *changes, DEFAULT_ROLE} - {TERMINAL_ROLE}:
        file = _chain(policy, there, role)
        changed = _changes(drawn, role) + file
        staffed = [_is_staffed(chain) for chain in (file, changed)]
        if staffed[0] != staffed[1] or (staffed[0] and _decide(policy, file)[0] != _decide(policy, changed)[0]):
            return False
    terminal = changes.get(TERMINAL_ROLE, RoleSpec()).model
    return terminal is None or policy.model_id(terminal).partition(":")[2] == policy.terminal.model


def has_model(policy: Policy, environment: str, role: str) -> bool:
    """Whether the file gives a role a model. Raises PolicyError where the environment is not declared."""
    return _is_staffed(_chain(policy, _environment(policy, environment), role))


def models(policy: Policy, environment: str, roles: Collection[str]) -> dict[str, str | None]:
    """Give the full model id that the file names for each role, the terminal's among them. Raises PolicyError as `resolve` does."""
    choices = resolve(policy, environment, set(roles) - {TERMINAL_ROLE}).choices
    told: dict[str, str | None] = {role: choice.model for role, choice in sorted(choices.items())}
    return {**told, TERMINAL_ROLE: policy.terminal.model} if TERMINAL_ROLE in roles else told


def make_pin(resolved: Resolved, prompts: Mapping[str, str], price_date: date) -> Pin:
    """Make the pin of a new run; `prompts` has the prompt digest of every role."""
    return Pin(
        roles={role: replace(choice, prompt_digest=prompts[role]) for role, choice in resolved.choices.items()},
        environment=resolved.environment,
        policy_digest=resolved.policy_digest,
        price_date=price_date,
        arm=",".join(drawn.arm for drawn in resolved.drawn) or None,
        propensity=prod(drawn.propensity for drawn in resolved.drawn),
    )


def _environment(policy: Policy, name: str) -> EnvironmentSpec:
    if name in policy.environments:
        return policy.environments[name]
    if name == DEFAULT_ENVIRONMENT:
        return EnvironmentSpec(name)
    text, hint = unknown("environment", name, {*policy.environments, DEFAULT_ENVIRONMENT})
    raise PolicyError(f"{policy.source}: {text}", hint=hint or f"declare it: [{dotted(('environments', name))}]")


def _changes(drawn: Sequence[Drawn], role: str) -> list[tuple[str, RoleSpec]]:
    arms = [(arm, name) for arm in drawn for name in (role, DEFAULT_ROLE) if name in arm.changes]
    return [(dotted((*arm.path, name)), arm.changes[name]) for arm, name in arms]


def _chain(policy: Policy, there: EnvironmentSpec, role: str) -> list[tuple[str, RoleSpec]]:
    tables = [(("environments", there.name, "roles"), there.roles), (("roles",), policy.roles)]
    places = [(path, name, table) for name in (role, DEFAULT_ROLE) for path, table in tables]
    return [(dotted((*path, name)), table[name]) for path, name, table in places if name in table]


def _is_staffed(chain: list[tuple[str, RoleSpec]]) -> bool:
    return any(entry.model for _, entry in chain)


def _decide(policy: Policy, chain: list[tuple[str, RoleSpec]]) -> tuple[RoleChoice, Why]:
    last = next(place for place, (_, entry) in enumerate(chain) if entry.model)
    path, model = chain[last][0], policy.model_id(chain[last][1].model or "")
    limits = ((path, entry.max_tokens) for path, entry in chain if entry.max_tokens)
    limit_path, max_tokens = next(limits, (UNSAID, DEFAULT_MAX_TOKENS))
    efforts = ((path, entry.effort) for path, entry in chain[: last + 1] if entry.effort)
    effort_path, effort = next(efforts, (UNSAID, None))
    lists = ((path, entry.escalate) for path, entry in chain[: last + 1] if entry.escalate)
    list_path, listed = next(lists, (UNSAID, ()))
    escalate = tuple(policy.model_id(model) for model in listed)
    prompts = ((path, entry.instructions) for path, entry in chain if entry.instructions)
    prompt_path, instructions = next(prompts, (UNSAID, None))
    choice = RoleChoice(model, max_tokens, effort, escalate=escalate, instructions=instructions)
    return choice, Why(path, limit_path, effort_path, list_path, prompt_path)


def _to_itself(choice: RoleChoice, why: Why) -> Problem:
    return Problem(
        (), f"{why.escalate}.escalate: {choice.model!r} is the model that {why.model} names, expected others"
    )


def _no_model(role: str, there: EnvironmentSpec) -> Problem:
    text = f"role {role!r} has no model in environment {there.name!r}"
    return Problem(
        ("roles", role), text, f'add {role} = "<alias>" under [roles], or {DEFAULT_ROLE} = "<alias>" for every role'
    )

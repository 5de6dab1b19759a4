"""Reads the policy file. Strict: what it does not know it refuses, with every problem in one error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.values import digest
from trimtab.policy import alerts, experiment, host_groups, rollout
from trimtab.policy.caps import NAMES
from trimtab.policy.form import FILE
from trimtab.policy.problems import KeyPath, Problem, refusal, unknown
from trimtab.policy.shape import prune
from trimtab.policy.spec import (
    BUILT_IN,
    DEFAULT_ENVIRONMENT,
    DEFAULT_ROLE,
    KINDS,
    TERMINAL_ROLE,
    AppSpec,
    BudgetSpec,
    Caps,
    CredentialSpec,
    EnvironmentSpec,
    Policy,
    ProviderSpec,
    RoleSpec,
    TerminalSpec,
)
from trimtab.policy.toml import read_tables, read_text

_LARGEST_PROMPT = 200_000


def load(path: str | Path) -> Policy:
    """Read a policy file. Raises PolicyError with everything that is wrong with it."""
    hint = "write one with the sections [models] and [roles], or give the path of yours"
    return parse(read_text(Path(path), hint=hint), str(path))


def parse(text: str, source: str = "trimtab.toml") -> Policy:
    """Read a policy from text; `source` is the path that errors name. Raises PolicyError."""
    content = read_tables(text, source)
    found: list[Problem] = []
    kept = prune(FILE, content, (), found)
    found += _dangling(kept, content)
    read = _read_prompts(kept, Path(source).parent, found)
    if found:
        raise refusal(source, found)
    # What a prompt's file holds is as much of the policy as its name.
    return _policy(kept, source, digest([content, read] if read else content))


def check(policy: Policy, roles: Collection[str]) -> None:
    """Refuse entries for roles that no workflow has. `roles` are those of all workflows. Raises PolicyError."""
    known = {*roles, ORCHESTRATOR}
    tables: list[tuple[KeyPath, Collection[str]]] = [(("roles",), policy.roles)]
    tables += [(("environments", name, "roles"), there.roles) for name, there in policy.environments.items()]
    for name, spec in policy.experiments.items():
        tables.append((("experiments", name, "factors"), spec.factors))
        tables += [(("experiments", name, "arms", arm), changes) for arm, changes in spec.arms.items()]
    beyond: list[tuple[KeyPath, Collection[str]]]
    beyond = [(("rollouts", name, "set"), spec.set) for name, spec in policy.rollouts.items()]
    for name, group in policy.hosts.items():
        beyond += [(("hosts", name, "files", file.name, "keys"), file.keys) for file in group.files]
    found = [
        Problem((*path, role), *unknown("role", role, there))
        for listed, there in ((tables, known), (beyond, {*known, TERMINAL_ROLE}))
        for path, named in listed
        for role in named
        if role not in there and role != DEFAULT_ROLE
    ]
    found += [
        Problem(("budgets", name, "roles", role), *unknown("role", role, known))
        for name, budget in policy.budgets.items()
        for role in budget.roles
        if role not in known
    ]
    if found:
        raise refusal(policy.source, found)


def _dangling(kept: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Problem]:
    # Names come from the whole content: an entry that is wrong is one problem, not one more for each use of it.
    aliases, providers = _names(content, "models"), {*_names(content, "providers"), *BUILT_IN}
    named: list[tuple[KeyPath, str]] = [(("models", alias), model) for alias, model in kept.get("models", {}).items()]
    named += [pair for path, table in _role_tables(kept) for pair in _role_models(path, table)]
    for path, model in named:
        provider, colon, _ = model.partition(":")
        if colon and provider not in providers:
            yield Problem(path, *unknown("provider", provider, providers))
        elif not colon and model not in aliases:
            yield Problem(path, *unknown("model", model, aliases, also='"provider:full-id"'))
    yield from _repeated(kept)
    environments = {*_names(content, "environments"), DEFAULT_ENVIRONMENT}
    for name in kept.get("budgets", {}):
        if name not in environments:
            yield Problem(("budgets", name), *unknown("environment", name, environments))
    yield from experiment.problems(kept, content, environments)
    yield from rollout.problems(kept, content, environments)
    yield from host_groups.problems(kept, content, environments)
    yield from alerts.problems(kept, content, environments)
    for name in kept.get("providers", {}):
        if name not in BUILT_IN and "kind" not in content["providers"][name]:
            kinds = " or ".join(f'"{kind}"' for kind in KINDS)
            yield Problem(("providers", name), "expected a 'kind'", f"add kind = {kinds}: the API it speaks")


def _names(content: Mapping[str, Any], section: str) -> set[str]:
    table = content.get(section)
    return set(table) if isinstance(table, dict) else set()  # pyright: ignore[reportUnknownArgumentType]


def _role_tables(kept: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Give every table whose keys are roles, wherever it stands."""
    yield ("roles",), kept.get("roles", {})
    for name, table in kept.get("environments", {}).items():
        yield ("environments", name, "roles"), table.get("roles", {})
    for name, table in kept.get("experiments", {}).items():
        yield ("experiments", name, "factors"), table.get("factors", {})
        for arm, changes in table.get("arms", {}).items():
            yield ("experiments", name, "arms", arm), changes
    for name, table in kept.get("rollouts", {}).items():
        yield ("rollouts", name, "set"), table.get("set", {})


def _role_models(path: KeyPath, table: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for role, entry in table.items():
        if isinstance(entry, str):
            yield (*path, role), entry
            continue
        if "model" in entry:
            yield (*path, role, "model"), entry["model"]
        for model in entry.get("escalate", ()):
            yield (*path, role, "escalate"), model


def _repeated(kept: Mapping[str, Any]) -> Iterator[Problem]:
    # Asking the same model again is what `escalate` is not: that was tried before.
    models = kept.get("models", {})
    for path, table in _role_tables(kept):
        for role, entry in table.items():
            asked = [] if isinstance(entry, str) else [entry.get("model"), *entry.get("escalate", ())]
            full = [models.get(model, model) for model in asked if model is not None]
            if again := next((m for n, m in enumerate(full) if m in full[:n]), None):
                yield Problem((*path, role, "escalate"), f"{again!r} is asked twice, expected different models")


def _read_prompts(kept: Mapping[str, Any], folder: Path, found: list[Problem]) -> list[str]:
    """Put the text of every prompt's file beside its name, as `instructions`; gives all texts."""
    read: list[str] = []
    for path, table in _role_tables(kept):
        for role, entry in table.items():
            if isinstance(entry, str) or "prompt" not in entry:
                continue
            if role == DEFAULT_ROLE:
                hint = f"give each role its own; {DEFAULT_ROLE!r} names what roles have in common"
                found.append(Problem((*path, role, "prompt"), "expected a prompt for one role, not for all", hint))
                continue
            text, wrong = _prompt(folder / entry["prompt"])
            if wrong:
                hint = "name a text file; the path is relative to the policy file"
                found.append(Problem((*path, role, "prompt"), f"{entry['prompt']!r} {wrong}", hint))
            entry["instructions"] = text
            read.append(text)
    return read


def _prompt(path: Path) -> tuple[str, str]:
    """Give the text of a prompt's file, and what is wrong with it."""
    try:
        if not path.is_file():
            return "", "is a folder or no plain file" if path.exists() else "is no file"
        if path.stat().st_size > _LARGEST_PROMPT:
            return "", f"is larger than {_LARGEST_PROMPT:,} bytes"
        text = path.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        return "", "is not UTF-8 text"
    except (OSError, ValueError) as error:
        return "", f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    return text, "" if text else "is empty"


def _policy(kept: Mapping[str, Any], source: str, named: str) -> Policy:
    declared = {name: _provider(name, table) for name, table in kept.get("providers", {}).items()}
    return Policy(
        source=source,
        digest=named,
        app=AppSpec(**kept.get("app", {})),
        models=kept.get("models", {}),
        providers={**BUILT_IN, **declared},
        roles=_roles(kept.get("roles", {})),
        environments={
            name: EnvironmentSpec(name, _roles(table.get("roles", {})))
            for name, table in kept.get("environments", {}).items()
        },
        budgets={name: _budget(table) for name, table in kept.get("budgets", {}).items()},
        credentials={name: _credential(name, table) for name, table in kept.get("credentials", {}).items()},
        experiments=experiment.specs(kept, _roles),
        rollouts=rollout.specs(kept, _roles),
        hosts=host_groups.groups(kept),
        terminal=TerminalSpec(**kept.get("terminal", {})),
        alerts=alerts.alerts_spec(kept),
    )


def _provider(name: str, table: Mapping[str, Any]) -> ProviderSpec:
    return ProviderSpec(name, table.get("kind", name), table.get("base_url"), table.get("key_env"))


def _roles(table: Mapping[str, Any]) -> dict[str, RoleSpec]:
    return {role: RoleSpec(model=entry) if isinstance(entry, str) else _role(entry) for role, entry in table.items()}


def _role(entry: Mapping[str, Any]) -> RoleSpec:
    said = dict(entry)
    if "escalate" in said:
        said["escalate"] = tuple(said["escalate"])
    return RoleSpec(**said)


def _budget(table: Mapping[str, Any]) -> BudgetSpec:
    return BudgetSpec(_caps(table), {role: _caps(caps) for role, caps in table.get("roles", {}).items()})


def _caps(table: Mapping[str, Any]) -> Caps:
    caps: dict[str, Any] = {name: table[name] for name in NAMES if name in table}
    caps.update({name: Decimal(amount) for name, amount in caps.items() if name.startswith("usd")})
    return Caps(**caps)


def _credential(name: str, table: Mapping[str, Any]) -> CredentialSpec:
    expires: date | None = table.get("expires")
    if expires is not None and not isinstance(expires, datetime):
        # A day that is named is still good.
        expires = datetime.combine(expires, time.max, UTC)
    return CredentialSpec(name, table.get("env"), expires)

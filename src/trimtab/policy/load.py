"""Reads the policy file. Strict: what it does not know it refuses, with every problem in one error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from trimtab.core.errors import PolicyError
from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.values import digest
from trimtab.policy.problems import KeyPath, Problem, refusal, unknown
from trimtab.policy.shape import FILE, prune
from trimtab.policy.spec import BUILT_IN, DEFAULT_ROLE, KINDS, AppSpec, EnvironmentSpec, Policy, ProviderSpec, RoleSpec

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


def load(path: str | Path) -> Policy:
    """Read a policy file. Raises PolicyError with everything that is wrong with it."""
    source = str(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        hint = "write one with the sections [models] and [roles], or give the path of yours"
        raise PolicyError(f"{source}: no such file", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"{source}: cannot be read: {reason}", hint="check the path and who may read it") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"{source}: line {line}: not UTF-8 text", hint="save the file as UTF-8") from None
    return parse(text, source)


def parse(text: str, source: str = "trimtab.toml") -> Policy:
    """Read a policy from text; `source` is the path that errors name. Raises PolicyError."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "the file is TOML, see https://toml.io"
        raise PolicyError(f"{source}: {_place(str(error), text)}", hint=hint) from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, a list in a list in a list: tomllib leaves these to Python.
        raise PolicyError(f"{source}: a value is too long or too deep to be read", hint="take it out") from None
    found: list[Problem] = []
    kept = prune(FILE, content, (), found)
    found += _dangling(kept, content)
    if found:
        raise refusal(source, found)
    return _policy(kept, source, digest(content))


def check(policy: Policy, roles: Collection[str]) -> None:
    """Refuse entries for roles that no workflow has. `roles` are those of all workflows. Raises PolicyError."""
    known = {*roles, ORCHESTRATOR}
    tables: list[tuple[KeyPath, Collection[str]]] = [((), policy.roles)]
    tables += [(("environments", name), environment.roles) for name, environment in policy.environments.items()]
    found = [
        Problem((*path, "roles", role), *unknown("role", role, known))
        for path, named in tables
        for role in named
        if role not in known and role != DEFAULT_ROLE
    ]
    if found:
        raise refusal(policy.source, found)


def _place(said: str, text: str) -> str:
    match = _POSITION.fullmatch(said)
    if match is None:
        return said
    line = match["line"] or max(1, len(text.splitlines()))
    column = f", column {match['column']}" if match["column"] else ""
    return f"line {line}{column}: {match['what']}"


def _dangling(kept: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Problem]:
    # Names come from the whole content: an entry that is wrong is one problem, not one more for each use of it.
    aliases, providers = _names(content, "models"), {*_names(content, "providers"), *BUILT_IN}
    named: list[tuple[KeyPath, str]] = [(("models", alias), model) for alias, model in kept.get("models", {}).items()]
    named += _role_models((), kept)
    for name, environment in kept.get("environments", {}).items():
        named += _role_models(("environments", name), environment)
    for path, model in named:
        provider, colon, _ = model.partition(":")
        if colon and provider not in providers:
            yield Problem(path, *unknown("provider", provider, providers))
        elif not colon and model not in aliases:
            yield Problem(path, *unknown("model", model, aliases, also='"provider:full-id"'))
    for name in kept.get("providers", {}):
        if name not in BUILT_IN and "kind" not in content["providers"][name]:
            kinds = " or ".join(f'"{kind}"' for kind in KINDS)
            yield Problem(("providers", name), "expected a 'kind'", f"add kind = {kinds}: the API it speaks")


def _names(content: Mapping[str, Any], section: str) -> set[str]:
    table = content.get(section)
    return set(table) if isinstance(table, dict) else set()  # pyright: ignore[reportUnknownArgumentType]


def _role_models(path: KeyPath, holder: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for role, entry in holder.get("roles", {}).items():
        if isinstance(entry, str):
            yield (*path, "roles", role), entry
        elif "model" in entry:
            yield (*path, "roles", role, "model"), entry["model"]


def _policy(kept: Mapping[str, Any], source: str, named: str) -> Policy:
    declared = {name: _provider(name, table) for name, table in kept.get("providers", {}).items()}
    return Policy(
        source=source,
        digest=named,
        app=AppSpec(**kept.get("app", {})),
        models=kept.get("models", {}),
        providers={**BUILT_IN, **declared},
        roles=_roles(kept),
        environments={
            name: EnvironmentSpec(name, _roles(table)) for name, table in kept.get("environments", {}).items()
        },
    )


def _provider(name: str, table: Mapping[str, Any]) -> ProviderSpec:
    return ProviderSpec(name, table.get("kind", name), table.get("base_url"), table.get("key_env"))


def _roles(holder: Mapping[str, Any]) -> dict[str, RoleSpec]:
    entries = holder.get("roles", {}).items()
    return {role: RoleSpec(model=entry) if isinstance(entry, str) else RoleSpec(**entry) for role, entry in entries}

"""The two arms of a replay: the role map of an environment as the policy has it, and the same with changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.app import App
from trimtab.core.errors import UsageError
from trimtab.core.pin import Pin
from trimtab.core.values import Json
from trimtab.policy.assign import Drawn
from trimtab.policy.problems import unknown
from trimtab.policy.spec import DEFAULT_ROLE, Policy, RoleSpec

CONTROL = "control"
CANDIDATE = "candidate"
NAMES = (CONTROL, CANDIDATE)
_HINT = "--set ROLE=MODEL, where MODEL is an alias of the policy or provider:full-id"


@dataclass(frozen=True, slots=True)
class Arm:
    """One role map, as a pin for each workflow."""

    name: str
    pins: Mapping[str, Pin]

    @property
    def models(self) -> dict[str, str]:
        """The full model id of every role, of all workflows together."""
        return {role: choice.model for pin in self.pins.values() for role, choice in sorted(pin.roles.items())}

    @property
    def asked(self) -> list[str]:
        """Every model that may be asked."""
        choices = [choice for pin in self.pins.values() for choice in pin.roles.values()]
        return sorted({model for choice in choices for model in (choice.model, *choice.escalate)})

    def as_json(self) -> dict[str, Json]:
        """What it is, whatever day it is."""
        return {name: pin.roles_json() for name, pin in sorted(self.pins.items())}


def read_changes(policy: Policy, given: Iterable[str], roles: Collection[str]) -> dict[str, RoleSpec]:
    """Read `ROLE=MODEL` as changes of the role map; `default` stands for every role. Raises UsageError."""
    changes: dict[str, RoleSpec] = {}
    for text in given:
        role, _, model = (part.strip() for part in text.partition("="))
        if not role or not model:
            raise UsageError(f"--set is {text!r}, expected ROLE=MODEL", hint=_HINT)
        if role not in {*roles, DEFAULT_ROLE}:
            said, hint = unknown("role", role, {*roles, DEFAULT_ROLE})
            raise UsageError(f"--set {text}: {said}", hint=hint or _HINT)
        if role in changes:
            raise UsageError(f"--set says twice what {role!r} is", hint=_HINT)
        changes[role] = RoleSpec(model=_known(policy, text, model))
    if not changes:
        raise UsageError("nothing is changed: there is no --set", hint=_HINT)
    return changes


def _known(policy: Policy, text: str, model: str) -> str:
    full = policy.model_id(model)
    provider, colon, name = full.partition(":")
    if not colon or not name:
        said, hint = unknown("model", model, policy.models, also='"provider:full-id"')
        raise UsageError(f"--set {text}: {said}", hint=hint or _HINT)
    if provider not in policy.providers:
        said, hint = unknown("provider", provider, policy.providers)
        raise UsageError(f"--set {text}: {said}", hint=hint or f"declare it: [providers.{provider}]")
    return full


def make_arms(app: App, changes: Mapping[str, RoleSpec]) -> tuple[Arm, Arm]:
    """Pin both maps; experiments and rollouts that run in the environment are in neither."""
    drawn = Drawn("replay", CANDIDATE, 0.5, 0.5, changes, ("--set",))
    return _arm(app, CONTROL, []), _arm(app, CANDIDATE, [drawn])


def _arm(app: App, name: str, drawn: list[Drawn]) -> Arm:
    pins: dict[str, Pin] = {w.name: app.pin(w, drawn) for w in _workflows(app)}
    return Arm(name, pins)


def _workflows(app: App) -> list[Any]:
    return list(app.workflows.values())

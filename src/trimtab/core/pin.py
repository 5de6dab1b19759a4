"""The pin: which model plays which role, written with a run when it is accepted and used by it to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from trimtab.core.values import Json

ORCHESTRATOR = "orchestrator"


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """What one role runs on. `model` is `provider:full-id`; `prompt_digest` names the instructions and tools it is shown.

    `escalate` are the models that are asked in turn where the one before gives no usable answer. `instructions` stand in
    place of the role's own (None: it has its own); a run keeps the text, so that it never depends on a file.
    """

    model: str
    max_tokens: int
    effort: str | None = None
    prompt_digest: str = ""
    escalate: tuple[str, ...] = ()
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Pin:
    """The whole role map of one run, how it came to it, and the day whose prices count."""

    roles: Mapping[str, RoleChoice]
    environment: str
    policy_digest: str
    price_date: date
    arm: str | None = None
    propensity: float = 1.0

    def roles_json(self) -> dict[str, Json]:
        """Give the role map as JSON; of instructions only the digest, which names them."""
        return {
            role: {
                "model": c.model,
                "max_tokens": c.max_tokens,
                "effort": c.effort,
                "prompt_digest": c.prompt_digest,
                "escalate": list(c.escalate),
            }
            for role, c in sorted(self.roles.items())
        }

    def as_json(self) -> dict[str, Json]:
        """Give the pin as the engine keeps it."""
        instructions = {role: c.instructions for role, c in sorted(self.roles.items()) if c.instructions is not None}
        return {
            "roles": self.roles_json(),
            **({"instructions": instructions} if instructions else {}),
            "environment": self.environment,
            "policy_digest": self.policy_digest,
            "price_date": self.price_date.isoformat(),
            "arm": self.arm,
            "propensity": self.propensity,
        }


def pin_from_json(saved: Mapping[str, object]) -> Pin:
    """Read back what `Pin.as_json` wrote."""
    roles: Mapping[str, Mapping[str, object]] = saved["roles"]  # pyright: ignore[reportAssignmentType]
    instructions: Mapping[str, str] = saved.get("instructions", {})  # pyright: ignore[reportAssignmentType]
    return Pin(
        roles={
            role: RoleChoice(
                **{**choice, "escalate": tuple(choice.get("escalate", ()))},  # pyright: ignore[reportArgumentType]
                instructions=instructions.get(role),
            )
            for role, choice in roles.items()
        },
        environment=str(saved["environment"]),
        policy_digest=str(saved["policy_digest"]),
        price_date=date.fromisoformat(str(saved["price_date"])),
        arm=saved["arm"],  # pyright: ignore[reportArgumentType]
        propensity=saved["propensity"],  # pyright: ignore[reportArgumentType]
    )

"""Where the policy file gives other models by now than those that a rollout under way began from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trimtab.cli.rollout_words import plain
from trimtab.core.errors import PolicyError
from trimtab.learn.rollout import ACTIVE
from trimtab.rollouts.adopt import edited

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.moves import Standing


def edited_since(policy: Policy, standing: Standing) -> list[str]:
    """Say it of every role that the rollout changes, a sentence each; nothing once it has passed or ended.

    The rollout itself goes on as it was started, but whom it does not reach gets what the file says: the two maps that its gate compares
    are then others than it was started with, and so is the map that an abort brings back.
    """
    if standing.rollout.state not in ACTIVE:
        return []
    found: dict[tuple[str, str, str], list[str]] = {}
    for environment, before in standing.before.items():
        # An environment or a role that is gone from the file has no map to compare.
        with suppress(PolicyError):
            for role, model in edited(policy, environment, before).items():
                found.setdefault((role, before[role], model or "nothing"), []).append(environment)
    return [
        f"{policy.source} by now says {plain(new)} for {role} in {', '.join(there)}, not {plain(old)} as when it was started: "
        f"applications started since give that to runs it does not reach, and an abort brings that; "
        f"say {plain(old)} there until it has ended"
        for (role, old, new), there in found.items()
    ]

"""What a person should know of a change of the default model: what it does not move, and what a lock does to all others."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.terminal.edit_set import Scope

_WAKE = "touch ~/.claude/settings.json"


def notes(
    model: str, scope: Scope, allow: Sequence[str] = (), *, lock: bool = False, watched: bool = True
) -> list[str]:
    """Say what becomes of sessions that run, of sessions that are resumed, and of other models.

    `watched`: the folder of drop-ins was there when sessions started. Measured: one that is made later is not seen by them until
    another of their settings files changes.
    """
    if lock:
        others = [name for name in dict.fromkeys(allow) if name != model]
        besides = f"besides {model} these may run: {', '.join(others)}" if others else f"nothing but {model} may run"
        unseen = f"sessions that run now do not look into a new folder until each user says: {_WAKE}"
        return [
            *(() if watched else (unseen,)),
            f"{besides}; --allow MODEL adds one",
            f"whoever asks for another (--model, ANTHROPIC_MODEL, settings, /model) silently gets {model}",
            "a subagent whose model is not allowed runs its parent's",
            f"sessions that run move to {model} at their next turn, sessions that are resumed when they start",
        ]
    told = ["sessions that run, and sessions that are resumed, keep the model they have: --lock moves them"]
    if scope == "user":
        told.append("whoever says /model in a session writes this same key")
    if scope == "managed":
        told.append(
            "a managed model is a default: --model, ANTHROPIC_MODEL and `env` blocks beat it; --lock does not let them"
        )
    return told

"""The models that a session turns to where its own fails: what says so, and which of them it really tries."""

from __future__ import annotations

from collections.abc import Mapping

from trimtab.terminal.agents import is_on
from trimtab.terminal.allow import Lists
from trimtab.terminal.layers import Layers
from trimtab.terminal.names import plain

_MOST = 3


def fallbacks(
    layers: Layers, given: str | None, model: str, lists: Lists, env: Mapping[str, str], *, default: str | None
) -> tuple[str, ...]:
    """Give the models that are tried in the place of `model`, in order; `given` is --fallback-model.

    Lists of several files do not add up: the strongest counts. What may not run is left out, then all behind the third, then the
    model itself.
    """
    # An older version does not read this variable.
    if not lists.names.known.old and is_on(env, "CLAUDE_CODE_NO_MODEL_FALLBACK"):
        return ()
    held: object = given.split(",") if given is not None else layers.strongest("fallbackModel")
    asked = [str(name).strip() for name in held] if isinstance(held, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    full = [default or "" if plain(name).lower() == "default" else lists.names.sent(name) for name in asked if name]
    first = [*dict.fromkeys(name for name in full if name and lists.allows(name.lower()))][:_MOST]
    return tuple(lists.names.overridden(name) for name in first if name != model)

"""Which model is meant: an alias becomes the full id it means, and a name that nobody knows is refused.

The terminal sends whatever it is given. With a fallback model a misspelt name is no error there: all traffic quietly goes to the
fallback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trimtab.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][\w.:/@-]*(\[1m\])?")
_PROVIDER = "anthropic:"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The full id that is written, and what a person should know of it."""

    model: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of names: `aliases` of terminal `version`, whether an id is `known`, and known ids `near` one that is not."""

    aliases: Mapping[str, str]
    version: str
    known: Callable[[str], bool]
    near: Callable[[str], Sequence[str]]


def choose(asked: str, names: Names, *, unknown_ok: bool = False) -> Chosen:
    """Give the full id for what somebody asked for. Raises UsageError where it is no id that anybody knows."""
    name = asked.strip().removeprefix(_PROVIDER)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{asked!r} is no name of a model", hint="give a full id, such as claude-sonnet-4-6")
    bare, long = (name[:-4], name[-4:]) if name.endswith("[1m]") else (name, "")
    means = names.aliases.get(name.lower()) or names.aliases.get(bare.lower())
    if means is not None:
        full = means if means.endswith("[1m]") or not long else means + long
        return Chosen(full, (_expanded(name, full, names.version),))
    if names.known(bare):
        return Chosen(name)
    if unknown_ok:
        return Chosen(name, (f"{name!r} is in no list of models: the terminal sends it as it is",))
    near = [*names.near(bare)]
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    hint = f"{meant}--unknown-ok writes it all the same"
    raise UsageError(f"{name!r} is in no list of models", hint=hint)


def _expanded(name: str, full: str, version: str) -> str:
    two = ", and another one while it plans" if name.lower().startswith(("opusplan", "haiku")) else ""
    return f"{name!r} means {full} in Claude Code {version}{two}, and others in other versions: the full id is written"

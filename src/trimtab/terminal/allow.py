"""Allow and deny lists: which models may run, and what runs in place of one that may not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.terminal.layers import Layers
from trimtab.terminal.names import ALIASES, FAMILIES, Names, denies, family_of, matches, plain, undated
from trimtab.terminal.settings import Scope

_OPEN: tuple[Scope, ...] = ("user", "project", "local", "flag")
# Aliases that are no family of their own.
COMPOSED = frozenset({"best", "opusplan"})
_SHORT = re.compile(r"[a-z]+-\d")


@dataclass(frozen=True, slots=True)
class Lists:
    """What is allowed (None: everything) and denied.

    enforced: the default, too, must be on the list; where it is not, the first entry takes its place.
    flagged:  `enforceAvailableModels` is set, if only without a list it could hold for.
    exact:    the list holds for the default, too, and steps down from family to family.
    """

    names: Names
    allowed: Sequence[str] | None = None
    denied: Sequence[str] = ()
    enforced: bool = False
    exact: bool = False
    flagged: bool = False

    def allows(self, model: str) -> bool:
        """Whether a full id may run."""
        if self.denies(model):
            return False
        if self.allowed is None:
            return True
        return any(
            matches(entry, model, self.allowed, None if self.names.known.old else self.names, exact=self.exact)
            for entry in self.allowed
        )

    def holds(self, name: str) -> bool:
        """Whether a name may be asked for: by what it is sent as, or as it stands on the list itself."""
        listed = {plain(entry).lower() for entry in self.allowed or ()} & COMPOSED
        sent = self.names.sent(name)
        return self.allows(sent) or (plain(name).lower() in listed and not self.denies(sent))

    def denies(self, model: str) -> bool:
        """Whether a full id is denied."""
        return any(denies(entry, model) for entry in self.denied)

    def newest(self, family: str) -> str | None:
        """Give the newest model of a family that may run."""
        listed = (plain(entry).lower() for entry in self.allowed or ())
        full = [
            entry if entry.startswith("claude-") else f"claude-{entry}"
            for entry in listed
            if family in entry and entry not in ALIASES
        ]
        known = self.names.known.newest.get(family, ())
        others = [entry for entry in full if entry not in known and entry != f"claude-{family}"]
        return next((model for model in (*known, *others) if self.allows(model)), None)

    def default(self, built_in: str) -> str | None:
        """Give what runs where nothing is asked for, or only what may not run; None: the terminal does not start."""
        if self.enforced and self.allowed and not self.allows(built_in):
            built_in = self._first() or built_in
        holds = self.exact and bool(self.allowed)
        if not self.denies(built_in) and (not holds or self.allows(built_in)):
            return built_in
        at = family_of(built_in)
        for family in FAMILIES[FAMILIES.index(at) if at in FAMILIES else 0 :]:
            current = self.names.family(family)
            found = current if self.allows(current) else self.newest(family)
            if found is not None:
                return found
        if (first := self._first()) is not None and self.allows(first):
            return first
        return None if self.denied else built_in

    def instead(self, name: str) -> str | None:
        """Give what an alias steps down to where its own model may not run."""
        low = plain(name).lower()
        return self.newest(low) if low in {*FAMILIES, "fable"} else None

    def _first(self) -> str | None:
        for entry in self.allowed or ():
            low = plain(entry).lower()
            if low == "default" or not low:
                continue
            if low in ALIASES:
                full = self.names.known.families.get(low) or self.names.sent(low)
            else:
                full = f"claude-{low}" if _SHORT.match(low) and not low.startswith("claude-") else low
            if not self._is_form_of_known(full) and (self.allows(full) or low in COMPOSED) and not self.denies(full):
                return self.names.sent(full)
        return None

    def _is_form_of_known(self, model: str) -> bool:
        """Whether an id without a date goes on behind an id this version knows: the version takes it for that one."""
        known = {undated(full) for family in self.names.known.newest.values() for full in family}
        if model in known or undated(model) != model:
            return False
        if model in {"claude-opus-4", "claude-sonnet-4"}:
            return True
        return any(model.startswith(f"{full}-") for full in known)


def read_lists(layers: Layers, names: Names) -> Lists:
    """Put the lists of all layers together: managed ones take the place of all others, which add up."""
    managed: tuple[Scope, ...] = ("managed",)
    theirs = layers.texts("availableModels", managed)
    allowed = theirs if theirs is not None else layers.texts("availableModels", _OPEN)
    # An empty managed file is none; where a key of it cannot be read, a newer terminal counts it.
    managed_files = [f for f in layers.of("managed") if f.values or f.dropped or (f.problems and names.known.closes)]
    if not names.known.closes and managed_files and all(file.dropped for file in managed_files):
        # Managed settings that cannot be read leave an older terminal with its default alone, whatever is asked for.
        return Lists(names, ())
    if managed_files:
        held = layers.last("managed", "enforceAvailableModels")
        enforced = theirs is not None and held is not None and held[1] is True
    else:
        enforced = layers.strongest("enforceAvailableModels") is True
    match = layers.last("managed", "availableModelsMatch")
    reads = names.known.managed_lists
    return Lists(
        names,
        allowed,
        (layers.texts("deniedModels", managed) or ()) if reads else (),
        enforced,
        reads and theirs is not None and match is not None and match[1] == "exact",
        layers.strongest("enforceAvailableModels") is True,
    )

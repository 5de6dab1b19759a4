"""What a name of a model stands for, and which names a list allows: aliases, families, forms of an id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trimtab.terminal.versions import Known

FAMILIES = ("opus", "sonnet", "haiku")
ALIASES = ("opus", "sonnet", "haiku", "fable", "best", "opusplan")
_BIG = re.compile(r"(\[[12]m\])+$", re.IGNORECASE)
_LONG = re.compile(r"\[1m\]$", re.IGNORECASE)
_DATE = re.compile(r"[-@]\d{8}$")
_OFF = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Names:
    """Names as one version reads them, under the variables that repin them."""

    known: Known
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])

    def family(self, name: str) -> str:
        """Give the full id that a family's alias stands for here."""
        repinned = self._pinned(name)
        # Taken as it is: neither an alias nor an old id in such a variable is looked at again.
        if repinned:
            return plain(repinned)
        full = self.known.families[name]
        # An older version overrides what an alias stands for, and nothing else.
        return self.overrides.get(full, full) if self.known.old else full

    def overridden(self, model: str) -> str:
        """Give what `modelOverrides` puts in the place of an id that this version knows."""
        knows = not self.known.old and any(model in family for family in self.known.newest.values())
        return self.overrides.get(model, model) if knows else model

    @property
    def pinned(self) -> str:
        """Name the first variable that repins a family's alias; empty where none does."""
        return next((variable(family) for family in (*FAMILIES, "fable") if self._pinned(family)), "")

    def _pinned(self, name: str) -> str:
        return self.env.get(variable(name), "").strip()

    def sent(self, name: str, *, plan: bool = False) -> str:  # noqa: PLR0911 - one for each alias
        """Give what stands in the request for a name: an alias expanded, an old id renamed, anything else as it is."""
        bare = plain(name)
        # One mark of the long context may stand behind an alias; behind any other it is none any more, and is sent as it is.
        low = bare.lower() if bare == _LONG.sub("", name.strip()).strip() else ""
        if plan and low == "opusplan":
            return self.family("opus")
        if plan and low == "haiku":
            return self.family("sonnet")
        match low:
            case "best":
                return self.family("fable" if self.known.old and self._pinned("fable") else "opus")
            case "opusplan":
                return self.family("sonnet")
            case "opus" | "sonnet" | "haiku" | "fable":
                return self.family(low)
            case _ if low in self.known.renamed and self.renames:
                return self.family("opus")
            case _:
                return bare.lower() if bare.lower().startswith("claude-") and not self.known.old else bare

    def is_alias(self, name: str) -> bool:
        """Whether a name means another id on another day."""
        return plain(name).lower() in ALIASES

    @property
    def renames(self) -> bool:
        """Whether old ids are renamed."""
        return self.env.get("CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP", "").strip().lower() in _OFF


def variable(family: str) -> str:
    """Name the variable that repins a family's alias."""
    return f"ANTHROPIC_DEFAULT_{family.upper()}_MODEL"


def plain(name: str) -> str:
    """Take spaces and the mark of the long context off a name."""
    return _BIG.sub("", name.strip()).strip()


def family_of(model: str) -> str | None:
    """Give the family of a full id."""
    low = model.lower()
    return next((name for name in (*FAMILIES, "fable") if name in low), None)


def undated(model: str) -> str:
    """Take the date off an id."""
    return _DATE.sub("", model)


def matches(
    entry: str, model: str, entries: Sequence[str] = (), names: Names | None = None, *, exact: bool = False
) -> bool:
    """Whether an entry of a list means a model (a full id as it would be sent); with `names`, also what the entry is sent as."""
    low = plain(entry).lower()
    if not low:
        return False
    if low in {*FAMILIES, "fable"}:
        return family_of(model) == low and model.startswith("claude-") and not _narrowed(low, entries)
    full = low if low.startswith("claude-") else f"claude-{low}"
    if model in {low, full} or (names is not None and model == names.sent(low)):
        return True
    # A version names its dated forms, and a prefix that ends where a part ends names what is under it.
    # In an exact list a version means itself and its dated forms.
    if exact and any(map(str.isdigit, full)):
        return undated(model) == full
    return model.startswith(f"{full}-") and not _DATE.search(full)


def denies(entry: str, model: str) -> bool:
    """Whether an entry of a deny list means a model: a family by its alias alone, or a version with all its forms."""
    low = plain(entry).lower()
    if low in {*FAMILIES, "fable"}:
        return model.startswith(("claude-", f"{low}-")) and family_of(model) == low
    full = undated(low if low.startswith("claude-") else f"claude-{low}")
    asked = undated(model)
    return asked in {full, low} or (any(map(str.isdigit, full)) and asked.startswith(f"{full}-"))


def _narrowed(family: str, entries: Sequence[str]) -> bool:
    """Whether another entry names a version of the family: then the family alone means nothing more than that."""
    others = [plain(entry).lower() for entry in entries]
    return any(other != family and family in other and other not in {*ALIASES, f"claude-{family}"} for other in others)

"""What somebody who looked found wrong, said so that a person can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Weight: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    what:   what is the matter, in one sentence.
    where:  the key path, file or host it was found at; empty where it is nowhere in particular.
    why:    what it leads to, or how it is known.
    mend:   the next thing to do, a command where there is one.
    weight: an error does harm now, a warning will, a note is only worth knowing.
    """

    what: str
    where: str = ""
    why: str = ""
    mend: str = ""
    weight: Weight = "warning"

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.weight == "note"


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check of a host came to: its name, one line of how things are, and what is wrong."""

    name: str
    said: str
    findings: tuple[Finding, ...] = ()

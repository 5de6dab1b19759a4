"""Notes on rows that could not be used as they are, told in one sentence for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_SHOWN = 5


@dataclass(slots=True)
class Noted:
    """What was wrong with rows: by what, the first few places with their reasons, and the number of all."""

    found: dict[tuple[str, str], tuple[list[str], int]] = field(
        default_factory=dict[tuple[str, str], tuple[list[str], int]]
    )

    def note(self, what: str, line: int, why: str = "", arm: str = "") -> None:
        """Note a row of an arm ("" where that is not known): what follows "3 rows", its line, and why."""
        places, count = self.found.setdefault((what, arm), ([], 0))
        if count < _SHOWN:
            places.append(f"line {line}{f': {why}' if why else ''}")
        self.found[what, arm] = (places, count + 1)

    def warnings(self, arms: Sequence[str]) -> list[str]:
        """One sentence for each kind, of rows in these arms or in none."""
        kinds: dict[str, tuple[list[str], int]] = {}
        for (what, arm), (places, count) in self.found.items():
            if not arm or arm in arms:
                before, seen = kinds.get(what, ([], 0))
                kinds[what] = ([*before, *places][:_SHOWN], seen + count)
        return [
            f"{count} {'row' if count == 1 else 'rows'} {what} ({'; '.join(places)}"
            f"{f'; and {count - len(places)} more' if count > len(places) else ''})"
            for what, (places, count) in kinds.items()
        ]

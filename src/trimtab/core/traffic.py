"""What runs used: the tokens that other prices can be put on."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.core.usage import Usage


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls to one model whose prompts fall between the same two lengths, added up.

    run_id, role: whose calls they are (empty: they are not told apart).
    model:   as it was requested, `provider:full-id`.
    over:    the length that every prompt among them exceeds, one of those that were asked for (0: none of them).
    longest: tokens of the longest prompt among them.
    """

    run_id: str
    role: str
    model: str
    over: int
    calls: int
    usage: Usage
    longest: int
    simulated: bool

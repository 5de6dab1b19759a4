"""Chance that does not depend on order: each draw is a hash of what it is drawn for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_SCALE = 2.0**-64


@dataclass(frozen=True, slots=True)
class Dice:
    """Draws for one request: the same words in `key` give the same draws in any order, on any machine."""

    key: tuple[str | int, ...]

    def roll(self, kind: str) -> float:
        """Give a number in (0, 1); each `kind` has its own."""
        return (int.from_bytes(self._hash(kind), "big") + 0.5) * _SCALE

    def hits(self, kind: str, rate: float) -> bool:
        """Say whether something that happens at `rate` happens here."""
        return rate > 0 and self.roll(kind) < rate

    def pick(self, kind: str, options: Sequence[T]) -> T:
        """Choose one of `options`, each as likely."""
        return options[int(self.roll(kind) * len(options)) % len(options)]

    def token(self, kind: str) -> str:
        """Give 16 hexadecimal digits to name something with."""
        return self._hash(kind).hex()

    def _hash(self, kind: str) -> bytes:
        text = "\x1f".join(map(str, (*self.key, kind)))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()

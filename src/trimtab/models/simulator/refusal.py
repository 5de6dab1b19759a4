"""Turns what pydantic finds wrong with a user's file into one error that names the place and the next thing to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from pydantic import ValidationError

from trimtab.core.errors import UsageError

DOCS = "docs/reference/answer-book.md"

_UNKNOWN = frozenset({"unexpected_keyword_argument", "extra_forbidden", "literal_error"})
_MISSING = "missing"
_SHOWN = 60


def refusal(error: ValidationError, where: str, above: str, known: Collection[str]) -> UsageError:
    """Say the first fault: `where` is the file (and line), `above` the key path it starts at, `known` every key there is."""
    # An unknown key comes first: a key that seems to be missing is often the one that is misspelt.
    fault = min(error.errors(include_url=False), key=lambda f: f["type"] not in _UNKNOWN)
    steps = [str(step) for step in fault["loc"] if step != "[key]"]
    key = ".".join([above, *steps] if above else steps)
    if fault["type"] in _UNKNOWN:
        return UsageError(f"{where}: unknown key {key!r}", hint=_suggestion(steps[-1], known))
    if fault["type"] == _MISSING:
        return UsageError(f"{where}: key {key!r} is missing", hint=f"add {steps[-1]!r}; {DOCS} lists every key")
    if fault["type"] == "value_error":
        said = fault["msg"].removeprefix("Value error, ")
        return UsageError(f"{where}: {key + ': ' if key else ''}{said}", hint=f"{DOCS} lists every key")
    return UsageError(f"{where}: {key!r}: {fault['msg']}, got {_short(fault['input'])}", hint=f"{DOCS} lists every key")


def _suggestion(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

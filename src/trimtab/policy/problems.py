"""What is wrong with a policy file, said so that a person can mend it: every problem at once, each with its key path."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from trimtab.core.errors import PolicyError

# A number is a place in a list, from 1.
KeyPath: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60
_LARGEST_SHOWN = 10**18

# Keys of other tools, or of no tool, that people write; spelled without case and punctuation.
_ELSEWHERE = {
    "agents": "did you mean the section [roles]?",
    "apikey": "a key never stands in this file; name the environment variable that holds it with 'key_env'",
    "apikeyenv": "did you mean 'key_env'?",
    "defaultmodel": "did you mean 'default' under [roles]?",
    "defaultrole": "did you mean 'default' under [roles]?",
    "dollars": "did you mean 'usd_per_day' or 'usd_per_run'?",
    "endpoint": "did you mean 'base_url'?",
    "env": "did you mean the section [environments]?",
    "errorrate": "did you mean 'decomposition_success', or 'retry_rate'?",
    "fallback": "did you mean 'escalate'?",
    "fallbackmodel": "name what a role may escalate to with 'escalate' in its table under [roles]",
    "instructions": "did you mean 'prompt', the file they stand in?",
    "latency": "did you mean 'latency_p95'?",
    "maxbudgetusd": "did you mean 'usd_per_run'?",
    "maxoutputtokens": "did you mean 'max_tokens'?",
    "maxturns": "did you mean 'turns_per_run'?",
    "modelid": "did you mean 'model'?",
    "modelname": "did you mean 'model'?",
    "reasoningeffort": "did you mean 'effort'?",
    "specialists": "did you mean the section [roles]?",
    "split": "did you mean 'weight'?",
    "successrate": "did you mean 'decomposition_success'?",
    "systemprompt": "did you mean 'prompt'?",
    "tokens": "did you mean 'tokens_per_day' or 'tokens_per_run'?",
    "traffic": "did you mean 'weight'?",
    "turns": "did you mean 'turns_per_day' or 'turns_per_run'?",
    "url": "did you mean 'base_url'?",
    "usd": "did you mean 'usd_per_day' or 'usd_per_run'?",
    "variants": "did you mean 'arms'?",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it stands (an empty path: the whole file), and what to do."""

    path: KeyPath
    text: str
    hint: str = ""


def refusal(source: str, problems: Sequence[Problem]) -> PolicyError:
    """Make one error of all problems, each on a line with its hint below it."""
    lines = [": ".join(part for part in (source, dotted(p.path), p.text) if part) for p in problems]
    hints = [f"\nhint: {p.hint}" if p.hint else "" for p in problems]
    # The error prints its own hint last, so the last problem's hint is left to it.
    message = "\n".join(line + hint for line, hint in zip(lines, [*hints[:-1], ""], strict=True))
    return PolicyError(message, hint=problems[-1].hint)


def dotted(path: KeyPath) -> str:
    """Write a key path as TOML does, and a place in a list in brackets: `stages[1]` is the first."""
    parts = (
        f"[{key}]" if isinstance(key, int) else f".{key if _BARE.fullmatch(key) else _quoted(key)}" for key in path
    )
    return "".join(parts).removeprefix(".")


def unknown(what: str, name: str, choices: Collection[str], *, also: str = "") -> tuple[str, str]:
    """Say that `name` is none of `choices` (nor what `also` describes), and which of them it may have meant."""
    expected = ", ".join(map(repr, sorted(choices)))
    one_of = f"one of {expected}" if len(choices) > 1 else expected
    return f"unknown {what} {_cut(name)}, expected {' or '.join(filter(None, (one_of, also)))}", _meant(name, choices)


def shown(value: object) -> str:
    """Write a value of the file as an error may show it: short, and of any type TOML has."""
    match value:
        case bool():
            return str(value).lower()
        case int() if abs(value) >= _LARGEST_SHOWN:
            return "a number that large"
        case int() | float() | Decimal():
            return str(value)
        case str():
            return _cut(value)
        case list() | dict():
            return "a table" if isinstance(value, dict) else "a list"
        case _:
            return "a date or time"


def _meant(name: str, choices: Collection[str]) -> str:
    # Imported here: only a file with a mistake in it pays for it.
    from difflib import get_close_matches

    plain = {_plain(choice): choice for choice in choices}
    if _plain(name) not in plain and _plain(name) in _ELSEWHERE:
        return _ELSEWHERE[_plain(name)]
    close = get_close_matches(_plain(name), plain, n=1)
    return f"did you mean {plain[close[0]]!r}?" if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower()) or name


def _cut(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")


def _quoted(key: str) -> str:
    return f'"{_cut(key)[1:-1]}"'

"""What a secret looks like: by the name it is given, and by how its value begins. Values are looked at and never given out."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMES = re.compile(
    r"(^|_)(API_?KEY|AUTH_?TOKEN|ACCESS_?(KEY|TOKEN)|SECRET(_?KEY|_ACCESS_KEY)?|PRIVATE_?KEY|SESSION_?TOKEN|TOKEN|PASSWORD|PASSWD|"
    r"PASSPHRASE|CREDENTIALS?|AUTHORIZATION|BEARER|PAT|PGPASSWORD|KEY)$|(^|_)BEARER_TOKEN_"
)
# A plain `key` is of anything; these say that it is one that opens something.
_ONLY_KEY = re.compile(r"(^|_)KEY$")
_KEY_OF = re.compile(
    r"(API|ACCESS|SECRET|PRIVATE|SERVICE|ACCOUNT|MASTER|ENCRYPTION|SIGNING|LICENSE|DEPLOY|ANTHROPIC|OPENAI)"
)
_SHAPES = (
    ("a key of Anthropic", r"sk-ant-[A-Za-z0-9_-]{16,}"),
    ("a key of a model provider", r"sk-(?:proj-|svcacct-|admin-|or-v1-)[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9]{20,}"),
    ("a key of a payment service", r"[sr]k_(?:live|test)_[A-Za-z0-9]{12,}|whsec_[A-Za-z0-9]{16,}"),
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
    ("a GitLab token", r"glpat-[A-Za-z0-9_-]{16,}"),
    ("an AWS key", r"(?:AKIA|ASIA)[A-Z0-9]{16}"),
    ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{16,}"),
    ("a Google key", r"AIza[A-Za-z0-9_-]{35}"),
    ("a Hugging Face token", r"hf_[A-Za-z0-9]{20,}"),
    ("a package token", r"npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}"),
    ("a signed token", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{8,}"),
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    ("a password in an address", r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]{1,64}:(?![$<{])[^\s/@'\"]{3,}@"),
)
_SHAPE = tuple((kind, re.compile(rf"(?<![A-Za-z0-9]){pattern}")) for kind, pattern in _SHAPES)
# What stands in for a secret: a reference to a variable or a program, nothing, or a word for "yours".
_STAND_IN = re.compile(
    r"\$|`|<|\{\{|%\w|op://|vault:|keyring|env:|\*{3}|\.{3}$|x{3,}|(your|change|replace|dummy|example|placeholder|todo|fake|test$|none$|null$|"
    r"true$|false$|redacted|secret$|password$|token$)",
    re.IGNORECASE,
)
_SHORTEST = 6
_PLAIN_VALUE = re.compile(r"[\d.,]+|.*\s.*|[~.]?/\S*|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def names_secret(name: str) -> bool:
    """Whether a variable or key of this name holds a secret."""
    upper = re.sub(r"[^A-Z0-9]+", "_", _WORDS.sub("_", name).upper()).strip("_")
    if not _NAMES.search(upper):
        return False
    return not _ONLY_KEY.search(upper) or bool(_KEY_OF.search(upper))


def shape_of(value: str) -> str:
    """Say what kind of secret stands in a text, by how it is written; empty: none that is known."""
    return next((kind for kind, shape in _SHAPE if shape.search(value)), "")


def is_secret(name: str, value: str) -> str:
    """Say why a value is a secret: what it looks like, or that its name says so; empty: it is none, or only stands for one."""
    value = value.strip().strip("'\"")
    if kind := shape_of(value):
        return kind
    bare = value.partition(" ")[2].strip() if value.lower().startswith(("bearer ", "basic ", "token ")) else value
    named = (
        names_secret(name) and len(bare) >= _SHORTEST and not _STAND_IN.match(bare) and not _PLAIN_VALUE.fullmatch(bare)
    )
    return "by its name" if named else ""


_PAIR = re.compile(r'("(?:[^"\\\n]|\\.)*")(\s*:\s*)("(?:[^"\\\n]|\\.)*")')


def mask(text: str) -> str:
    """Hide what may be a secret in the text of a settings file, so that it may be printed."""
    hidden: Callable[[re.Match[str]], str] = lambda m: f'{m[1]}{m[2]}"***"' if _is_hidden(m) else m[0]  # noqa: E731
    text = _PAIR.sub(hidden, text)
    for _, shape in _SHAPE:
        text = shape.sub("***", text)
    return text


def _is_hidden(pair: re.Match[str]) -> bool:
    name, value = pair[1][1:-1], pair[3][1:-1]
    # Here a secret too many is hidden rather than one too few: a name is enough.
    return bool(value) and (names_secret(name) or bool(shape_of(value)))

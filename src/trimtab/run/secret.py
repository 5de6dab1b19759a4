"""What keys, tokens and passwords look like, and the secrets that this application knows: no message carries them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

# Characters that nobody sees, which break a word for a search and not for a reader.
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
UNSEEN = re.compile(f"[{_UNSEEN}]")

# A shorter one would be found in ordinary words.
_SHORTEST = 8
_DECODED = 2

_KINDS: Sequence[tuple[str, str]] = (
    ("a private key", r"-\s*begin[a-z0-9\s]{0,40}private\s*key"),
    ("a key of a model provider", r"sk-(?:ant|proj|admin|svcacct|or)-[a-z0-9_-]{8,}|sk-(?=[a-z]*\d)[a-z0-9]{20,}"),
    ("a key of a payment service", r"[spr]k_(?:live|test)_[a-z0-9]{8,}|whsec_[a-z0-9]{16,}"),
    ("an AWS key", r"(?:akia|asia)[a-z0-9]{16}(?![a-z0-9])"),
    ("a GitHub token", r"gh[pousr]_[a-z0-9]{16,}|github_pat_[a-z0-9_]{16,}|glpat-[a-z0-9_-]{16,}"),
    ("a Slack token", r"xox[abeoprs]-[a-z0-9-]{8,}|xapp-[a-z0-9-]{16,}"),
    ("a Google key", r"aiza[a-z0-9_-]{35}"),
    ("a signed token", r"eyj[a-z0-9_-]{8,}\.eyj[a-z0-9_-]{8,}\.[a-z0-9_-]{4,}"),
    ("a bearer token", r"bearer\s+(?=[a-z._~+/-]*\d)[a-z0-9._~+/-]{16,}"),
    ("a key", r"(?:sk|pk|rk|ghp|xox[abp])[-_][a-z0-9_-]{8,}"),
    ("a password", r"(?:pass(?:word|wort|phrase|code)|passwd|pwd|contraseña|senha|mot de passe)\s*[:=]\s*\S"),
    ("a key", r"(?:api|access|secret|client|auth|private)[ _-]?(?:key|token|secret)s?\s*[:=]\s*\S"),
    ("a secret", r"secret\s*[:=]\s*\S"),
)
_WHOLE = tuple((kind, re.compile(rf"(?<![a-z0-9]){pattern}", re.IGNORECASE)) for kind, pattern in _KINDS)

# The same with spaces put in. Only prefixes that begin no sentence, and bodies that are no words.
_PREFIXES = (
    *("sk-ant-", "sk-proj-", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "akia", "aiza", "ghp_", "gho_"),
    *("ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
)
_BODY = 16
_CHANGES = 3
_APART = "|".join(r"\s*".join(map(re.escape, prefix)) for prefix in _PREFIXES)
_SPACED = re.compile(rf"(?<![a-z0-9])(?:{_APART})((?:\s*[a-z0-9_-]){{{_BODY}}})", re.IGNORECASE)
_CHANGE = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,}")


def secret_in(text: str, known: Sequence[str]) -> str:
    """Say what secret is in a text, plain or lightly disguised: one of `known`, or what looks like one; empty: none."""
    return own_in(text, known) or alike_in(text)


def own_in(text: str, known: Sequence[str]) -> str:
    """Say whether one of the secrets `known` is in a text."""
    forms = [form.casefold() for secret in known if len(secret.strip()) >= _SHORTEST for form in _forms(secret.strip())]
    squeezed = [_SPACE.sub("", shown).casefold() for shown in _shown(text)] if forms else []
    return "a secret of this application" if any(form in shown for shown in squeezed for form in forms) else ""


def alike_in(text: str) -> str:
    """Say what in a text looks like a secret, whosever it is."""
    return next((kind for shown in _shown(text) if (kind := _alike(shown))), "")


def _alike(text: str) -> str:
    if any(map(_no_words, (match[1] for match in _SPACED.finditer(text)))):
        return "a key"
    return next((kind for kind, pattern in _WHOLE if pattern.search(text)), "")


def _no_words(body: str) -> bool:
    # Letters and digits by turns, or spaced letter by letter: not how anybody writes words.
    letters = _SPACE.sub("", body)
    return len(_CHANGE.findall(letters)) >= _CHANGES or len(body) - len(letters) >= _BODY // 2


def _forms(secret: str) -> Iterator[str]:
    plain = secret.encode()
    yield _SPACE.sub("", secret)
    yield plain.hex()
    for shift in range(3):
        # Where the secret stands inside what was encoded decides which characters are its own.
        encoded = base64.b64encode(b"\0" * shift + plain).decode()
        own = encoded[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]
        yield own
        yield own.translate(str.maketrans("+/", "-_"))


def _shown(text: str) -> Iterator[str]:
    # The text itself; as a browser reads it; and what of it was encoded to pass for noise.
    seen = UNSEEN.sub("", text)
    yield seen
    for _ in range(_DECODED):
        if "%" not in seen or (read := unquote(seen)) == seen:
            break
        seen = UNSEEN.sub("", read)
        yield seen
    hidden = "\n".join(filter(None, map(_decoded, _ENCODED.findall(seen))))
    if hidden:
        yield hidden


def _decoded(token: str) -> str:
    try:
        given = base64.b64decode(token.translate(str.maketrans("-_", "+/")) + "=" * (-len(token) % 4), validate=True)
        return given.decode("ascii")
    except (binascii.Error, ValueError):
        return ""

"""Who may see which field, enforced on every message and every reference, outside any model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from .contract import Contract

# What keys and tokens look like, wherever they turn up.
_CREDENTIAL = re.compile(
    r"(?i)\b(?:sk|pk|ghp|xox[abp]|rk)[-_][A-Za-z0-9_-]{8,}|\b(?:api[ _-]?(?:key|token)|password|secret)\s*[:=]\s*\S+"
)

# What a request calls its own fields, as the contract names them.
_REQUEST = {"text": "request_text", "sender": "contact_on_file"}


def may_see(contract: Contract, field: str, reader: str) -> bool:
    """Whether a reader may see a field. Names nobody declared are for the operator alone."""
    roles = contract.visibility.get(field)
    return reader == "operator" if roles is None else reader in roles


def open_to(contract: Contract, field: str, reader: str) -> bool:
    """Whether a reader may see a value found under this name, which may be one inside a declared field: those follow it."""
    declared = _REQUEST.get(field, field)
    return declared not in contract.visibility or may_see(contract, declared, reader)


def closed(contract: Contract, fields: Mapping[str, Any], reader: str) -> list[str]:
    """Name the fields of a message that its reader may not see, those inside values included."""
    found = [field for field in fields if not may_see(contract, field, reader)]
    inside = [f for value in fields.values() for f in named(value) if f in contract.visibility]
    return sorted({*found, *(f for f in inside if not may_see(contract, f, reader))})


def counts_as(contract: Contract, field: str, reader: str) -> frozenset[str]:
    """Give the fields that tell this reader as much as `field` does."""
    also = contract.reveal_also.get(field, {})
    return frozenset({field, *also.get("*", ()), *also.get(reader, ())})


def texts(value: Any) -> Iterator[str]:
    """Every piece of text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from texts(inner)


def unquoted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the request as it came, which the operator alone reads: what stands in it is the sender's, not ours."""
    return {name: value for name, value in fields.items() if name != "request_text"}


def credential_in(words: Iterable[str]) -> bool:
    """Whether anything that looks like a credential is in these texts."""
    return any(_CREDENTIAL.search(text) for text in words)


def figure_in(words: Iterable[str], figures: Iterable[Decimal]) -> bool:
    """Whether one of these amounts is written in these texts, as 840.75, 840,75, 1,120.00 or 840 for a whole one."""
    spellings = {form for figure in figures if figure > 0 for form in _spellings(figure)}
    pattern = "|".join(re.escape(form) for form in sorted(spellings, key=len, reverse=True))
    search = re.compile(rf"(?<![\d.,-])(?:{pattern})(?![\d-]|[.,:]\d)") if spellings else None
    return search is not None and any(search.search(text) for text in words)


def _spellings(figure: Decimal) -> set[str]:
    forms = {f"{figure:.2f}", f"{figure:,.2f}", f"{figure:.2f}".replace(".", ",")}
    if figure == figure.to_integral_value():
        forms |= {f"{figure:.0f}", f"{figure:,.0f}"}
    return forms


def named(value: Any) -> Iterator[str]:
    """Every field name inside a value, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, Any]", value).items():
            yield key
            yield from named(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from named(inner)

"""What went wrong with a call, classed: worth another try, hopeless, or answered uselessly (`core.messages.ModelFault`)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from trimtab.core.messages import ModelFault
from trimtab.models.strict import BrokenBodyError, RedirectedError

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelHTTPError

Kind: TypeAlias = Literal["transient", "permanent", "malformed"]

# A number in `retry-after` beyond this says nothing, and would overflow the sums made with it.
_LONGEST_WAIT = timedelta(days=365)
_SHORT = 240
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|api)-[\w*-]{6,}", re.ASCII)

_BY_STATUS: Mapping[int, tuple[Kind, str]] = {
    400: ("permanent", "bad_request"),
    401: ("permanent", "unauthenticated"),
    402: ("permanent", "quota"),
    403: ("permanent", "forbidden"),
    404: ("permanent", "not_found"),
    408: ("transient", "timeout"),
    409: ("transient", "conflict"),
    413: ("permanent", "too_large"),
    429: ("transient", "rate_limited"),
    529: ("transient", "overloaded"),
}


def fault_from(error: Exception, where: str, key: str = "", *, sent: bool = False) -> ModelFault:
    """Class what a request raised. `where` names the provider and its address; `key` never appears in the message.

    `sent`: the request may have gone out, so what no provider's SDK raises on purpose is about the answer.
    """
    from pydantic_ai.exceptions import ModelHTTPError

    if isinstance(error, ModelHTTPError):
        return _from_status(error, where, key)
    kind, error_class, text = _class_of(_ours(error) or error, sent=sent)
    return ModelFault(kind, error_class, clean(f"{where}: {text}", key))


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read how long the provider asks to wait: `retry-after-ms`, or `retry-after` as seconds (also 0.2) or as a date.

    A date counts from the response's own `date`, where it has one, so that a wrong clock here does not matter.
    RFC 9110, section 10.2.3.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return timedelta(seconds=min(seconds, _LONGEST_WAIT.total_seconds()))
    until = _http_date(headers.get("retry-after"))
    if until is None:
        return None
    wait = until - (_http_date(headers.get("date")) or now)
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def clean(text: str, key: str = "") -> str:
    """Make text fit for a log: no key, one line, short, nothing that a terminal obeys."""
    shown = text.replace(key, "***") if key else text
    shown = " ".join(_KEY_LIKE.sub("***", shown).split())
    shown = _CONTROL.sub("�", shown.encode("utf-8", "replace").decode())
    return shown if len(shown) <= _SHORT else f"{shown[: _SHORT - 1]}…"


def _class_of(error: Exception, *, sent: bool) -> tuple[Kind, str, str]:
    from pydantic_ai import exceptions as raised

    match error:
        case BrokenBodyError():
            found = "transient", "broken_body", str(error)
        case RedirectedError():
            found = "permanent", "redirected", f"{error}; that is not followed: base_url must be the address itself"
        case raised.ModelRequestTimeout() | raised.ModelTimeoutError():
            found = "transient", "timeout", "no whole answer in time"
        case raised.ModelConnectionError(phase="pool" | "connect"):
            found = "transient", "unreachable", f"no connection ({_innermost(error)})"
        case raised.ModelConnectionError():
            # The request was sent, so the provider may have answered, and billed, what never arrived.
            found = "transient", "connection_lost", f"the connection broke off ({_innermost(error)})"
        case raised.ModelAPIError() | raised.UnexpectedModelBehavior():
            found = "transient", "broken_body", error.message
        case TypeError() | ValueError() | AttributeError() | AssertionError() | LookupError() | RuntimeError() if (
            sent and not isinstance(error, raised.UserError)
        ):
            # What a body of another shape than promised comes to in the SDKs.
            text = f"the answer could not be read ({type(error).__name__}: {error})"
            found = "transient", "broken_body", text
        case _:
            found = "permanent", type(error).__name__, str(error)
    return found


def _from_status(error: ModelHTTPError, where: str, key: str) -> ModelFault:
    from pydantic_ai.exceptions import ModelContextWindowExceededError, ModelQuotaExceededError

    status, headers = error.status_code, error.headers or {}
    kind, error_class = _BY_STATUS.get(status) or (
        ("transient", "server_error") if status >= 500 else ("permanent", "rejected")  # noqa: PLR2004 - HTTP
    )
    if isinstance(error, ModelQuotaExceededError):
        # Also sent as 400 and 429, and no wait brings money back.
        kind, error_class = "permanent", "quota"
    elif isinstance(error, ModelContextWindowExceededError):
        error_class = "context_window"
    said = _said(error.body)
    return ModelFault(
        kind,
        error_class,
        clean(f"{where} answered {status}{': ' if said else ''}{said}", key),
        retry_after=retry_after(headers, datetime.now(UTC)) if kind == "transient" else None,
        simulated=headers.get("request-id", "").startswith("req_simulated_"),
    )


def _said(body: object) -> str:
    match body:
        case {"error": {"message": str(text)}} | {"message": str(text)} | {"error": str(text)} | str(text):
            return text
        case _:
            return ""


def _ours(error: BaseException | None) -> BrokenBodyError | RedirectedError | None:
    while error is not None and not isinstance(error, BrokenBodyError | RedirectedError):
        error = error.__cause__
    return error


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _http_date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)

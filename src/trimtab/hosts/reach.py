"""Whether a model provider can be reached from here: one request without a key, and what its clock says."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

# Where a vendor's own API is, by the kind of API.
VENDORS: Mapping[str, str] = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com"}


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of asking `url`: the HTTP status and the server's time, or why there was no answer."""

    url: str
    status: int | None
    server: datetime | None = None
    why: str = ""


def reach(url: str, seconds: float) -> Reached:
    """Ask for the root of `url`, without a key and without following anything. Any HTTP answer counts as reached."""
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    except ValueError as error:
        return Reached(url, None, why=f"not an address: {error}")
    try:
        connection.request("HEAD", "/", headers={"User-Agent": "trimtab-doctor"})
        answer = connection.getresponse()
        return Reached(url, answer.status, _time(answer.getheader("Date")))
    except ssl.SSLError as error:
        return Reached(url, None, why=f"TLS: {error.reason or error}")
    except TimeoutError:
        return Reached(url, None, why=f"no answer in {seconds:g} s")
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Reached(url, None, why=getattr(error, "strerror", None) or str(error) or type(error).__name__)
    finally:
        connection.close()


def _time(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None

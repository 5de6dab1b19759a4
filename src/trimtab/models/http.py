"""The HTTP client below the SDKs: an answer has a largest size, comes from where it was asked, and is whole when an SDK reads it.

Imported at the first call only, as the SDKs are.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx2

from trimtab.models.strict import BrokenBodyError, Kind, RedirectedError, check_body

# Much more than an answer that is taken can have (`strict.LARGEST`), and little enough to be held by many calls at once.
MOST_BYTES = 16 * 1024 * 1024
_MOST_OF_ERROR = 64 * 1024


class Bounded(httpx2.AsyncClient):
    """Gives the SDK responses that were read whole; raises RedirectedError, BrokenBodyError, and what httpx raises.

    Mix it in before the SDK's own default client, which knows its time-outs, limits and proxies.
    """

    answers: ClassVar[Kind]

    async def send(self, request: httpx2.Request, **told: Any) -> httpx2.Response:
        """Send a request once, and read what comes back. No redirect is followed: what we send goes where the policy says."""
        told |= {"stream": True, "follow_redirects": False}
        response = await super().send(request, **told)
        try:
            if response.is_redirect:
                raise RedirectedError(f"it answered {response.status_code} and points to {_host(response)!r}")
            content = await (_whole(response) if response.is_success else _beginning(response))
        finally:
            await response.aclose()
        if response.is_success:
            check_body(self.answers, content)
        return _of(response, content)


def _host(response: httpx2.Response) -> str:
    try:
        return urlsplit(response.headers.get("location", "")).hostname or "the same host"
    except ValueError:
        return "no address"


async def _whole(response: httpx2.Response) -> bytes:
    read = bytearray()
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) > MOST_BYTES:
            raise BrokenBodyError(f"the body has more than {MOST_BYTES} bytes")
    return bytes(read)


async def _beginning(response: httpx2.Response) -> bytes:
    # Its status and headers say what an error is; how its page was sent changes nothing about that.
    read = bytearray()
    try:
        async for piece in response.aiter_bytes():
            read += piece
            if len(read) > _MOST_OF_ERROR:
                break
    except (httpx2.DecodingError, httpx2.NetworkError, httpx2.ProtocolError):
        pass
    return bytes(read)


def _of(response: httpx2.Response, content: bytes) -> httpx2.Response:
    headers = response.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)
    made = httpx2.Response(response.status_code, headers=headers, content=content, request=response.request)
    made.elapsed = response.elapsed
    return made

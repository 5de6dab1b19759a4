"""Hands one letter to a mail server, within a time."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from time import monotonic
from typing import Any

from trimtab.policy.alerts_spec import ChannelSpec


class _Timed(smtplib.SMTP):
    """A server that has until `end` for all its answers together: smtplib's own timeout is for each of a dozen."""

    def __init__(self, host: str, port: int, end: float, **more: Any) -> None:
        self._end = end
        super().__init__(host, port, timeout=end - monotonic(), **more)

    def getreply(self) -> tuple[int, bytes]:
        left = self._end - monotonic()
        if left <= 0:
            self.close()
            raise TimeoutError
        if self.sock is not None:
            self.sock.settimeout(left)
        return super().getreply()


class _TimedTls(_Timed, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte on."""


def mail(channel: ChannelSpec, to: Sequence[str], letter: EmailMessage, seconds: float) -> list[str]:
    """Send a letter; gives those of `to` for whom it was refused, while the server took it for the others.

    Raises TimeoutError where it was not taken within `seconds`, and what smtplib raises.
    """
    end = monotonic() + seconds
    try:
        return _hand_over(channel, to, letter, end)
    except smtplib.SMTPServerDisconnected:
        if monotonic() >= end:
            raise TimeoutError from None
        raise


def _hand_over(channel: ChannelSpec, to: Sequence[str], letter: EmailMessage, end: float) -> list[str]:
    host, tls = channel.host or "", ssl.create_default_context()
    direct = channel.tls == "tls"
    server = _TimedTls(host, channel.port, end, context=tls) if direct else _Timed(host, channel.port, end)
    try:
        if channel.tls == "starttls":
            server.starttls(context=tls)
        if channel.user_env and channel.password_env:
            server.login(os.environ[channel.user_env], os.environ[channel.password_env])
        refused = server.send_message(letter, to_addrs=to)
        # It has the letter: what it says to a goodbye changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    except smtplib.SMTPRecipientsRefused as error:
        return list(error.recipients)
    finally:
        server.close()
    return list(refused)

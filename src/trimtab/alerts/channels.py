"""Sends one message over one channel, once: gives why it was not accepted, or nothing where it was.

Secrets come from environment variables when they are needed, and are in no reason: reasons are kept in the store.
"""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import assert_never

from trimtab.alerts.mail import mail
from trimtab.core.values import Json, digest, dumps
from trimtab.core.watched import AlertFact
from trimtab.journal.alerts import REFUSED_FOR
from trimtab.policy.alerts_spec import ChannelSpec


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. `id` is the same each time this is sent: whoever gets it twice can know."""

    id: str
    subject: str
    text: str
    body: Mapping[str, Json]


def message(alert: AlertFact) -> Message:
    """Say what an alert's move is."""
    told = digest([alert.cause, alert.number, alert.state, alert.at])
    body: dict[str, Json] = {
        "id": told,
        "cause": alert.cause,
        "state": alert.state,
        "weight": alert.weight,
        "what": alert.what,
        "next": alert.mend,
        "evidence": alert.evidence,
        "at": alert.at.isoformat(),
    }
    state = "resolved" if alert.state == "closed" else alert.weight
    return Message(told, f"[trimtab] {state}: {alert.cause}", f"{alert.what}\nnext: {alert.mend}\n", body)


async def send(channel: ChannelSpec, told: Message, refused: str = "") -> str:
    """Send a message; gives why it was not accepted, empty where it was. Never raises.

    `refused` is the reason of an earlier attempt that named who is left to be told (`mail`); empty: everybody.
    """
    seconds = channel.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds + 1):
            match channel.kind:
                case "log":
                    sys.stderr.write(f"{told.subject}: {' '.join(told.text.split())}\n")
                    sys.stderr.flush()
                    reason = ""
                case "webhook":
                    reason = await _post(channel, told, seconds)
                case "email":
                    reason = await asyncio.to_thread(_mail, channel, told, seconds, refused)
                case "command":
                    reason = await _run(channel, told)
                case _:
                    assert_never(channel.kind)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001 - a channel that fails must never stop the worker it runs in
        # What a library says may quote what it was given: its name is enough.
        return f"{type(error).__name__}{_why(error)}"
    return reason


def missing(channel: ChannelSpec) -> str:
    """Name the environment variables that a channel needs and that are not set; empty where all are."""
    named = [channel.url_env, channel.user_env, channel.password_env, *channel.headers_env.values()]
    unset = [name for name in named if name and not os.environ.get(name)]
    return f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set" if unset else ""


def _why(error: Exception) -> str:
    # aiohttp wraps it; its number is of the TLS library, not of the system.
    cause = getattr(error, "certificate_error", error)
    match cause:
        case ssl.SSLCertVerificationError():
            return f": {cause.verify_message}"
        case ssl.SSLError():
            return f": {cause.reason}"
        case smtplib.SMTPResponseException():
            return f": {cause.smtp_code}"
        case OSError(errno=int(number)) if number > 0:
            return f": {os.strerror(number)}"
        case _:
            return ""


async def _post(channel: ChannelSpec, told: Message, seconds: float) -> str:
    import aiohttp

    if unset := missing(channel):
        return unset
    url = channel.url or os.environ[channel.url_env or ""]
    secret = {name: os.environ[variable] for name, variable in channel.headers_env.items()}
    headers = {"Content-Type": "application/json", "Idempotency-Key": told.id, **channel.headers, **secret}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds), trust_env=True) as session,
        # A redirect could carry the secrets to another host.
        session.post(url, data=dumps(dict(told.body)).encode(), headers=headers, allow_redirects=False) as answer,
    ):
        return "" if 200 <= answer.status < 300 else f"status {answer.status}"  # noqa: PLR2004 - HTTP's own


def _mail(channel: ChannelSpec, told: Message, seconds: float, refused: str) -> str:
    if unset := missing(channel):
        return unset
    named = refused.removeprefix(REFUSED_FOR).split(", ")
    # Those who have it are not told again; where the policy names others by now, all are.
    left = [to for to in channel.to if to in named] or channel.to
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = told.subject, channel.from_, ", ".join(channel.to)
    letter["Message-ID"] = f"<{told.id}@trimtab>"
    letter.set_content(f"{told.text}\n{dumps(dict(told.body))}\n")
    refusing = mail(channel, left, letter, seconds)
    return f"{REFUSED_FOR}{', '.join(refusing)}" if refusing else ""


async def _run(channel: ChannelSpec, told: Message) -> str:
    process = await asyncio.create_subprocess_exec(
        *channel.argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(channel.timeout.total_seconds()):
            await process.communicate(dumps(dict(told.body)).encode() + b"\n")
    finally:
        if process.returncode is None:
            # What it started in turn belongs to the same group: it must not tell anybody later on.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return f"{channel.argv[0]} left with {process.returncode}" if process.returncode else ""

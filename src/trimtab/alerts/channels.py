"""Sends one message over one channel, once: gives why it was not accepted, or nothing where it was.

Secrets come from environment variables when they are needed, and are in no reason: reasons are kept in the store.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import assert_never

from trimtab.core.values import Json, digest, dumps
from trimtab.core.watched import AlertFact
from trimtab.policy.alerts_spec import ChannelSpec

_LONGEST_REASON = 200


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


async def send(channel: ChannelSpec, told: Message) -> str:
    """Send a message; gives why it was not accepted, empty where it was. Never raises."""
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
                    reason = await asyncio.to_thread(_mail, channel, told, seconds)
                case "command":
                    reason = await _run(channel, told)
                case _:
                    assert_never(channel.kind)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001 - a channel that fails must never stop the worker it runs in
        # What a library says may quote what it was given: its name is enough.
        return f"{type(error).__name__}{_errno(error)}"
    return reason[:_LONGEST_REASON]


def missing(channel: ChannelSpec) -> str:
    """Name the environment variables that a channel needs and that are not set; empty where all are."""
    named = [channel.url_env, channel.user_env, channel.password_env, *channel.headers_env.values()]
    unset = [name for name in named if name and not os.environ.get(name)]
    return f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set" if unset else ""


def _errno(error: Exception) -> str:
    return f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno and error.errno > 0 else ""


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


def _mail(channel: ChannelSpec, told: Message, seconds: float) -> str:
    if unset := missing(channel):
        return unset
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = told.subject, channel.from_, ", ".join(channel.to)
    letter["Message-ID"] = f"<{told.id}@trimtab>"
    letter.set_content(f"{told.text}\n{dumps(dict(told.body))}\n")
    host, port = channel.host or "", channel.port
    tls = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, port, timeout=seconds, context=tls)
        if channel.tls == "tls"
        else smtplib.SMTP(host, port, timeout=seconds)
    )
    with server:
        if channel.tls == "starttls":
            server.starttls(context=tls)
        if channel.user_env and channel.password_env:
            server.login(os.environ[channel.user_env], os.environ[channel.password_env])
        refused = server.send_message(letter)
    return f"refused for {', '.join(refused)}" if refused else ""


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
            process.kill()
            await process.wait()
    return f"{channel.argv[0]} left with {process.returncode}" if process.returncode else ""

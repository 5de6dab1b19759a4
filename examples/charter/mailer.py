"""E-mail: the port, an SMTP adapter, and one that keeps letters in memory."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Protocol

from .letters import body, subject
from .outbox import Message

_PERMANENT = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail. Its id depends on the call that wrote it alone, so that a second delivery can be told."""

    message_id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    language: str


class MailerDownError(Exception):
    """The mail could not be handed over now; later it may."""


class MailRefusedError(Exception):
    """The server will never take this mail: no such address, for one."""


class Mailer(Protocol):
    """Whatever takes letters. Raises MailerDownError when it cannot take one now, MailRefusedError when never."""

    async def send(self, letter: Letter) -> None:
        """Hand a letter over."""
        ...


@dataclass(slots=True)
class MemoryMailer:
    """Keeps letters, for tests and for trying the example out."""

    letters: list[Letter] = field(default_factory=list[Letter])

    async def send(self, letter: Letter) -> None:
        """Keep it."""
        self.letters.append(letter)


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Hands letters to an SMTP server, in a thread."""

    host: str
    port: int = 25
    timeout: float = 20.0
    starttls: bool = False
    login: tuple[str, str] | None = field(default=None, repr=False)

    async def send(self, letter: Letter) -> None:
        """Hand it over."""
        try:
            await asyncio.to_thread(self._send, letter)
        except OSError as error:  # every error of smtplib is one, too
            wrong = MailRefusedError if _permanent(error) else MailerDownError
            raise wrong(f"mail server {self.host}:{self.port}: {error}") from error

    def _send(self, letter: Letter) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=self.timeout) as server:
            if self.starttls:
                server.starttls()
            if self.login is not None:
                server.login(*self.login)
            server.send_message(_email(letter))


def message_id(company: str, key: str, n: int, addresses: Sequence[str]) -> str:
    """Name a letter: the same call writes the same id on every attempt."""
    name = hashlib.sha256("\0".join((company, key, str(n), *addresses)).encode()).hexdigest()[:32]
    return f"<{name}@{company}.example>"


def letter(company: str, message: Message) -> Letter:
    """Write a message out as a letter."""
    return Letter(
        message_id=message_id(company, message.key, message.n, message.addresses),
        sender=f"bookings@{company}.example",
        to=message.addresses,
        subject=subject(message),
        text=body(message),
        language=message.language,
    )


def _permanent(error: OSError) -> bool:
    match error:
        case smtplib.SMTPResponseException(smtp_code=code):
            return code >= _PERMANENT
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            return all(code >= _PERMANENT for code, _ in refused.values())
        case _:
            return False


def _email(letter: Letter) -> EmailMessage:
    email = EmailMessage()
    email["Message-ID"] = letter.message_id
    email["From"] = letter.sender
    email["To"] = ", ".join(letter.to)
    email["Subject"] = letter.subject
    email.set_content(letter.text)
    email["Content-Language"] = letter.language
    return email

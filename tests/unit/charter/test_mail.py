"""Letters really go out by SMTP, once an idempotency key, and again only under the same Message-ID."""

from __future__ import annotations

import smtplib
import socket
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from tests.unit.charter.reference import step_for

from charter.app import workflow
from charter.fleet import Fleet, world_of
from charter.mailer import MailerDownError, MailRefusedError, SmtpMailer, letter
from charter.outbox import Message
from charter.request import BookingRequest
from trimtab import Failed, Retry

HELLO = {"to": "guest", "contact": "on_file", "channel": "email", "language": "es", "template": "quote_and_hold"}
SAID = {**HELLO, "includes": ["total"], "fields": {"total": 840.0}, "booking_id": "B-1001", "asks": ["¿Mañana?"]}
REQUEST = BookingRequest("hi", "email", "guest", "acme")


class Inbox:
    def __init__(self) -> None:
        self.letters = []
        self.answer = "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it so
        if self.answer.startswith("250"):
            self.letters.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return self.answer


@pytest.fixture
def inbox():
    handler = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    handler.port = port
    yield handler
    server.stop()


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path)
    made.create("acme", world_of())
    yield made
    made.close()


async def send(flow, key="k1"):
    specialist = flow.specialists["notification"]
    tool = specialist.tools["guest_message"]
    return await specialist.guest_message(step_for(REQUEST, "m", key=key), **tool.read(SAID))


async def test_a_message_goes_out_by_smtp_once(fleet, inbox):
    flow = workflow(fleet, SmtpMailer("127.0.0.1", inbox.port))
    first = await send(flow)
    assert await send(flow) == first
    ((to, email),) = inbox.letters
    assert to == ["b-1001@guests.acme.example"]
    assert email["Subject"] == "Presupuesto y reserva provisional (B-1001)"
    assert email["Content-Language"] == "es"
    assert "Precio total: 840.00" in email.get_content()
    assert "¿Mañana?" in email.get_content()
    assert email["Message-ID"].endswith("@acme.example>")
    assert fleet.open("acme").table("SELECT state FROM outbox") == [{"state": "sent"}]


async def test_a_server_that_is_down_is_tried_again_and_the_books_keep_one_message(fleet, inbox):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    got = await send(workflow(fleet, SmtpMailer("127.0.0.1", nobody, timeout=1)))
    assert isinstance(got, Retry)
    assert fleet.open("acme").table("SELECT state FROM outbox") == [{"state": "queued"}]
    again = await send(workflow(fleet, SmtpMailer("127.0.0.1", inbox.port)))
    assert again.sent
    assert len(inbox.letters) == 1


@pytest.mark.parametrize(("answer", "outcome"), [("451 later", Retry), ("550 never", Failed)])
async def test_the_servers_answer_decides_whether_to_try_again(fleet, inbox, answer, outcome):
    inbox.answer = answer
    assert isinstance(await send(workflow(fleet, SmtpMailer("127.0.0.1", inbox.port))), outcome)


async def test_a_crash_after_sending_sends_the_same_id_again(fleet, inbox):
    flow = workflow(fleet, SmtpMailer("127.0.0.1", inbox.port))
    await send(flow)
    fleet.open("acme").write(lambda books: books._db.execute("UPDATE outbox SET state = 'queued'"))
    await send(flow)
    one, two = (email["Message-ID"] for _, email in inbox.letters)
    assert one == two


async def test_every_recipient_refused_for_good_is_no_reason_to_retry(monkeypatch):
    def refuse(self, email):
        raise smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"no such user")})

    monkeypatch.setattr(SmtpMailer, "_send", refuse)
    with pytest.raises(MailRefusedError):
        await SmtpMailer("h").send(letter("acme", Message("guest", "email", "en", "t", {}, ("a@x.example",))))
    monkeypatch.setattr(SmtpMailer, "_send", lambda self, email: (_ for _ in ()).throw(TimeoutError()))
    with pytest.raises(MailerDownError):
        await SmtpMailer("h").send(letter("acme", Message("guest", "email", "en", "t", {}, ("a@x.example",))))


def test_a_password_is_not_shown():
    assert "hunter2" not in repr(SmtpMailer("h", login=("me", "hunter2")))


def test_a_subject_names_no_guest():
    made = letter(
        "acme",
        Message("guest", "email", "en", "page_taken_down", {"notes": "Ann Lee"}, ("a@x.example",), booking_id="B-1001"),
    )
    assert made.subject == "Page taken down (B-1001)"

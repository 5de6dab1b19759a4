from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from charter.app import workflow as compose
from charter.book import read_lines
from charter.fleet import Fleet, world_of
from charter.mailer import MemoryMailer
from charter.request import BookingRequest
from charter.store import Store
from charter.workflow import CharterBooking

LINES = {line["id"]: line for line in read_lines()}


class Office:
    """One company with its workflow, as a run finds it."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(folder)
        self.mailer = MemoryMailer()
        self.workflow: CharterBooking = compose(self.fleet, self.mailer)
        self.company = "acme"

    def open(self, context: Mapping[str, Any] | None = None, world: Mapping[str, Any] | None = None) -> Store:
        return self.fleet.create(self.company, world or world_of(), context)

    @property
    def store(self) -> Store:
        return self.fleet.open(self.company)

    def request(
        self, text: str = "hello", role: Any = "guest", channel: str = "email", sender: str = ""
    ) -> BookingRequest:
        return BookingRequest(text, channel, role, self.company, sender)

    def request_of(self, line: Mapping[str, Any]) -> BookingRequest:
        return self.request(line["text"], line["sender_role"], line["channel"])


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "fleet")
    yield made
    made.fleet.close()


@pytest.fixture
def line() -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads(json.dumps(LINES[name]))

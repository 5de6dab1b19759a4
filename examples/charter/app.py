"""The composition root: a folder of companies, a mailer, the workflow."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .fleet import Fleet
from .mailer import Mailer, MemoryMailer, SmtpMailer
from .workflow import CharterBooking


def workflow(fleet: Fleet, mailer: Mailer) -> CharterBooking:
    """Compose the workflow on a fleet's books and a mailer."""
    return CharterBooking(fleet, mailer)


def build(folder: Path, mailer: Mailer | None = None) -> CharterBooking:
    """Compose the workflow for the companies of a folder; without a mailer, letters stay in memory."""
    return workflow(Fleet(folder), mailer or MemoryMailer())


def workflows() -> list[CharterBooking]:
    """Compose what `trimtab run` and `trimtab worker` work on (`[app] factory` in trimtab.toml).

    The companies are in the folder CHARTER_COMPANIES (default `companies`); the company `harbour` is made from world.json where
    it is not there. Letters go to the SMTP server CHARTER_SMTP (`host:port`); without one they stay in memory.
    """
    fleet = Fleet(Path(os.environ.get("CHARTER_COMPANIES", "companies")))
    if "harbour" not in fleet.companies():
        fleet.create("harbour", json.loads(Path(__file__).with_name("world.json").read_text("utf-8")))
    host, _, port = os.environ.get("CHARTER_SMTP", "").partition(":")
    return [workflow(fleet, SmtpMailer(host, int(port or 25)) if host else MemoryMailer())]

"""The composition root: a folder of companies, a mailer, the workflow."""

from __future__ import annotations

from pathlib import Path

from .fleet import Fleet
from .mailer import Mailer, MemoryMailer
from .workflow import CharterBooking


def workflow(fleet: Fleet, mailer: Mailer) -> CharterBooking:
    """Compose the workflow on a fleet's books and a mailer."""
    return CharterBooking(fleet, mailer)


def build(folder: Path, mailer: Mailer | None = None) -> CharterBooking:
    """Compose the workflow for the companies of a folder; without a mailer, letters stay in memory."""
    return workflow(Fleet(folder), mailer or MemoryMailer())

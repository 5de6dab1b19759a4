"""What the actions on messages, pages, documents and decisions return."""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import LocalTime


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went out."""

    message_id: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A page that is up."""

    page_link: str


@dataclass(frozen=True, slots=True)
class PageUpdated:
    """A page that shows the booking's times."""

    page_link: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class PageWithdrawn:
    """A page that is down; page_link is the new secret one, where one was issued."""

    withdrawn: bool
    copies_gone: bool
    page_link: str | None = None


@dataclass(frozen=True, slots=True)
class Waivers:
    """Waiver links that went to the guest, and how many nobody signed yet."""

    waiver_links: tuple[str, ...]
    waivers_open: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A passenger list."""

    manifest_id: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Checklist:
    """The preparation list of a trip."""

    task_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """What lies before the operator."""

    item_id: str

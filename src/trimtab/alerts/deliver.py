"""Tells alerts over channels until each has accepted them: durable, with back-off, and never two at once.

`begun` is written before a channel is asked and `accepted` after it said yes. A crash between the two leaves a `begun` that
nobody ends: when it is older than the channel may take, the message is sent again, with the same id. So a channel gets
everything at least once, and twice only where the process died before it could write down that it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab.alerts.channels import message, send
from trimtab.core.ports import Clock
from trimtab.core.watched import AlertFact, DeliveryFact
from trimtab.engine.handin import hand_in
from trimtab.journal import alerts
from trimtab.journal.alerts import Undelivered
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.policy.alerts_spec import ChannelSpec

BACK_OFF = tuple(timedelta(seconds=s) for s in (1, 5, 30, 120, 600, 1800, 3600))
GIVEN_UP = timedelta(days=2)  # what is older is no news
_LEASE = timedelta(seconds=10)  # beyond the channel's timeout
_SET_BACK = timedelta(minutes=5)  # what was written further ahead was written before the clock was set back
BEGUN, ACCEPTED, FAILED = "begun", "accepted", "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling one move over one channel; `reason` is empty where it was accepted."""

    alert: AlertFact
    channel: str
    attempt: int
    reason: str


async def deliver(store: Path, channels: Mapping[str, ChannelSpec], clock: Clock) -> list[Told]:
    """Send everything that is due, once; channels side by side, the messages of one in order."""
    each = await asyncio.gather(*(_over(store, channel, clock) for channel in channels.values()))
    return [told for listed in each for told in listed]


async def _over(store: Path, channel: ChannelSpec, clock: Clock) -> list[Told]:
    done: list[Told] = []
    behind: set[str] = set()
    for waiting in await asyncio.to_thread(_waiting, store, channel, clock.now()):
        cause = waiting.alert.cause
        # Nobody can close what they do not know of: the end of an alert is not told before its beginning.
        if cause in behind:
            continue
        behind.add(cause)
        if due(waiting, channel, clock.now()) > clock.now():
            continue
        begun = await asyncio.to_thread(_begin, store, channel, waiting.alert, clock.now())
        if begun is None:
            continue
        reason = await send(channel, message(waiting.alert), waiting.refused)
        outcome = FAILED if reason else ACCEPTED
        ended = _line(waiting.alert, channel, begun, outcome, reason, clock.now())
        await asyncio.to_thread(_write, store, [ended])
        done.append(Told(waiting.alert, channel.name, begun, reason))
        if not reason:
            behind.discard(cause)
    return done


def next_due(store: Path, channels: Iterable[ChannelSpec], now: datetime) -> datetime | None:
    """Say when the next attempt is due; None where everything was accepted."""
    first: dict[tuple[str, str], datetime] = {}
    for channel in channels:
        for waiting in _waiting(store, channel, now):
            first.setdefault((channel.name, waiting.alert.cause), due(waiting, channel, now))
    return min(first.values(), default=None)


def due(waiting: Undelivered, channel: ChannelSpec, now: datetime) -> datetime:
    """Say from when on a message may be sent: at once, after a back-off, or when whoever began can no longer be at it."""
    if waiting.at is None or waiting.at > now + _SET_BACK:
        return now
    if waiting.outcome == BEGUN:
        return waiting.at + channel.timeout + _LEASE
    return waiting.at + BACK_OFF[min(waiting.attempts, len(BACK_OFF)) - 1]


def _waiting(store: Path, channel: ChannelSpec, now: datetime) -> Sequence[Undelivered]:
    with Journal(store) as journal:
        return journal.read(lambda c: alerts.undelivered(c, channel.name, now - GIVEN_UP))


def _begin(store: Path, channel: ChannelSpec, alert: AlertFact, now: datetime) -> int | None:
    """Write down that an attempt begins, and give its number; None where another process was faster."""

    def change(connection: Any) -> int | None:
        named = (alert.cause, alert.number, alert.state)
        for waiting in alerts.undelivered(connection, channel.name, alert.at):
            found = waiting.alert
            if (found.cause, found.number, found.state) == named and due(waiting, channel, now) <= now:
                attempt = waiting.attempts + 1
                SqliteFacts().write(connection, [_line(alert, channel, attempt, BEGUN, "", now)])
                return attempt
        return None

    return hand_in(store, SqliteFacts(), change)


def _write(store: Path, facts: Sequence[DeliveryFact]) -> None:
    hand_in(store, SqliteFacts(), lambda connection: SqliteFacts().write(connection, facts))


def _line(  # noqa: PLR0917 - a fact's fields
    alert: AlertFact, channel: ChannelSpec, attempt: int, outcome: str, reason: str, at: datetime
) -> DeliveryFact:
    return DeliveryFact(alert.cause, alert.number, alert.state, channel.name, attempt, outcome, reason, at)

"""`[alerts]` as typed values: what the watch tells, when, and over which channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

ChannelKind: TypeAlias = Literal["log", "webhook", "email", "command"]
CHANNEL_KINDS: tuple[ChannelKind, ...] = ("log", "webhook", "email", "command")


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """`[alerts.channels.NAME]`. What belongs to another kind is refused; `*_env` name environment variables that hold secrets.

    webhook: a POST of JSON to `url` (or what `url_env` holds), with `headers` and `headers_env`, each header's variable.
    email:   by `host` and `port`, `from_` one address `to` others, with STARTTLS unless `tls` says otherwise.
    command: `argv`, with the JSON on its standard input. `timeout` holds for one attempt of any kind.
    """

    name: str
    kind: ChannelKind
    url: str | None = None
    url_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    headers_env: Mapping[str, str] = field(default_factory=dict[str, str])
    host: str | None = None
    port: int = 587
    from_: str | None = None
    to: tuple[str, ...] = ()
    user_env: str | None = None
    password_env: str | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    argv: tuple[str, ...] = ()
    timeout: timedelta = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class AlertsSpec:
    """`[alerts]`: how often the worker looks, how long a cause stays quiet after it is over, and from where on something is wrong.

    every:           how often the worker looks; None: never.
    environments:    those that are watched; None: all with runs.
    spike:           an hour that costs so many times the usual must be told.
    usd_per_hour:    an hour that costs more is told, whatever is usual.
    usd_per_success: the plan, by environment, that the cost of a success is held against; without one, its own past.
    retries, budget: shares of the calls of an hour made again, and of a cap used.
    standing:        how long a run may wait for somebody. silence: how long traffic may fail to come at least.
    """

    every: timedelta | None = timedelta(minutes=5)
    quiet: timedelta = timedelta(hours=6)
    environments: tuple[str, ...] | None = None
    spike: float = 3.0
    usd_per_hour: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    usd_per_success: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    retries: float = 0.2
    budget: float = 0.8
    standing: timedelta = timedelta(days=1)
    silence: timedelta = timedelta(hours=2)
    channels: Mapping[str, ChannelSpec] = field(default_factory=dict[str, ChannelSpec])

"""What is told of hosts while they are changed, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, cast

from trimtab.core.values import Json

Stopped: TypeAlias = Literal["done", "busy", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class HostNews:
    """A step of a host, just written down. `text` is for a person: what is written, or what went wrong."""

    host: str
    group: str
    environment: str
    step: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HostEnd:
    """How a host ended: `changed` (runs the new map, proved), `restored` (the old one, proved), `unknown`, or `untouched`."""

    host: str
    group: str
    step: str
    answered: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What came of the hosts of a stage, or of taking them back; `why` says what went wrong.

    stopped: `done`; `busy` (somebody else holds the lock of a host) or `refused` (a host could not be reached, or read, or does not
    answer as it is): then nothing was changed; `failed` (a host did, or `still_good` said why not).
    """

    ok: bool
    hosts: Mapping[str, HostEnd] = field(default_factory=dict[str, HostEnd])
    why: str = ""
    stopped: Stopped = "done"

    def as_json(self) -> dict[str, Json]:
        """Give it as evidence of a move."""
        return cast("dict[str, Json]", asdict(self))


def result(ends: Mapping[tuple[str, str], HostEnd], why: str = "", stopped: Stopped = "failed") -> FleetResult:
    """Put the ends of hosts together, each under its address, or group and address where it is in several groups."""
    addresses = [host for _, host in ends]
    named = {host if addresses.count(host) == 1 else f"{group}/{host}": end for (group, host), end in ends.items()}
    return FleetResult(not why, named, why, stopped if why else "done")

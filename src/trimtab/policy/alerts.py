"""What `[alerts]` may say beside its shape, and its typed values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from trimtab.policy.alerts_spec import CHANNEL_KINDS, AlertsSpec, ChannelKind, ChannelSpec
from trimtab.policy.experiment import duration
from trimtab.policy.problems import KeyPath, Problem, unknown

NEVER = "never"

# What each kind may say, and what it must (one of each group).
_MAY: Mapping[str, frozenset[str]] = {
    "log": frozenset(),
    "webhook": frozenset({"url", "url_env", "headers", "headers_env", "timeout"}),
    "email": frozenset({"host", "port", "from", "to", "user_env", "password_env", "tls", "timeout"}),
    "command": frozenset({"argv", "timeout"}),
}
_MUST: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "log": (),
    "webhook": (("url", "url_env"),),
    "email": (("host",), ("from",), ("to",)),
    "command": (("argv",),),
}


def problems(kept: Mapping[str, Any], content: Mapping[str, Any], environments: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with `[alerts]` of `kept` beside its shape; what `content` has besides was found wrong already."""
    alerts: Mapping[str, Any] = kept.get("alerts", {})
    for key in ("usd_per_hour", "usd_per_success"):
        for name in alerts.get(key, {}):
            if name not in environments:
                yield Problem(("alerts", key, name), *unknown("environment", name, environments))
    for name in alerts.get("environments", ()):
        if name not in environments:
            yield Problem(("alerts", "environments"), *unknown("environment", name, environments))
    for name, table in alerts.get("channels", {}).items():
        if "kind" in table or "kind" not in content["alerts"]["channels"][name]:
            yield from _channel_problems(("alerts", "channels", name), table)


def _channel_problems(path: KeyPath, table: Mapping[str, Any]) -> Iterator[Problem]:
    kind: str | None = table.get("kind")
    if kind is None:
        kinds = " or ".join(f'"{k}"' for k in CHANNEL_KINDS)
        yield Problem(path, "expected a 'kind'", f"add kind = {kinds}")
        return
    for key in table:
        if key != "kind" and key not in _MAY[kind]:
            may = ", ".join(sorted(_MAY[kind])) or "nothing more"
            yield Problem((*path, key), f"says nothing of a channel of kind {kind!r}", f"it may say {may}")
    for group in _MUST[kind]:
        if sum(key in table for key in group) != 1:
            yield Problem(path, f"expected {' or '.join(map(repr, group))}{' (one of them)' if group[1:] else ''}")
    if ("user_env" in table) != ("password_env" in table):
        yield Problem(path, "expected both 'user_env' and 'password_env', or neither")
    if table.get("tls") == "none" and "password_env" in table:
        yield Problem((*path, "tls"), "a password is not sent without TLS", 'tls = "starttls" or "tls"')


def alerts_spec(kept: Mapping[str, Any]) -> AlertsSpec:
    """Make the typed values of what was found to be right."""
    table: dict[str, Any] = dict(kept.get("alerts", {}))
    said: dict[str, Any] = {k: duration(table[k]) for k in ("quiet", "standing", "silence") if k in table}
    if "every" in table:
        said["every"] = None if table["every"] == NEVER else duration(table["every"])
    if "spike" in table:
        said["spike"] = float(table["spike"])
    said.update({k: float(Decimal(table[k]) / 100) for k in ("retries", "budget") if k in table})
    said.update(
        {k: {e: Decimal(a) for e, a in table[k].items()} for k in ("usd_per_hour", "usd_per_success") if k in table}
    )
    if "environments" in table:
        said["environments"] = tuple(table["environments"])
    said["channels"] = {name: _channel(name, channel) for name, channel in table.get("channels", {}).items()}
    return AlertsSpec(**said)


def _channel(name: str, table: Mapping[str, Any]) -> ChannelSpec:
    said = {"from_" if key == "from" else key: value for key, value in table.items()}
    for key in ("to", "argv"):
        if key in said:
            said[key] = (said[key],) if isinstance(said[key], str) else tuple(said[key])
    timeout = said.pop("timeout", None)
    spec = ChannelSpec(name, cast("ChannelKind", said.pop("kind")), **said)
    return spec if timeout is None else replace(spec, timeout=duration(timeout))

"""Credentials that expire: those the policy names, and the terminal's own. Only times and names are read, never a key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab.core.finding import Finding
from trimtab.hosts.text import bounded_text
from trimtab.policy.spec import CredentialSpec

SOON = timedelta(days=7)
_READ_BY_OTHERS = 0o077
_MILLI = 1000


def credential_findings(
    now: datetime,
    credentials: Mapping[str, CredentialSpec],
    env: Mapping[str, str],
    config: Path | None = None,
    source: str = "trimtab.toml",
) -> list[Finding]:
    """Say which credentials are gone or soon will be at `now`: `credentials` of the policy `source`, and the terminal's.

    `config` is the terminal's folder (`~/.claude`), None: not looked at. A credential counts as `trimtab credentials` counts it.
    """
    found = [finding for spec in credentials.values() for finding in _of_policy(spec, now, env, source)]
    return found + (list(_of_terminal(config / ".credentials.json", now)) if config else [])


def _of_policy(spec: CredentialSpec, now: datetime, env: Mapping[str, str], source: str) -> Iterator[Finding]:
    where = f"{source}: credentials.{spec.name}"
    waits = "runs that need it wait until it is valid again"
    if spec.env and not env.get(spec.env):
        yield Finding(f"{spec.env} is not set", where, waits, f"export {spec.env}=...", "error")
    if spec.expires is None:
        return
    renew = f"renew it, then change {where}.expires"
    if spec.expires <= now:
        yield Finding(f"credential {spec.name!r} expired at {_moment(spec.expires)}", where, waits, renew, "error")
    elif spec.expires - now <= SOON:
        what = f"credential {spec.name!r} expires in {_left(spec.expires - now)}, at {_moment(spec.expires)}"
        yield Finding(what, where, f"then {waits}", renew)


def _of_terminal(file: Path, now: datetime) -> Iterator[Finding]:
    try:
        login: Any = json.loads(bounded_text(file)).get("claudeAiOauth") or {}
        mode = file.stat().st_mode if login else 0
        # Times and whether there is a key, never the key.
        ends, renewed_until = _time(login.get("expiresAt")), _time(login.get("refreshTokenExpiresAt"))
        renews = bool(login.get("refreshToken"))
    except (ValueError, RecursionError, AttributeError, OSError):
        return
    if mode & _READ_BY_OTHERS:
        why = f"others may read the login of the terminal (mode {mode & 0o777:o})"
        yield Finding("the terminal's login is readable by others", str(file), why, f"chmod 600 {file}", "error")
    # One that renews itself may be past: the next session renews it.
    last = renewed_until if renews else ends
    if last is None:
        return
    if last <= now:
        why = "the next session asks for a login; one without a person at it fails"
        yield Finding(f"the terminal's login expired at {_moment(last)}", str(file), why, "claude /login", "error")
    elif last - now <= SOON:
        what = f"the terminal's login expires in {_left(last - now)}, at {_moment(last)}"
        yield Finding(what, str(file), "sessions without a person at them then fail", "claude /login")


def _time(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / _MILLI, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _left(left: timedelta) -> str:
    return f"{left.days} days" if left.days > 1 else f"{left // timedelta(hours=1)} hours"

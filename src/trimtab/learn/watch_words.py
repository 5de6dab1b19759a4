"""How the watch writes amounts, times and hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trimtab.core.watched import Unit


def amount(of: float, unit: Unit) -> str:
    """Write dollars to the cent, less to four digits, or whole tokens."""
    if unit == "tokens":
        return f"{of:,.0f} tokens"
    return f"${of:,.2f}" if of >= 1 else f"${of:.4f}"


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{ratio:.1f} times"


def ago(days: int) -> str:
    """Write how much is known."""
    return "1 day" if days == 1 else f"{days} days"


def lasting(time: timedelta) -> str:
    """Write a time as people say it: minutes, hours, or days."""
    minutes = int(time.total_seconds() // 60)
    for size, name in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size * (2 if size > 1 else 0):
            count = minutes // size
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "0 minutes"


def number_of_hour(at: datetime) -> int:
    """Number the clock hours (UTC) from 1970."""
    return int(at.timestamp() // 3600)


def hour_at(hour: float) -> datetime:
    """Give the time of an hour's number."""
    return datetime.fromtimestamp(hour * 3600.0, UTC)


def calls(count: int) -> str:
    """Write a number of calls."""
    return "1 call" if count == 1 else f"{count:,} calls"

"""Which calls a person must decide, as actions.json says it; the same rule serves the tools and the scoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .contract import contract
from .record import Booking


def demands(action: str, arguments: Mapping[str, Any], booking: Booking | None) -> bool:
    """Whether this call, with arguments as a plan writes them, is held until a person decides."""
    approval = contract().actions[action].get("approval")
    return approval is not None and approval["holds"] == "action" and _holds(approval["if"], arguments, booking)


def needs_booking(action: str) -> bool:
    """Whether the rule looks at the booking that the call names."""
    return "'booking'" in repr(contract().actions[action].get("approval", {}).get("if"))


def _holds(rule: Any, arguments: Mapping[str, Any], booking: Booking | None) -> bool:
    match rule:
        case bool():
            return rule
        case {"any": alternatives}:
            return any(_holds(alternative, arguments, booking) for alternative in alternatives)
        case {"param": str(path), "equals": value}:
            return _at(path, arguments) == value
        case {"param": str(path), "present": wanted}:
            return (_at(path, arguments) is not None) == wanted
        case {"booking": str(field), "prefix": str(prefix)}:
            # A booking nobody knows cannot be acted on either: the tool says so.
            return booking is not None and str(getattr(booking, field)).startswith(prefix)
        case _:
            message = f"approval rule {rule!r} is not understood"
            raise ValueError(message)


def _at(path: str, arguments: Mapping[str, Any]) -> Any:
    value: Any = arguments
    for key in path.split("."):
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    return value

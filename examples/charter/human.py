"""The human specialist: what is put before a signed-in operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trimtab import Handoff, Specialist, Status, Step, tool

from .books import Books
from .desk import made, undoes, writes
from .fleet import Fleet
from .kinds import BookingId, LocalTime, Money, Object, Text
from .money import to_store
from .results import Item
from .wire import minute

_WAITS = {
    "approval": Status.AWAITING_APPROVAL,
    "choice": Status.ESCALATED,
    "escalation": Status.ESCALATED,
    "clarify": Status.CLARIFY,
}


class Human(Specialist[Any], role="human", risk="low"):
    """You put decisions and facts before the operator of a small sailing-charter company.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    You decide nothing yourself.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @tool("reversible")
    @writes
    def needs_you(
        self,
        step: Step,
        books: Books,
        *,
        kind: Literal["approval", "choice", "escalation", "clarify"],
        what: Text,
        then: Literal["wait", "go_on", "refuse"] = "wait",
        booking_id: BookingId | None = None,
        amount: Money | None = None,
        options: list[Text] | None = None,
        figures: Object | None = None,
        show: Text | None = None,
        deadline: LocalTime | None = None,
    ) -> Item | Handoff[Item]:
        """Put one decision or fact before a signed-in operator.

        then: wait (what follows waits), go_on (noted, the run goes on), refuse (the request is turned down, the operator sees it).
        `show` displays the original message ($request.text) as quoted text; it is never copied anywhere else.
        """
        del step
        n = books.add_item(
            kind=kind,
            what=what,
            follows=then,
            booking_id=booking_id,
            amount=to_store(amount),
            options=options or [],
            figures=figures or {},
            show=show,
            deadline=minute(deadline) if deadline else None,
        )
        books.undo = {"n": n}
        item = Item(f"N-{n}")
        match then:
            case "go_on":
                return item
            case "refuse":
                return Handoff(Status.REFUSED, item, what, stops=True)
            case "wait":
                return Handoff(_WAITS[kind], item, what, stops=True)

    needs_you.lookup(made)

    @needs_you.compensate
    @undoes
    def undo_needs_you(self, books: Books, note: Mapping[str, Any]) -> None:
        """Take the item back."""
        books.withdraw_item(note["n"])

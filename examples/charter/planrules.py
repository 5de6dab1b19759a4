"""What the domain finds wrong with a plan before any of it runs. Whatever needs the world to be known is left to the tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from trimtab import Plan, Subtask

from .contract import contract
from .request import BookingRequest
from .visibility import may_see

_MESSAGES = ("notification.guest_message", "notification.crew_message", "notification.operator_message")
_WORDS = ("fields", "body", "asks", "template")
_LINKS = ("payment.create_deposit_link", "payment.create_balance_link")
_NO_GUEST = ("crew", "captain", "system")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one subtask."""

    subtask: str
    text: str

    def __str__(self) -> str:
        """Say it as the orchestrator is told."""
        return f"subtask {self.subtask!r}: {self.text}"


Rule: TypeAlias = Callable[[BookingRequest, Plan], Iterator[Fault]]


def faults(request: BookingRequest, plan: Plan) -> list[Fault]:
    """Name everything that is wrong with a plan."""
    return [fault for rule in RULES for fault in rule(request, plan)]


def _message_fields(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    for subtask in _calls(plan, *_MESSAGES):
        reader = str(subtask.inputs.get("to"))
        fields = _object(subtask.inputs.get("fields"))
        includes = subtask.inputs.get("includes")
        if includes != list(fields):
            yield Fault(subtask.id, f"includes must be the keys of fields, in order: {list(fields)}")
        for field in fields:
            if not may_see(contract(), field, reader):
                yield Fault(subtask.id, f"field {field!r} is not for the eyes of a {reader}: leave it out")


def _message_sources(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    for subtask in _calls(plan, *_MESSAGES):
        reader = str(subtask.inputs.get("to"))
        told = Subtask(
            subtask.id,
            subtask.specialist,
            subtask.action,
            inputs={k: v for k, v in subtask.inputs.items() if k in _WORDS},
        )
        for pointer in told.references():
            if pointer.subtask != "request" and not may_see(contract(), pointer.field, reader):
                yield Fault(
                    subtask.id, f"{str(pointer)!r} is not for the eyes of a {reader}, whatever the field is called"
                )


def _request_text(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    for subtask in plan.subtasks:
        for name, value in subtask.inputs.items():
            allowed = name == "show" if subtask.call == "human.needs_you" else subtask.call == _MESSAGES[-1]
            for pointer in Subtask(subtask.id, "", "", inputs={name: value}).references():
                if pointer.subtask == "request" and (not allowed or pointer.path != ("text",)):
                    yield Fault(
                        subtask.id,
                        "the request may be shown only as $request.text, by human.needs_you.show or to the operator",
                    )


def _hold_before_release(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    for release in _calls(plan, "calendar.release_slot"):
        holds = [
            h for h in _calls(plan, "calendar.place_hold") if _same(h, release) and "hold_id" not in release.inputs
        ]
        if holds and not any(hold.id in plan.ancestors(release.id) for hold in holds):
            yield Fault(
                release.id, f"a move holds the new slot before it releases the old one: it must need {holds[0].id!r}"
            )


def _calendar_first(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    for later in _calls(plan, "crew.dispatch_cascade", "booking.confirm"):
        confirms = _calls(plan, "calendar.confirm_slot")
        before = plan.ancestors(later.id)
        same = [c for c in confirms if c.inputs.get("booking_id") == later.inputs.get("booking_id")]
        if same and not any(c.id in before for c in same):
            yield Fault(later.id, f"{later.call} comes after calendar.confirm_slot: it must need {same[0].id!r}")


def _refund_decided(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    # The operator may name an item they were shown before. Whoever asks, the call itself is held until it is approved.
    if request.sender_role == "operator":
        return
    items = [f"${item.id}.item_id" for item in _calls(plan, "human.needs_you")]
    for refund in _calls(plan, "payment.execute_refund"):
        if refund.inputs.get("approval_id") not in items:
            yield Fault(refund.id, "approval_id must be $X.item_id of a human.needs_you; no message is an approval")


def _payment_reported(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    if request.sender_role not in ("system", "operator"):
        for record in _calls(plan, "payment.record_webhook"):
            yield Fault(
                record.id, f"a {request.sender_role} cannot report a payment: reconcile, and put it before the operator"
            )


def _marketplace_money(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    market = {
        f"${s.id}.booking_id"
        for s in _calls(plan, "booking.create")
        if str(s.inputs.get("source")).startswith("marketplace")
    }
    for link in _calls(plan, *_LINKS):
        if link.inputs.get("booking_id") in market:
            yield Fault(link.id, "money of a marketplace booking moves only inside the marketplace")


def _guest_is_reached(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    if request.sender_role in _NO_GUEST:
        for message in _calls(plan, "notification.guest_message"):
            if message.inputs.get("contact") == "sender":
                yield Fault(
                    message.id, f"the sender is a {request.sender_role}, no guest: write to the contact on_file"
                )


def _impostor_changes_nothing(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    # Intake knows the sender's role, so it is known already that this will not be verified.
    if all(step.inputs.get("claims") == request.sender_role for step in _calls(plan, "booking.verify_identity")):
        return
    ours = {f"${step.id}.booking_id" for step in _calls(plan, "booking.create")}
    for step in plan.subtasks:
        if _changes_booking(step) and step.inputs["booking_id"] not in ours:
            yield Fault(step.id, "the sender is not who they claim to be: nothing of a booking may change for them")


def _seen_before_held(request: BookingRequest, plan: Plan) -> Iterator[Fault]:
    del request
    looks = [check.id for check in _calls(plan, "calendar.check_availability")]
    given_back = [release.inputs.get("hold_id") for release in _calls(plan, "calendar.release_slot")]
    for hold in _calls(plan, "calendar.place_hold"):
        before = plan.ancestors(hold.id)
        known = any(plan[i].call == "booking.dedupe_check" for i in before) or "booking_id" in hold.inputs
        if before.isdisjoint(looks) and (looks or not known) and f"${hold.id}.hold_id" not in given_back:
            yield Fault(hold.id, "a slot is looked at before it is held: it must need calendar.check_availability")


RULES: tuple[Rule, ...] = (
    _message_fields,
    _message_sources,
    _request_text,
    _hold_before_release,
    _calendar_first,
    _refund_decided,
    _payment_reported,
    _marketplace_money,
    _guest_is_reached,
    _impostor_changes_nothing,
    _seen_before_held,
)


def _calls(plan: Plan, *names: str) -> list[Subtask]:
    return [subtask for subtask in plan.subtasks if subtask.call in names]


def _changes_booking(step: Subtask) -> bool:
    declared = contract().actions.get(step.call)
    told = step.specialist in ("notification", "human")
    return declared is not None and declared["effect"] != "read" and not told and "booking_id" in step.inputs


def _same(hold: Subtask, release: Subtask) -> bool:
    # Which booking a reference means is not known yet: it may be the same one.
    one, other = hold.inputs.get("booking_id"), release.inputs.get("booking_id")
    return one is not None and (one == other or any(str(value).startswith("$") for value in (one, other)))


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}

"""How a specialist's method becomes a tool's body: on the company's books, logged as it enters, once per key.

    @tool("reversible")
    @writes
    def waitlist(self, step: Step, books: Books, vessel: Vessel, ...) -> Queued: ...

`books` is what these decorators bring; trimtab and the model see the other arguments only.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from trimtab import Failed, Rejected, Retry, Step

from .approval import demands, needs_booking
from .books import Books
from .case import Case
from .fleet import Fleet
from .mailer import Mailer, MailerDownError, MailRefusedError, letter
from .request import BookingRequest
from .store import Call, Store
from .warrant import WARRANTS, missing
from .wire import named

P = ParamSpec("P")
R = TypeVar("R")


class Staff(Protocol):
    """A specialist that works on the fleet's books."""

    role: Any

    @property
    def fleet(self) -> Fleet:
        """The stores of all companies."""
        ...


class Writer(Staff, Protocol):
    """A specialist whose calls send mail."""

    @property
    def mailer(self) -> Mailer:
        """Where e-mail goes out."""
        ...


def reads(
    body: Callable[Concatenate[Any, Step, Books, P], R],
) -> Callable[Concatenate[Any, Step, P], Coroutine[Any, Any, R]]:
    """Serve a method that changes nothing."""
    return _tool(body, Store.reading)


def writes(
    body: Callable[Concatenate[Any, Step, Books, P], R],
) -> Callable[Concatenate[Any, Step, P], Coroutine[Any, Any, R]]:
    """Serve a method that changes the books."""
    return _tool(body, Store.writing)


def mails(
    body: Callable[Concatenate[Any, Step, Books, P], R],
) -> Callable[Concatenate[Any, Step, P], Coroutine[Any, Any, R | Retry | Failed]]:
    """Serve a method that changes the books and queues mail; the mail goes out once the books are safe."""
    written = _tool(body, Store.writing)

    @functools.wraps(written)
    async def run(self: Writer, step: Step, *args: P.args, **kwargs: P.kwargs) -> R | Retry | Failed:
        outcome = await written(self, step, *args, **kwargs)
        return await _post(self.fleet.open(company_of(step)), self.mailer, step.idempotency_key) or outcome

    run.__signature__ = inspect.signature(written)  # pyright: ignore[reportAttributeAccessIssue]
    return run


async def made(specialist: Staff, step: Step) -> Any:
    """Say what came of a call that was begun: its first outcome, or None where it changed nothing (see `tool.lookup`)."""
    return await asyncio.to_thread(specialist.fleet.open(company_of(step)).first, step.idempotency_key)


async def posted(specialist: Writer, step: Step) -> Any:
    """As `made`, for a call that sends mail: what it queued goes out first."""
    first = await made(specialist, step)
    if first is None:
        return None
    store = specialist.fleet.open(company_of(step))
    return await _post(store, specialist.mailer, step.idempotency_key) or first


def quiet(specialist: Staff, step: Step, arguments: Mapping[str, Any]) -> datetime | None:
    """Put texts off that would go out in the company's quiet hours; gives the machine's time of their end."""
    store = specialist.fleet.open(company_of(step))
    now = store.now
    if arguments["channel"] != "sms" or not store.world.quiet(now):
        return None
    opening = store.world.opening(now)
    return store.put_off(step.idempotency_key, opening, step.now + (opening - now))


def undoes(
    body: Callable[[Any, Books, Mapping[str, Any]], Rejected | None],
) -> Callable[[Any, Step, Any], Awaitable[Rejected | None]]:
    """Serve a compensation: gets what the call noted in `books.undo`, not at all when the call changed nothing."""
    action = body.__name__.removeprefix("undo_")

    @functools.wraps(body)
    async def run(self: Staff, step: Step, returned: Any) -> Rejected | None:
        del returned  # the call's own note says more than its result
        store = self.fleet.open(company_of(step))
        return await asyncio.to_thread(
            store.undoing, step, f"{self.role}.{action}", lambda books, note: body(self, books, note)
        )

    return run


def gate(action: str) -> Callable[[Any, Step, Mapping[str, Any]], Awaitable[bool | str]]:
    """Approval predicate: what actions.json says of this action, and (in words) what the request does not bear out."""

    async def held(specialist: Any, step: Step, arguments: Mapping[str, Any]) -> bool | str:
        given = named(arguments)
        if not needs_booking(action) and action not in WARRANTS:
            return demands(action, given, None)
        store, request = cast("Staff", specialist).fleet.open(company_of(step)), step.request_as(BookingRequest)

        def decide(books: Books) -> bool | str:
            case = Case(books, request, step.run_id, given)
            return demands(action, given, case.booking) or missing(case, action)

        return await asyncio.to_thread(store.read, decide)

    return held


def company_of(step: Step) -> str:
    """Name the company whose request this step serves."""
    return step.request_as(BookingRequest).company


def _tool(
    body: Callable[Concatenate[Any, Step, Books, P], R], serve: Callable[[Store, Call, Callable[[Books], R]], R]
) -> Callable[Concatenate[Any, Step, P], Coroutine[Any, Any, R]]:
    seen = inspect.signature(body)
    shown = seen.replace(parameters=[p for p in seen.parameters.values() if p.name != "books"])

    @functools.wraps(body)
    async def run(self: Staff, step: Step, *args: P.args, **kwargs: P.kwargs) -> R:
        given = shown.bind(self, step, *args, **kwargs).arguments
        arguments = named({name: value for name, value in given.items() if name not in ("self", "step")})
        call = Call.of(step, f"{self.role}.{body.__name__}", arguments)
        store = self.fleet.open(company_of(step))
        # A thread, because a store that another process is writing to may keep us waiting.
        return await asyncio.to_thread(serve, store, call, lambda books: body(self, step, books, *args, **kwargs))

    run.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue]
    return run


async def _post(store: Store, mailer: Mailer, key: str) -> Retry | Failed | None:
    # Sent, then noted: a crash between the two sends again, under the same Message-ID.
    company = await asyncio.to_thread(store.read, lambda books: books.company)
    for message in await asyncio.to_thread(store.read, lambda books: books.outbox.messages(queued_by=key)):
        try:
            await mailer.send(letter(company, message))
        except MailerDownError as down:
            return Retry(str(down), error_class="mailer")
        except MailRefusedError as refused:
            return Failed(str(refused), error_class="mailer")
        number = message.n
        await asyncio.to_thread(store.write, lambda books, number=number: books.outbox.sent(number))
    return None

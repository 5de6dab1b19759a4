"""Tools: methods of a specialist that read or change the world, declared with what they may do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)
from zoneinfo import ZoneInfo

from pydantic import PydanticUserError, ValidationError
from typing_extensions import ParamSpec

from trimtab.core.errors import DeclarationError
from trimtab.core.messages import ToolSpec
from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry
from trimtab.core.values import Json
from trimtab.run.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = TypeVar("Q")

Returned: TypeAlias = R | Done[R] | Handoff[R] | Retry | Rejected | Failed
Effect: TypeAlias = Literal["read", "reversible", "irreversible"]
Approval: TypeAlias = Callable[[Any, "Step", Mapping[str, Any]], bool | str | Awaitable[bool | str]]
Hours: TypeAlias = Callable[[Any, "Step", Mapping[str, Any]], datetime | None]
Reader: TypeAlias = Callable[[Mapping[str, Any]], str]
Undone: TypeAlias = Retry | Rejected | Failed | None


@dataclass(frozen=True, slots=True)
class Step:
    """What a tool may know of the run that calls it.

    `idempotency_key` is the same on every attempt of this very call and on no other: hand it to whatever moves money.
    `attempt` counts from 1. `now` is the app's time, aware UTC. `approved_by` is who approved this call, where one had to.
    In a compensation, `compensates` is the idempotency key of the call that is taken back.
    """

    run_id: str
    subtask: str
    idempotency_key: str
    attempt: int
    now: datetime
    request: object
    approved_by: str | None = None
    compensates: str | None = None

    def request_as(self, kind: type[Q]) -> Q:
        """Give the run's request, which intake vouches for, as the type the workflow declared."""
        if not isinstance(self.request, kind):
            message = f"the request is a {type(self.request).__name__!r}, not a {kind.__name__!r}"
            raise DeclarationError(message, hint="a specialist belongs in workflows of one request type")
        return self.request


def always(specialist: object, step: Step, arguments: Mapping[str, Any]) -> bool:
    """Approval predicate: a person decides every call."""
    del specialist, step, arguments
    return True


def over(amount: Decimal, argument: str = "amount") -> Approval:
    """Approval predicate: a person decides when `argument` is more than `amount`."""

    def predicate(specialist: object, step: Step, arguments: Mapping[str, Any]) -> bool:
        del specialist, step
        return Decimal(str(arguments[argument])) > amount

    return predicate


def quiet_hours(begin: time, end: time, zone: str = "UTC") -> Hours:
    """Put calls off that would be made from `begin` to `end`, in a time zone (IANA name); the hours may pass midnight."""
    there = ZoneInfo(zone)

    def put_off(specialist: object, step: Step, arguments: Mapping[str, Any]) -> datetime | None:
        del specialist, arguments
        now = step.now.astimezone(there)
        past_midnight = begin > end
        is_quiet = (now.time() >= begin or now.time() < end) if past_midnight else begin <= now.time() < end
        if not is_quiet:
            return None
        day = now.date() + timedelta(days=1 if past_midnight and now.time() >= begin else 0)
        return datetime.combine(day, end, there).astimezone(UTC)

    return put_off


class Tool:
    """A declared tool: what it is called, what it takes and gives, and what it may do."""

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        effect: Effect,
        approval: Approval | None,
        *,
        waits: bool,
        name: str | None,
        quiet: Hours | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.effect: Effect = effect
        self.approval = approval
        self.waits = waits
        self.quiet = quiet
        self.reader = reader
        self.undo: Callable[..., Awaitable[Undone]] | None = None
        self.find: Callable[..., Awaitable[Any]] | None = None
        self.holds: Callable[..., Awaitable[bool | str]] | None = None
        self.description = inspect.cleandoc(function.__doc__ or "")
        self._built: Signature | None = None
        if not self.description:
            raise DeclarationError(f"tool {self.name!r} has no docstring", hint="the docstring is what the model reads")
        taken = list(inspect.signature(function).parameters.values())
        if len(taken) < 2 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) for p in taken[2:]):  # noqa: PLR2004 - self and step
            raise DeclarationError(
                f"tool {self.name!r} must take self, a step, and then arguments by name",
                hint=f"async def {self.name}(self, step: Step, ...)",
            )

    @property
    def _signature(self) -> Signature:
        # Built at first use, when every annotation of the module can be resolved.
        if self._built is None:
            try:
                self._built = Signature.of(self.name, self.function)
            except (PydanticUserError, NameError, SyntaxError, TypeError, ValueError) as error:
                raise DeclarationError(
                    f"tool {self.name!r}: its annotations cannot be used: {str(error).splitlines()[0]}",
                    hint="annotate every parameter and the result with types that JSON can carry",
                ) from error
        return self._built

    @property
    def schema(self) -> Json:
        """JSON schema of the arguments."""
        return self._signature.schema

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.schema)

    @property
    def parameters(self) -> Mapping[str, bool]:
        """Argument names as a plan writes them, each with whether it is required."""
        return self._signature.parameters

    @property
    def result_fields(self) -> frozenset[str] | None:
        """Fields that references may name, or None where the result type does not tell."""
        return self._signature.result_fields

    @property
    def writes(self) -> bool:
        """Whether it changes the world."""
        return self.effect != "read"

    def check(self, arguments: object) -> list[str]:
        """Say what is wrong with arguments; nothing when they fit."""
        return [f"{'.'.join(map(str, where)) or 'arguments'}: {what}" for where, what, _ in self._wrong(arguments)]

    def check_inputs(self, inputs: Mapping[str, Json], literal: Collection[str]) -> list[str]:
        """Say what is wrong with planned inputs, of which only the `literal` ones have their values yet."""
        return [
            f"input {'.'.join(map(str, where))!r} of {self.name}: {what}"
            for where, what, kind in self._wrong(dict(inputs))
            if not where
            or where[0] in literal
            or where[0] not in inputs
            or (kind == "extra_forbidden" and len(where) == 1)
        ]

    def _wrong(self, arguments: object) -> list[tuple[tuple[int | str, ...], str, str]]:
        try:
            self._signature.model.model_validate(arguments)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
            return [(e["loc"], e["msg"], e["type"]) for e in errors]
        return []

    def read(self, arguments: object) -> dict[str, Any]:
        """Parse arguments that `check` found good into the typed keyword arguments of the function."""
        parsed = self._signature.model.model_validate(arguments)
        given: set[str] = parsed.model_fields_set
        return {field: getattr(parsed, field) for field in given}

    def canonical(self, arguments: object) -> Json:
        """Write arguments that `check` found good as JSON that is the same for the same call: defaults filled in."""
        return self._signature.model.model_validate(arguments).model_dump(mode="json", by_alias=True)

    def dump(self, value: object) -> Json:
        """Write what the function returned as JSON."""
        return self._signature.result.dump_python(value, mode="json", by_alias=True)

    def load(self, value: Json) -> object:
        """Read back what `dump` wrote, as the type the function returns."""
        return self._signature.result.validate_python(value)


class ToolMethod(Tool, Generic[P, R]):
    """A tool as it stands in its class: the declaration there, the bound coroutine function on an instance."""

    def compensate(self, undo: Callable[[S, Step, R], Awaitable[Undone]]) -> Callable[[S, Step, R], Awaitable[Undone]]:
        """Declare (as a decorator) how a reversible call is taken back; gets what the tool returned.

        It is called until it returns None, so it must do its work once however often it is called: the step's idempotency key
        is the same each time. `Rejected` or `Failed` say that it cannot be taken back: a person is told.
        """
        self.undo = undo
        return undo

    def lookup(
        self, find: Callable[[S, Step], Awaitable[Returned[R] | None]]
    ) -> Callable[[S, Step], Awaitable[Returned[R] | None]]:
        """Declare (as a decorator) how to ask whether the call with the step's idempotency key took effect.

        It returns what the tool would have returned, None where the call was never made (`Done(None)` where it was made and
        returned None), `Retry` where it cannot say yet, `Failed` where it cannot say at all. It is asked when a process died, or
        the tool raised, between the beginning of a call and its end; without it a person is asked.
        """
        self.find = find
        return find

    def ensure(
        self, holds: Callable[[S, Step, R], Awaitable[bool | str]]
    ) -> Callable[[S, Step, R], Awaitable[bool | str]]:
        """Declare (as a decorator) what must hold before the call counts as done; gets what the tool returned.

        True: it holds. False or what is missing: it is asked again with back-off, and at last the call has failed.
        """
        self.holds = holds
        return holds

    @overload
    def __get__(self, instance: None, owner: type) -> ToolMethod[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, Awaitable[Returned[R]]]: ...
    def __get__(self, instance: object | None, owner: type) -> ToolMethod[P, R] | Callable[P, Awaitable[Returned[R]]]:
        """Bind like a method."""
        if instance is None:
            return self
        return cast("Callable[P, Awaitable[Returned[R]]]", self.function.__get__(instance, owner))


def tool(
    effect: Effect,
    approval: Approval | None = None,
    *,
    waits: bool = True,
    name: str | None = None,
    quiet: Hours | None = None,
    reader: Reader | None = None,
) -> Callable[[Callable[Concatenate[Any, P], Awaitable[Returned[R]]]], ToolMethod[P, R]]:
    """Declare a method of a specialist as a tool.

    effect: `read` changes nothing; `reversible` needs a `compensate`; `irreversible` cannot be taken back.
    approval: predicate over (specialist, step, arguments); where true, or a text that says why, the call is held until a person decides.
    waits: False lets its subtask start once its needs are settled, even if some of them were stopped.
    quiet: function of (specialist, step, arguments) that gives the time (aware) a call is put off to, or None; see `quiet_hours`.
    reader: function of the arguments that names who reads what is sent; the call is then scanned for what they may not see.
    name: what plans and models call it, where that is no Python name or is taken; the method's name otherwise.
    The method takes a `Step`, then its typed arguments, and returns a value or one of the outcomes.
    """

    def decorate(function: Callable[Concatenate[Any, P], Awaitable[Returned[R]]]) -> ToolMethod[P, R]:
        return ToolMethod(function, effect, approval, waits=waits, name=name, quiet=quiet, reader=reader)

    return decorate

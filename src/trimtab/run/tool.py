"""Tools: methods of a specialist that read or change the world, declared with what they may do."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
    overload,
)

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, create_model
from typing_extensions import ParamSpec, get_type_hints

from trimtab.core.errors import DeclarationError
from trimtab.core.messages import ToolSpec
from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry
from trimtab.core.values import Json

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = TypeVar("Q")

Returned: TypeAlias = R | Done[R] | Handoff[R] | Retry | Rejected | Failed
Effect: TypeAlias = Literal["read", "reversible", "irreversible"]
Approval: TypeAlias = Callable[[Any, "Step", Mapping[str, Any]], bool | Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Step:
    """What a tool may know of the run that calls it.

    `idempotency_key` is the same on every attempt of this very call and on no other: hand it to whatever moves money.
    `attempt` counts from 1. `now` is the app's time, aware UTC.
    """

    run_id: str
    subtask: str
    idempotency_key: str
    attempt: int
    now: datetime
    request: object

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
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.effect: Effect = effect
        self.approval = approval
        self.waits = waits
        self.undo: Callable[..., Awaitable[None]] | None = None
        self.description = inspect.cleandoc(function.__doc__ or "")
        self._built: _Signature | None = None
        if not self.description:
            raise DeclarationError(f"tool {self.name!r} has no docstring", hint="the docstring is what the model reads")
        taken = list(inspect.signature(function).parameters.values())
        if len(taken) < 2 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) for p in taken[2:]):  # noqa: PLR2004 - self and step
            raise DeclarationError(
                f"tool {self.name!r} must take self, a step, and then arguments by name",
                hint=f"async def {self.name}(self, step: Step, ...)",
            )

    @property
    def _signature(self) -> _Signature:
        # Built at first use, when every annotation of the module can be resolved.
        if self._built is None:
            try:
                self._built = _Signature.of(self)
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

    def dump(self, value: object) -> Json:
        """Write what the function returned as JSON."""
        return self._signature.result.dump_python(value, mode="json", by_alias=True)

    def load(self, value: Json) -> object:
        """Read back what `dump` wrote, as the type the function returns."""
        return self._signature.result.validate_python(value)


class ToolMethod(Tool, Generic[P, R]):
    """A tool as it stands in its class: the declaration there, the bound coroutine function on an instance."""

    def compensate(self, undo: Callable[[S, Step, R], Awaitable[None]]) -> Callable[[S, Step, R], Awaitable[None]]:
        """Declare (as a decorator) how a reversible call is taken back; gets what the tool returned."""
        self.undo = undo
        return undo

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
    effect: Effect, approval: Approval | None = None, *, waits: bool = True, name: str | None = None
) -> Callable[[Callable[Concatenate[Any, P], Awaitable[Returned[R]]]], ToolMethod[P, R]]:
    """Declare a method of a specialist as a tool.

    effect: `read` changes nothing; `reversible` needs a `compensate`; `irreversible` cannot be taken back.
    approval: predicate over (specialist, step, arguments); where true, the call is held until a person decides.
    waits: False lets its subtask start once its needs are settled, even if some of them were stopped.
    name: what plans and models call it, where that is no Python name or is taken; the method's name otherwise.
    The method takes a `Step`, then its typed arguments, and returns a value or one of the outcomes.
    """

    def decorate(function: Callable[Concatenate[Any, P], Awaitable[Returned[R]]]) -> ToolMethod[P, R]:
        return ToolMethod(function, effect, approval, waits=waits, name=name)

    return decorate


@dataclass(frozen=True, slots=True)
class _Signature:
    model: Any
    schema: Json
    parameters: Mapping[str, bool]
    result: TypeAdapter[Any]
    result_fields: frozenset[str] | None

    @classmethod
    def of(cls, declared: Tool) -> _Signature:
        function = declared.function
        hints = get_type_hints(function, include_extras=True)
        names = list(inspect.signature(function).parameters.values())[2:]
        if bare := [p.name for p in names if p.name not in hints]:
            raise TypeError(f"{', '.join(map(repr, bare))} has no annotation")
        unset: dict[str, Any] = {p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in names}
        config = ConfigDict(
            extra="forbid", arbitrary_types_allowed=False, populate_by_name=False, protected_namespaces=()
        )
        with warnings.catch_warnings():
            # An argument may be called `json` or `copy`: nobody uses those methods of the model.
            warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
            model: Any = create_model(f"{declared.name}_arguments", __config__=config, **unset)
        schema = model.model_json_schema()
        result = success_type(hints.get("return", Any))
        return cls(
            model=model,
            schema=schema,
            parameters={f.alias or n: f.is_required() for n, f in model.model_fields.items()},
            result=TypeAdapter(result),
            result_fields=fields_of(result),
        )


def success_type(annotation: Any) -> Any:
    """Take `Rejected`, `Retry`, `Failed` away from a return annotation, and look inside `Done` and `Handoff`."""
    if get_origin(annotation) is Annotated:
        return success_type(get_args(annotation)[0])
    args = get_args(annotation)
    if get_origin(annotation) in (Done, Handoff):
        return args[0] if args else Any
    if len(args) > 1 and str(get_origin(annotation)) in ("<class 'types.UnionType'>", "typing.Union"):
        left = [success_type(a) for a in args if a not in (Rejected, Retry, Failed)]
        unique = [a for i, a in enumerate(left) if a not in left[:i]]
        union: Any = unique[0] if unique else Any
        for other in unique[1:]:
            union = union | other
        return union
    return annotation


def fields_of(result: Any) -> frozenset[str] | None:
    """Name the JSON fields of a type, or None where it is not an object with known ones."""
    try:
        schema = TypeAdapter(result).json_schema()
    except Exception:  # noqa: BLE001 - a type without a schema has no fields to check, and that is all we ask
        return None
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    properties = schema.get("properties")
    return frozenset(properties) if properties else None

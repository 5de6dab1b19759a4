"""What a user declares: specialists with tools, and the workflow that sends requests to them."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeAlias, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypeVar

from trimtab.core.errors import DeclarationError, RequestError
from trimtab.core.outcome import Handoff, Status
from trimtab.core.plan import Plan, Subtask
from trimtab.core.values import Json
from trimtab.run.signature import fields_of
from trimtab.run.tool import Tool

Answer = TypeVar("Answer", default=Any)
Request = TypeVar("Request", default=Any)
Result = TypeVar("Result", default=Any)
Risk: TypeAlias = Literal["low", "medium", "high"]


class Specialist(Generic[Answer]):
    """A role that does one kind of work with its own tools. The docstring is its instructions.

        class Payment(Specialist[Charge], role="payment", risk="high", sees=("booking", "price")):
            \"\"\"You take payments. Charge the price of the hold, never more.\"\"\"

    With an answer type the model works until it gives an answer of that type. Without one, the answer of a subtask is what
    its action returned, taken from the tool and not retold by the model; the call must then carry the subtask's inputs.
    `sees` names the result fields that may enter its context (None: all). `needs_credential` names what must be valid before it
    starts on a subtask (`[credentials]` of the policy). Actions of a plan are names of its tools.
    """

    role: ClassVar[str]
    risk: ClassVar[Risk] = "medium"
    sees: ClassVar[frozenset[str] | None] = None
    needs_credential: ClassVar[tuple[str, ...]] = ()
    instructions: ClassVar[str]
    tools: ClassVar[Mapping[str, Tool]]
    answer: ClassVar[TypeAdapter[Any] | None] = None
    answer_fields: ClassVar[frozenset[str] | None] = None

    def __init_subclass__(
        cls,
        role: str | None = None,
        risk: Risk | None = None,
        sees: Sequence[str] | None = None,
        needs_credential: str | Sequence[str] | None = None,
        **rest: Any,
    ) -> None:
        """Collect and check the declaration."""
        super().__init_subclass__(**rest)
        if needs_credential is not None:
            cls.needs_credential = (needs_credential,) if isinstance(needs_credential, str) else tuple(needs_credential)
        cls.role = role or getattr(cls, "role", "")
        if not cls.role.isidentifier() or cls.role == "orchestrator":
            raise DeclarationError(
                f"{cls.__name__}: role {cls.role!r} is not a name for a specialist",
                hint='class X(Specialist, role="payment")',
            )
        cls.risk = risk or cls.risk
        cls.sees = frozenset(sees) if sees is not None else cls.sees
        cls.instructions = inspect.cleandoc(cls.__doc__ or "")
        if not cls.instructions:
            raise DeclarationError(
                f"specialist {cls.role!r} has no docstring", hint="the docstring is its instructions"
            )
        found = [t for _, t in inspect.getmembers_static(cls, lambda m: isinstance(m, Tool))]
        cls.tools = {t.name: t for t in found}
        if twice := [t.name for t in found if cls.tools[t.name] is not t]:
            raise DeclarationError(f"{cls.role} has two tools named {twice[0]!r}", hint="give each its own name")
        for declared in found:
            if declared.effect == "reversible" and declared.undo is None:
                raise DeclarationError(
                    f"{cls.role}.{declared.name} is reversible and has no compensation",
                    hint=f"add a method decorated with @{declared.name}.compensate, or declare it irreversible",
                )
        answer = _argument(cls, Specialist, 0)
        if answer not in (None, Any):
            cls.answer = _adapter(cls, answer)
            cls.answer_fields = fields_of(answer)
        if cls.answer is not None and "answer" in cls.tools:
            raise DeclarationError(
                f"{cls.role}.answer: `answer` is how a specialist with an answer type gives it",
                hint="name the tool otherwise",
            )


@dataclass(frozen=True, slots=True)
class Stop:
    """A subtask that handed its work on, or is held, or was skipped: what `Workflow.settle` decides upon."""

    subtask: Subtask
    status: Status
    reason: str
    held: bool
    stops: bool


class Workflow(Generic[Request, Result]):
    """A declared job: requests of one type are broken into subtasks for these specialists. The docstring instructs the orchestrator.

    Subclass with `name=`, override what the domain needs; only `conclude` must be given.
    """

    name: ClassVar[str]
    instructions: ClassVar[str]
    request: ClassVar[TypeAdapter[Any]]
    result: ClassVar[TypeAdapter[Any]]

    def __init__(self, specialists: Sequence[Specialist[Any]]) -> None:
        self.specialists: Mapping[str, Specialist[Any]] = {s.role: s for s in specialists}
        if len(self.specialists) != len(specialists):
            raise DeclarationError(
                f"workflow {self.name!r} has two specialists of one role", hint="give each its own role"
            )
        if not specialists:
            raise DeclarationError(f"workflow {self.name!r} has no specialists", hint="pass at least one")

    def __init_subclass__(cls, name: str | None = None, **rest: Any) -> None:
        """Collect and check the declaration."""
        super().__init_subclass__(**rest)
        cls.name = name or getattr(cls, "name", "") or cls.__name__
        cls.instructions = inspect.cleandoc(cls.__doc__ or "")
        if not cls.instructions:
            raise DeclarationError(
                f"workflow {cls.name!r} has no docstring", hint="the docstring instructs the orchestrator"
            )
        cls.request, cls.result = (_adapter(cls, _argument(cls, Workflow, n) or Any) for n in (0, 1))

    def read_request(self, given: object) -> Request:
        """Parse a JSON request. Raises RequestError naming every field that is wrong."""
        try:
            return self.request.validate_python(given)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'request'}: {e['msg']}" for e in error.errors(include_url=False)
            )
            raise RequestError(
                f"not a request for {self.name!r}: {faults}", hint="give a JSON object with these fields"
            ) from None

    def dump_request(self, request: Request) -> Json:
        """Write a request as JSON. Raises RequestError where it cannot be written: half a surrogate pair in a key, for one."""
        try:
            return self.request.dump_python(request, mode="json", by_alias=True)
        except (UnicodeEncodeError, PydanticSerializationError) as error:
            raise RequestError(
                f"not a request for {self.name!r}: {error}", hint="give what JSON in UTF-8 can carry"
            ) from None

    def brief(self, request: Request) -> Json:
        """Say what the orchestrator is shown of the request, as untrusted data; all of it unless overridden."""
        return self.dump_request(request)

    def faults(self, request: Request, plan: Plan) -> list[str]:
        """Name what the domain's own rules find wrong with a plan; the orchestrator is shown every one."""
        del request, plan
        return []

    def guard(
        self, request: Request, subtask: Subtask, inputs: Mapping[str, Json], results: Mapping[str, Json]
    ) -> Handoff[None] | None:
        """Say, just before a subtask starts, that it may not; `results` holds those of its needs, direct or not."""
        del request, subtask, inputs, results
        return None

    def may_see(self, field: str, reader: str) -> bool:
        """Whether a reader of outgoing messages (see `tool(reader=...)`) may see a field of a result; all may unless overridden."""
        del field, reader
        return True

    def ensure(self, request: Request, subtask: Subtask, result: Json) -> str:
        """Say what does not hold though a subtask gave this result, which then has failed; empty where all is well."""
        del request, subtask, result
        return ""

    def settle(self, request: Request, stops: Sequence[Stop], results: Mapping[str, Json]) -> Status:
        """Say how a run stands in which no subtask failed; by default the most urgent of the stops (order of `Status`)."""
        del request, results
        order = list(Status)
        return min((s.status for s in stops), key=order.index, default=Status.COMPLETED)

    @abstractmethod
    def conclude(self, request: Request, results: Mapping[str, Json]) -> Result:
        """Make the run's result from the results of its subtasks, by subtask id."""


def _adapter(cls: type, kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind)
    except (PydanticUserError, RecursionError, NameError) as error:
        raise DeclarationError(
            f"{cls.__name__}: {kind!r} cannot be used: {str(error).splitlines()[0]}",
            hint="use a type that JSON can carry",
        ) from error


def _argument(cls: type, base: type, index: int) -> Any:
    for klass in cls.__mro__:
        for generic in getattr(klass, "__orig_bases__", ()):
            if get_origin(generic) is base:
                argument = get_args(generic)[index]
                return None if isinstance(argument, TypeVar) else argument
    return None

"""What a tool takes and gives, read from its annotations."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, create_model
from typing_extensions import get_type_hints

from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry
from trimtab.core.values import Json


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool takes and gives: a model of its arguments, their JSON schema, and the type of its result."""

    model: Any
    schema: Json
    parameters: Mapping[str, bool]
    result: TypeAdapter[Any]
    result_fields: frozenset[str] | None

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Signature:
        """Read a tool's function. Raises what pydantic and the annotations raise."""
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
            model: Any = create_model(f"{name}_arguments", __config__=config, **unset)
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

"""Types of tool arguments and results: what actions.json calls `$defs`, as Python types."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from .money import cents
from .wire import DAY, TIME, minute

_CLOCK = r"^\d\d:\d\d$"
_MINUTES = 24 * 60


def _time(value: object) -> object:
    if not isinstance(value, datetime) and not TIME.fullmatch(str(value)):
        message = "a local time looks like 2026-06-20T10:00"
        raise ValueError(message)
    return value


def _day(value: object) -> object:
    if not isinstance(value, date) and not DAY.fullmatch(str(value)):
        message = "a date looks like 2026-06-20"
        raise ValueError(message)
    return value


def _clock(value: str) -> str:
    hours, minutes = map(int, value.split(":"))
    if minutes > 59 or hours * 60 + minutes > _MINUTES:  # noqa: PLR2004 - minutes of an hour
        message = "a clock time is between 00:00 and 24:00"
        raise ValueError(message)
    return value


def _number(value: Decimal) -> float:
    return float(value)


BookingId: TypeAlias = Annotated[str, Field(pattern=r"^B-\d{4}$")]
Person: TypeAlias = Annotated[str, Field(pattern=r"^(cap|dk)-\d+$")]
Language: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Id: TypeAlias = Annotated[str, Field(min_length=1)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Flag: TypeAlias = bool
Vessel: TypeAlias = Literal["larkspur", "sandpiper"]
Source: TypeAlias = Literal["direct", "marketplace-b", "marketplace-g"]
Channel: TypeAlias = Literal["email", "sms", "marketplace", "chat"]
Days: TypeAlias = Literal["any", "weekend", "weekday"]
Position: TypeAlias = Literal["captain", "deckhand"]

LocalTime: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_time),
    PlainSerializer(minute, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d$"}),
]
Day: TypeAlias = Annotated[
    date,
    BeforeValidator(_day),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}),
]
Clock: TypeAlias = Annotated[str, Field(pattern=_CLOCK), AfterValidator(_clock)]
Money: TypeAlias = Annotated[
    Decimal,
    Field(ge=0, allow_inf_nan=False),
    AfterValidator(cents),
    PlainSerializer(_number, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
# A result may be below zero: a trip can lose money.
Amount: TypeAlias = Annotated[
    Decimal, AfterValidator(cents), PlainSerializer(_number, return_type=float), WithJsonSchema({"type": "number"})
]
Hours: TypeAlias = Annotated[
    Decimal,
    Field(ge=Decimal("0.5"), le=1000, allow_inf_nan=False),
    PlainSerializer(_number, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0.5}),
]
Pct: TypeAlias = Annotated[Decimal, PlainSerializer(_number, return_type=float), WithJsonSchema({"type": "number"})]
Object: TypeAlias = dict[str, Any]


class Strict(BaseModel):
    """An object argument: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SlotIn(Strict):
    """One vessel from start to end."""

    vessel: Vessel
    start: LocalTime
    end: LocalTime


class Search(Strict):
    """A range of days, both ends included, in which to look for free time."""

    vessels: Annotated[list[Vessel], Field(min_length=1)]
    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day, Field(alias="to")]
    hours: Hours | None = None
    days: Days | None = None
    earliest: Clock | None = None
    latest: Clock | None = None


class Changes(Strict):
    """The fields of a booking that change; those not named stay as they are."""

    vessel: Vessel | None = None
    start: LocalTime | None = None
    end: LocalTime | None = None
    party_size: Count | None = None
    contact: Text | None = None
    total: Money | None = None


class Minor(Strict):
    """A guest under age."""

    age: Annotated[int, Field(ge=0, le=17)]

"""Profiles: how fast, how long, how dear and how wrong each simulated model is, every number with its source."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass as plain
from dataclasses import fields
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from trimtab.core.errors import UsageError
from trimtab.models.simulator.refusal import refusal

PlanFailure: TypeAlias = Literal[
    "missing_subtask", "wrong_order", "wrong_specialist", "extra_forbidden", "lost_language", "malformed_plan"
]
ApiFault: TypeAlias = Literal["rate_limited", "overloaded", "server_error", "dropped", "garbage", "cut_off"]
HostileFailure: TypeAlias = Literal["hostile_plan", "hostile_call"]
Failure: TypeAlias = Literal[PlanFailure, ApiFault, HostileFailure, "wrong_arguments"]

PLAN_FAILURES: tuple[PlanFailure, ...] = get_args(PlanFailure)
API_FAULTS: tuple[ApiFault, ...] = get_args(ApiFault)

_STRICT = ConfigDict(extra="forbid")
_Number: TypeAlias = Annotated[float, Field(strict=True)]
_SHIPPED = Path(__file__).with_name("profiles.toml")
_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.95)
_DATED = re.compile(r"-20\d{6}$")


@dataclass(frozen=True, slots=True, config=_STRICT)
class Spread:
    """A lognormal quantity, given by two of its quantiles."""

    median: _Number = Field(gt=0)
    p95: _Number = Field(gt=0)
    source: str = Field(min_length=1)

    def __post_init__(self) -> None:
        if self.p95 < self.median:
            raise ValueError("expected p95 to be at least the median")

    def at(self, roll: float) -> float:
        """Give the quantile at `roll`, a number in (0, 1)."""
        return self.median * math.exp(math.log(self.p95 / self.median) / _Z95 * _NORMAL.inv_cdf(roll))


@dataclass(frozen=True, slots=True, config=_STRICT)
class Rate:
    """How often something happens."""

    rate: _Number = Field(ge=0, le=1)
    source: str = Field(min_length=1)


@dataclass(frozen=True, slots=True, config=_STRICT)
class Price:
    """US dollars for a million tokens; nothing is computed from it here."""

    input: _Number = Field(ge=0)
    output: _Number = Field(ge=0)
    source: str = Field(min_length=1)


@dataclass(frozen=True, slots=True, config=_STRICT)
class ModelTable:
    """What a profile says of the models a pattern fits; what it leaves out, a wider pattern says."""

    latency: Spread | None = None
    plan_tokens: Spread | None = None
    call_tokens: Spread | None = None
    price: Price | None = None
    correct_on_fault: Rate | None = None
    failures: dict[Failure, Rate] = Field(default_factory=dict[Failure, Rate])
    failures_like: str | None = None

    def over(self, wider: ModelTable) -> ModelTable:
        """Fill what is left out from a wider table."""
        return ModelTable(
            latency=self.latency or wider.latency,
            plan_tokens=self.plan_tokens or wider.plan_tokens,
            call_tokens=self.call_tokens or wider.call_tokens,
            price=self.price or wider.price,
            correct_on_fault=self.correct_on_fault or wider.correct_on_fault,
            failures={**wider.failures, **self.failures},
        )


@dataclass(frozen=True, slots=True, config=_STRICT)
class ProfileTable:
    """A profile as the file has it."""

    about: str = ""
    extends: str | None = None
    models: dict[str, ModelTable] = Field(default_factory=dict[str, ModelTable])


@plain(frozen=True, slots=True)
class Settings:
    """Everything about one simulated model."""

    latency: Spread
    plan_tokens: Spread
    call_tokens: Spread
    price: Price
    correct_on_fault: float
    failures: Mapping[Failure, Rate]

    def rate(self, failure: Failure) -> float:
        """Say how often it fails in this way."""
        found = self.failures.get(failure)
        return found.rate if found else 0.0


@plain(frozen=True, slots=True)
class Profile:
    """How each simulated model behaves. `models` maps an id, or a prefix with `*`, to what is said of it.

    What it does not say, `base` says: anything said here of a model wins over anything said there.
    """

    name: str
    about: str
    models: Mapping[str, ModelTable]
    base: Profile | None = None

    @staticmethod
    def load(name_or_path: str | Path) -> Profile:
        """Give a shipped profile by name, or one of a TOML file: `FILE.toml`, or `FILE.toml#NAME` where it holds several."""
        text = str(name_or_path)
        path, _, name = text.partition("#")
        if not path.endswith(".toml"):
            shipped = _tables(_SHIPPED)
            if text not in shipped:
                hint = f"shipped are {', '.join(shipped)}; a file of your own ends in '.toml'"
                raise UsageError(f"no profile is called {text!r}", hint=hint)
            return _profile(text, shipped, _SHIPPED.name)
        own = _tables(Path(path))
        if name not in own and (name or len(own) != 1):
            hint = f"write {path}#NAME with one of: {', '.join(own) or '(none)'}"
            raise UsageError(f"{path}: expected one profile, found {len(own)}", hint=hint)
        return _profile(name or next(iter(own)), {**_tables(_SHIPPED), **own}, path)

    @property
    def model_ids(self) -> list[str]:
        """The ids named in full."""
        inherited = self.base.model_ids if self.base else []
        return sorted({*inherited, *(key for key in self.models if not key.endswith("*"))})

    def said_of(self, model: str) -> ModelTable:
        """Lay what is said of a model by name over what is said of wider patterns."""
        table = ModelTable()
        for key in sorted(self.models, key=len, reverse=True):
            if _fits(key, model):
                table = table.over(self.models[key])
        return table.over(self.base.said_of(model)) if self.base else table

    def settings(self, model: str) -> Settings | None:
        """Give all that a model needs, or None where no pattern fits."""
        table = self.said_of(model)
        if not (table.latency and table.plan_tokens and table.call_tokens and table.price):
            return None
        correct = table.correct_on_fault.rate if table.correct_on_fault else 1.0
        return Settings(table.latency, table.plan_tokens, table.call_tokens, table.price, correct, table.failures)


def profile_names() -> tuple[str, ...]:
    """Name the shipped profiles."""
    return tuple(_tables(_SHIPPED))


def _fits(key: str, model: str) -> bool:
    # An id without a date stands for its dated releases too, as in the real service.
    return model.startswith(key[:-1]) if key.endswith("*") else key in (model, _DATED.sub("", model))


def _tables(path: Path) -> dict[str, ProfileTable]:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"cannot read profile file {str(path)!r}: {error}", hint="docs/reference/answer-book.md shows one"
        ) from None
    return {name: _table(path, name, value) for name, value in raw.items()}


def _table(path: Path, name: str, value: object) -> ProfileTable:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{path}: {name!r} is no table, expected [{name}]", hint="a profile file holds only tables, one a profile"
        )
    try:
        return _PROFILE.validate_python(value)
    except ValidationError as error:
        raise refusal(error, str(path), name, _KEYS) from None


def _profile(name: str, tables: Mapping[str, ProfileTable], where: str, below: tuple[str, ...] = ()) -> Profile:
    if name not in tables:
        hint = f"there are {', '.join(tables)}"
        raise UsageError(f"{where}: {below[-1]!r} names the profile {name!r}, which there is not", hint=hint)
    if name in below:
        raise UsageError(
            f"{where}: profile {name!r} is built on itself", hint="give it another name than the profile below it"
        )
    table = tables[name]
    base = _profile(table.extends, tables, where, (*below, name)) if table.extends else None
    models: dict[str, ModelTable] = {}
    for key, own in table.models.items():
        borrowed = ModelTable()
        if own.failures_like:
            borrowed = ModelTable(
                failures=_profile(own.failures_like, tables, where, (*below, name)).said_of(key).failures
            )
        models[key] = own.over(borrowed)
    profile = Profile(name, table.about, models, base)
    for key in models:
        _check(profile, key, where)
    return profile


def _check(profile: Profile, key: str, where: str) -> None:
    place = f"{where}: '{profile.name}.models.{key}'"
    settings = profile.settings(key)
    if settings is None:
        hint = 'give latency, plan_tokens, call_tokens and price there or for a wider pattern, or write extends = "perfect"'
        raise UsageError(f"{place} does not say all that a model needs", hint=hint)
    total = sum(settings.rate(fault) for fault in API_FAULTS)
    if total > 1:
        hint = f"at most one of {', '.join(API_FAULTS)} happens to a request"
        raise UsageError(f"{place}: the rates of its API faults add up to {total:g}, expected at most 1", hint=hint)


_PROFILE = TypeAdapter(ProfileTable)
_KEYS = {f.name for kind in (ProfileTable, ModelTable, Spread, Rate, Price) for f in fields(kind)} | set(
    get_args(Failure)
)

"""Which model plays which role by a settings file, and the file's text with that changed, or put back as it was: nothing else moves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from trimtab.core import json_text
from trimtab.core.errors import UsageError
from trimtab.core.json_text import BOM, BadJsonError, Held
from trimtab.core.values import Json
from trimtab.hosts import setting_env, setting_toml
from trimtab.hosts.setting_env import BadEnvError
from trimtab.hosts.setting_toml import BadTomlError
from trimtab.policy.rollout_spec import FileKind, FileSpec

KeyPath: TypeAlias = tuple[str, ...]
_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^.\s"'][^."']*?))\s*(?:\.|$)""")


@dataclass(frozen=True, slots=True)
class _Format:
    """How one kind of file is read and changed: values are given and taken as they are written there."""

    path: Callable[[str], KeyPath]
    held: Callable[[str | None, KeyPath], Held]
    put: Callable[[str | None, KeyPath, str], str]
    put_back: Callable[[str | None, KeyPath, Held], str | None]
    value: Callable[[str], Json]
    written: Callable[[Any, str | None], str]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a file would hold; what stood before at each key that is set, and what would stand there, as written."""

    text: str
    before: Mapping[str, Held] = field(default_factory=dict[str, Held])
    after: Mapping[str, str] = field(default_factory=dict[str, str])


def configured(text: str | None, spec: FileSpec, where: str) -> dict[str, str | None]:
    """Give role -> model as it is written; None: the file says nothing of it, or no name. Raises UsageError."""
    form = _FORMATS[spec.kind]
    found: dict[str, str | None] = {}
    with _told(where):
        for role, key in spec.keys.items():
            raw = form.held(text, form.path(key)).raw
            value = None if raw is None else form.value(raw)
            found[role] = value if isinstance(value, str) and value.strip() else None
    return found


def changed(
    text: str | None, spec: FileSpec, models: Mapping[str, str], where: str, lock: Callable[[str], Mapping[str, Json]]
) -> Changed:
    """Give the text with these models (role -> full id); of roles it does not have nothing is said.

    lock: gives what else is set in a terminal's file so that nobody there chooses another model. Raises UsageError.
    """
    form, values = _FORMATS[spec.kind], _values(spec, models, where, lock)
    before: dict[str, Held] = {}
    after: dict[str, str] = {}
    new = text
    with _told(where):
        for key, value in values.items():
            path = form.path(key)
            before[key] = was = form.held(text, path)
            after[key] = was.raw or ""
            if was.raw is None or form.value(was.raw) != value:
                _see_that_it_is_a_name(form, key, was, value, where)
                after[key] = form.written(value, was.raw)
                new = form.put(new, path, after[key])
    return Changed(new or "", before, after)


def restored(text: str | None, kind: FileKind, before: Mapping[str, Held], where: str, *, absent: bool) -> str | None:
    """Give the text with every key as it stood before; None: no file, where there was none and nothing is left in it."""
    form = _FORMATS[kind]
    with _told(where):
        for key, was in before.items():
            text = form.put_back(text, form.path(key), was)
    return None if text is not None and absent and "".join(text.removeprefix(BOM).split()) == form.empty else text


def named(model: str, spec: FileSpec) -> str:
    """Give a full id as the program of that file expects it."""
    return model if spec.ids == "full" else model.partition(":")[2] or model


def _values(
    spec: FileSpec, models: Mapping[str, str], where: str, lock: Callable[[str], Mapping[str, Json]]
) -> dict[str, Json]:
    values: dict[str, Json] = {}
    for role, key in spec.keys.items():
        if role not in models:
            continue
        value = named(models[role], spec)
        if values.setdefault(key, value) != value:
            hint = f"two roles share {key!r} there: give them one model, or keys of their own"
            raise UsageError(f"{where}: {key!r} cannot be both {values[key]!r} and {value!r}", hint=hint)
        if spec.lock and spec.kind == "terminal":
            values |= lock(value)
    return values


def _see_that_it_is_a_name(form: _Format, key: str, was: Held, value: Json, where: str) -> None:
    """Refuse to put a model where something else stands: the key is probably not the one that was meant."""
    there = None if was.raw is None else form.value(was.raw)
    if isinstance(value, str) and there is not None and not isinstance(there, str):
        raise UsageError(
            f"{where}: {key!r} holds {was.raw!r:.60}, expected the name of a model",
            hint="name the key whose value is the model, such as orchestrator.model",
        )


@contextmanager
def _told(where: str) -> Generator[None]:
    try:
        yield
    except (BadJsonError, BadTomlError, BadEnvError) as error:
        raise UsageError(f"{where}: {error}", hint="mend that first") from None


def _dotted(key: str) -> KeyPath:
    parts, at = list[str](), 0
    while at < len(key) or not parts:
        match = _KEY.match(key, at)
        if match is None:
            raise UsageError(f"{key!r} is no path of keys", hint='write it as in TOML: models.orchestrator, or "a.b".c')
        parts.append(next(group for group in match.groups() if group is not None))
        at = match.end()
    return tuple(parts)


def _alone(key: str) -> KeyPath:
    return (key,)


def _json_written(value: Json, _like: str | None) -> str:
    return json_text.written(value)


_JSON = _Format(_dotted, json_text.held, json_text.put, json_text.put_back, json.loads, _json_written, "{}")
_FORMATS: Mapping[FileKind, _Format] = {
    "json": _JSON,
    "terminal": _Format(_alone, json_text.held, json_text.put, json_text.put_back, json.loads, _json_written, "{}"),
    "toml": _Format(
        _dotted, setting_toml.held, setting_toml.put, setting_toml.put_back, setting_toml.value, setting_toml.written
    ),
    "env": _Format(
        _alone, setting_env.held, setting_env.put, setting_env.put_back, setting_env.value, setting_env.written
    ),
}

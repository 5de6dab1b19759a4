"""What leaves the house is scanned for what its reader may not see, and for secrets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from trimtab.core.messages import ToolUse
from trimtab.core.values import Json
from trimtab.run.amounts import amount, tells, written
from trimtab.run.outside import FAULTS
from trimtab.run.route import Assignment
from trimtab.run.scope import Scope
from trimtab.run.secret import UNSEEN, alike_in, own_in
from trimtab.run.tool import Tool

_SHORTEST = 4
# A quote of the request is longer than what a message may say by chance.
_QUOTE = 16
_SPACE = re.compile(r"\s+")
# What everybody who is told of anything is told: when, and whether.
_TIMES = re.compile(r"\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d\S*)?|\d\d?:\d\d(?::\d\d)?|true|false")
# Scripts that write words without spaces between them.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
# Between two texts of one call: no word, and no number goes on across it.
_BREAK = "\n\0\n"
# What an argument could say if its declared pattern lets it: a sentence, an amount, a name.
_PROBES = ("net 840.75", "840.75", "840", "Ada", "ada lovelace")


@dataclass(frozen=True, slots=True)
class Leak:
    """A message may not go out. `error_class` is `leak` or `secret`; `reason` names the field, never the value."""

    error_class: str
    reason: str


def leak(scope: Scope, job: Assignment, tool: Tool, use: ToolUse, reads: Sequence[Json] = ()) -> Leak | None:
    """Say what in the arguments of a sending call its reader may not see; None: nothing.

    Looked for are the fields of everything the run knows: the request, what the orchestrator was shown of it, the results this
    subtask rests on, and `reads`, what its own reading tools gave. What cannot be checked does not go out.
    """
    arguments = cast("Mapping[str, Json]", use.arguments)
    text = _BREAK.join(text for name, value in arguments.items() for text in _texts({name: value}))
    if kind := own_in(text, scope.means.secrets):
        return Leak("secret", f"{tool.name} would tell {kind}")
    try:
        assert tool.reader is not None
        reader = tool.reader(tool.read(use.arguments))
        brief = scope.workflow.brief(scope.request)
        known = _Known(scope, reader)
        if kind := alike_in(known.without_quotes(text)):
            return Leak("secret", f"{tool.name} would tell {kind}")
        for source in (scope.request_fields, brief, *reads):
            known.add(source)
        for subtask, result in job.results.items():
            known.add(result, _told_to(scope, subtask))
        free = {name: value for name, value in arguments.items() if not _confined(tool, name)}
        found = known.name_in(free.values()) or known.value_in(free.values())
    except FAULTS as error:  # the user's code: what it cannot check does not go out
        return Leak("leak", f"{tool.name} cannot be checked: {type(error).__name__} was raised on the way")
    return Leak("leak", f"{tool.name} would tell {found!r}, which {reader!r} may not see") if found else None


def plain(text: str) -> str:
    """Write a text as it is compared: compatible forms as one, small letters, nothing unseen, one space between words."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold())
    return _SPACE.sub(" ", text.casefold()).strip()


@dataclass(slots=True)
class _Known:
    """What the run knows, by whether one reader may see it; `names` remembers what the workflow said of each field."""

    scope: Scope
    reader: str
    closed: dict[str | Decimal, str] = field(default_factory=dict[str | Decimal, str])
    open: set[str | Decimal] = field(default_factory=set[str | Decimal])
    names: dict[str, bool] = field(default_factory=dict[str, bool])

    def may_see(self, name: str) -> bool:
        if name not in self.names:
            self.names[name] = bool(self.scope.workflow.may_see(name, self.reader))
        return self.names[name]

    def without_quotes(self, text: str) -> str:
        """Take out what the sender wrote, where it is quoted whole to who may see it: what is in it was never ours to keep."""
        fields = self.scope.request_fields
        quotes = [value for name, value in fields.items() if isinstance(value, str) and value and self.may_see(name)]
        for quote in sorted(quotes, key=len, reverse=True):
            if len(quote) >= _QUOTE:
                text = text.replace(quote, " ")
        return text

    def add(self, source: object, echoes: Collection[str | Decimal] = ()) -> None:
        """Sort the values of an object; inside a closed field everything is closed, and what has no name is neither.

        That `echoes` come back under an open name opens nothing: they are what the tool was told.
        """
        todo: list[tuple[object, bool, str]] = [(source, False, "")]
        while todo:
            value, named, closed = todo.pop()
            if isinstance(value, Mapping):
                pairs = cast("Mapping[str, object]", value).items()
                todo += [(inner, True, closed or ("" if self.may_see(key) else key)) for key, inner in pairs]
            elif isinstance(value, list | tuple):
                todo += [(inner, named, closed) for inner in cast("list[object]", value)]
            elif named:
                read = _value(value)
                if read is not None and closed and (isinstance(read, Decimal) or len(read) >= _SHORTEST):
                    self.closed.setdefault(read, closed)
                elif read is not None and not closed and read not in echoes:
                    self.open.add(read)

    def name_in(self, values: Iterable[object]) -> str | None:
        """Find a closed field's name among the keys of objects."""
        keys = (key for value in values for key in _keys(value))
        return next((key for key in keys if not self.may_see(key)), None)

    def value_in(self, values: Iterable[object]) -> str | None:
        """Find a closed field whose value stands in one of these, and in no open value there."""
        listed = list(values)
        secret = {value: name for value, name in self.closed.items() if value not in self.open}
        bare = (number for value in listed for number in _numbers(value))
        if found := next((number for number in bare if number in secret and tells(number)), None):
            return secret[found]
        text = _BREAK.join(plain(text) for value in listed for text in _texts(value))
        hits = [*self._words(secret, text), *self._amounts(secret, text)]
        if not hits:
            return None
        # What is open may hold what is closed, as a full name holds a surname: whoever may see the one has seen the other.
        seen = [span for value in self.open if isinstance(value, str) for span in _spans(value, text)]
        return next((name for start, end, name in hits if not any(a <= start and end <= b for a, b in seen)), None)

    @staticmethod
    def _words(secret: Mapping[str | Decimal, str], text: str) -> Iterator[tuple[int, int, str]]:
        for value, name in secret.items():
            if isinstance(value, str):
                yield from ((start, end, name) for start, end in _spans(value, text))

    def _amounts(self, secret: Mapping[str | Decimal, str], text: str) -> Iterator[tuple[int, int, str]]:
        for found in written(text):
            name = next((secret[value] for value in found.values if value in secret), None)
            if name is not None and found.whole.isdisjoint(self.open) and found.values.isdisjoint(self.open):
                yield found.start, found.end, name


def _value(value: object) -> str | Decimal | None:
    # As it is compared; None: it says nothing by itself.
    read = amount(value)
    if read is not None or not isinstance(value, str):
        return read
    text = plain(value)
    return text if text and not _TIMES.fullmatch(text) else None


def _told_to(scope: Scope, subtask: str) -> frozenset[str | Decimal]:
    """Give the amounts and phrases that a subtask's own write was told, from the ledger; an id it repeats is what it acted on."""
    begins = [
        b.begin for b in scope.steps.begun() if isinstance(b.begin, Mapping) and b.begin.get("subtask") == subtask
    ]
    values = (_value(node) for begin in begins for _, node in _nodes(begin.get("arguments")))
    return frozenset(value for value in values if isinstance(value, Decimal) or (value is not None and " " in value))


def _spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        if _apart(text, start) and _apart(text, end):
            yield start, end
        start = text.find(value, start + 1)


def _apart(text: str, place: int) -> bool:
    # Whether a word may begin or end here.
    if place in (0, len(text)):
        return True
    left, right = text[place - 1], text[place]
    words = (left.isalnum() or left == "_") and (right.isalnum() or right == "_")
    return not words or bool(_UNSPACED.match(left) or _UNSPACED.match(right))


def _nodes(value: object) -> Iterator[tuple[str, object]]:
    """Everything inside a value, each with its key where it stands in an object. Not by recursion: a model can nest deeply."""
    todo: list[tuple[str, object]] = [("", value)]
    while todo:
        key, node = todo.pop()
        yield key, node
        if isinstance(node, Mapping):
            todo += cast("Mapping[str, object]", node).items()
        elif isinstance(node, list | tuple):
            todo += [("", item) for item in cast("list[object]", node)]


def _texts(value: object) -> Iterator[str]:
    for key, node in _nodes(value):
        if isinstance(node, str):
            yield f"{key}: {node}" if key else node
        elif key:
            yield key


def _numbers(value: object) -> Iterator[Decimal]:
    for _, node in _nodes(value):
        if not isinstance(node, str) and (read := amount(node)) is not None:
            yield read


def _keys(value: object) -> Iterator[str]:
    return (key for key, _ in _nodes(value) if key)


def _confined(tool: Tool, argument: str) -> bool:
    """Whether an argument's declaration leaves it no words: it is one of a list, or an id, as an addressee is."""
    schema = cast("Mapping[str, Any]", tool.schema)
    declared: Any = schema.get("properties", {}).get(argument, {})
    return _names_only(declared, schema.get("$defs", {}))


def _names_only(declared: Mapping[str, Any], defs: Mapping[str, Any]) -> bool:
    if "$ref" in declared:
        return _names_only(defs.get(declared["$ref"].rsplit("/", 1)[-1], {}), defs)
    if "anyOf" in declared:
        return all(_names_only(one, defs) for one in declared["anyOf"])
    if "enum" in declared or "const" in declared or declared.get("type") in ("boolean", "null"):
        return True
    if declared.get("type") == "array":
        return _names_only(declared.get("items", {}), defs)
    return declared.get("type") == "string" and "pattern" in declared and not _lets_words(declared["pattern"])


def _lets_words(pattern: str) -> bool:
    try:
        return any(re.search(pattern, probe) for probe in _PROBES)
    except re.error:
        return True

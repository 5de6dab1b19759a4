"""What a host has and what it is to have: its settings files as they stand, and what of them is to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any, TypeAlias, cast

from trimtab.core.errors import UsageError
from trimtab.core.json_text import Held
from trimtab.core.values import Json
from trimtab.hosts.remote import ABSENT, Found, Remote, digest_of
from trimtab.hosts.setting import changed, configured
from trimtab.hosts.ssh import Refused, Trouble
from trimtab.policy.rollout_spec import FileKind, FileSpec, HostGroup

# In place of a digest: no content is known from which the one before can be put back whole.
BROKEN = ""
# Gives what else is set in a terminal's file so that its users cannot choose another model than this.
Lock: TypeAlias = Callable[[str], Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class FileChange:
    """A change of one file: digests before and after, and by key what stood there before and what is written.

    It is kept with what is done to a host, and holds nothing of the file but these keys: others may be secrets.
    """

    name: str
    path: str
    kind: FileKind
    before: str
    after: str
    values: Mapping[str, Held]
    wrote: Mapping[str, str]

    def as_json(self) -> dict[str, Json]:
        """Give it as the journal keeps it."""
        return cast("dict[str, Json]", asdict(self))

    def lines(self) -> Iterator[str]:
        """Say what changes, a line a key."""
        for key, was in self.values.items():
            if was.raw != self.wrote[key]:
                yield f"{self.path}: {key}: {'absent' if was.raw is None else was.raw} -> {self.wrote[key]}"


def file_change(kept: Json) -> FileChange:
    """Read back what `FileChange.as_json` gave."""
    told: Any = kept
    held = {key: Held(**was) for key, was in told["values"].items()}
    return replace(FileChange(**told), values=held)


@dataclass(frozen=True, slots=True)
class Seen:
    """The files of a host as they stand, and by them role -> model as it is written (None: nothing is).

    `by_file`: name of the file -> the same of it alone; a role may stand in several, which need not agree.
    """

    files: Mapping[str, Found] = field(default_factory=dict[str, Found])
    configured: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    by_file: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict[str, "Mapping[str, str | None]"])


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes of files, each with the content that is to be written."""

    files: tuple[tuple[FileChange, bytes], ...] = ()

    @property
    def changes(self) -> tuple[FileChange, ...]:
        """The changes without content."""
        return tuple(change for change, _ in self.files)


def roles_of(group: HostGroup) -> frozenset[str]:
    """Give the roles whose model is configured on hosts of a group."""
    return frozenset(role for spec in group.files for role in spec.keys)


async def see(remote: Remote) -> Seen | Trouble:
    """Read every settings file of a host."""
    found: dict[str, Found] = {}
    by_file: dict[str, Mapping[str, str | None]] = {}
    for spec in remote.group.files:
        file = await remote.read(spec.path)
        if not isinstance(file, Found):
            return file
        found[spec.name] = file
        try:
            by_file[spec.name] = configured(file.text, spec, spec.path)
        except UsageError as error:
            return refused(error)
        except UnicodeDecodeError:
            return Refused(f"{spec.path}: not UTF-8 text")
    return Seen(found, dict(chain.from_iterable(models.items() for models in by_file.values())), by_file)


def diff(specs: Sequence[FileSpec], seen: Seen, wanted: Mapping[str, str], lock: Lock) -> Plan | Refused:
    """Work out what has to change so that every role of `wanted` (role -> full id) has its model in these files."""
    planned: list[tuple[FileChange, bytes]] = []
    for spec in specs:
        file = seen.files[spec.name]
        try:
            new = changed(file.text, spec, wanted, spec.path, lock)
        except UsageError as error:
            return refused(error)
        content = new.text.encode()
        if not new.before or (content == file.content):
            continue
        change = FileChange(spec.name, spec.path, spec.kind, file.digest, digest_of(content), new.before, new.after)
        planned.append((change, content))
    return Plan(tuple(planned))


def whole(first: Sequence[FileChange], then: Sequence[FileChange]) -> tuple[FileChange, ...]:
    """Put two changes of a host together: from what was before the first to what is after the second."""
    begun = {change.path: change for change in first}
    for change in then:
        if (was := begun.get(change.path)) is None:
            begun[change.path] = change
        else:
            values, wrote = {**change.values, **was.values}, {**was.wrote, **change.wrote}
            # Where somebody else wrote in between, the content before is not what is to come back, but the keys are.
            after = change.after if change.before in {was.before, was.after} else BROKEN
            begun[change.path] = replace(was, after=after, values=values, wrote=wrote)
    return tuple(begun.values())


def refused(error: UsageError) -> Refused:
    """Say in one line what is wrong with a file there, and what mends it."""
    return Refused("; ".join(filter(None, (error.message, error.hint))))


def was_absent(change: FileChange) -> bool:
    """Whether there was no such file before."""
    return change.before == ABSENT

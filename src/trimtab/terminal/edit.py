"""Changes a settings file as text: what is not changed keeps every byte, so that key order, layout and numbers stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO

from trimtab.core.errors import UsageError
from trimtab.core.json_text import BadJsonError, block, drop, put, same, written
from trimtab.core.values import Json


@dataclass(frozen=True, slots=True)
class Edit:
    """What a file holds and what it would hold; None: there is no file."""

    old_text: str | None
    new_text: str | None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.old_text != self.new_text

    def diff(self, where: str, mask: Callable[[str], str] = str) -> str:
        """Give the unified diff, empty where nothing changes. `mask` hides what must not be printed, and is given whole texts."""
        from difflib import unified_diff

        # Lines end where JSON's do: `splitlines` would end them at every separator that Unicode has.
        old, new = (list(StringIO(mask(text or ""), newline="\n")) for text in (self.old_text, self.new_text))
        was, will = ("/dev/null" if text is None else where for text in (self.old_text, self.new_text))
        lines = unified_diff(old, new, was, will)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def plan_edit(text: str | None, changes: Mapping[str, Json], where: str = "settings.json") -> Edit:
    """Plan to give top-level keys these values; None takes a key away, for null is never written.

    A key that has its value already is left as it is. Raises UsageError where `text` is not one JSON object.
    """
    raws = {key: None if value is None else written(value) for key, value in changes.items()}
    held = raw_values(text, where)
    return Edit(text, splice(text, {key: raw for key, raw in raws.items() if not same(raw, held.get(key))}, where))


def splice(text: str | None, raws: Mapping[str, str | None], where: str = "settings.json") -> str | None:
    """Give the text with top-level keys changed to these values, given as JSON; None takes a key away. Raises UsageError."""
    with _told(where):
        for key, raw in raws.items():
            text = drop(text, (key,)) if raw is None else put(text, (key,), raw)
    return text


def raw_values(text: str | None, where: str = "settings.json") -> dict[str, str]:
    """Give the top-level keys with their values as written; of a key that stands twice the last counts, as it does for the terminal."""
    with _told(where):
        return {member.key: member.raw for member in block(text or "").members}


def take_back(
    current: str | None, previous: str | None, written: str | None, where: str
) -> tuple[Edit, tuple[str, ...]]:
    """Plan to take back of `current` what led from `previous` to `written`, key by key, where all else may have changed since.

    Gives with it the keys that somebody changed again since then: those are left as they are.
    """
    before, after, now = (raw_values(text, where) for text in (previous, written, current))
    touched = [key for key in {**before, **after} if not same(before.get(key), after.get(key))]
    ours = {key: before.get(key) for key in touched if same(now.get(key), after.get(key))}
    lost = tuple(k for k in touched if k not in ours and not same(now.get(k), before.get(k)))
    text = splice(current, ours, where)
    empty = previous is None and text is not None and not raw_values(text, where)
    return Edit(current, None if ours and empty else text), lost


@contextmanager
def _told(where: str) -> Generator[None]:
    try:
        yield
    except BadJsonError as error:
        hint = "the terminal drops the whole file because of this: mend that line, then say it again"
        raise UsageError(f"{where}: {error}", hint=hint) from None

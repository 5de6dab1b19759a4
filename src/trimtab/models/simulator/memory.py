"""What the simulator remembers between requests: which run asks about which entry, and what was asked before."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from trimtab.core.values import digest
from trimtab.models.simulator.book import AnswerBook, Entry
from trimtab.models.simulator.prompts import Asked, OtherAsked, PlanAsked, WorkAsked

_LIMIT = 100_000  # runs; the least recently seen is forgotten, and then found again by its subtasks


@dataclass(slots=True)
class _Run:
    entry: Entry | None = None
    ordinal: int = 0
    asked: Counter[str] = field(default_factory=Counter[str])


class Memory:
    """Tells runs and repeated questions apart, so that chance does not hang on the order in which they come."""

    def __init__(self, book: AnswerBook) -> None:
        self._book = book
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._ordinals: Counter[tuple[str, str]] = Counter()

    def place(self, asked: Asked, model: str, run_id: str) -> tuple[Entry | None, tuple[str | int, ...]]:
        """Give the entry asked about and what this very question is known by: content, run's number, times asked.

        Runs of one request on one model are numbered as they come, so that they are exchangeable: any order of
        requests gives the same set of runs.
        """
        run = self._run(run_id)
        match asked:
            case PlanAsked():
                entry = self._book.find(asked.texts, run_id)
                content = digest([entry.name if entry else list(asked.texts), len(asked.tried)])
                if run_id:
                    run.entry = entry
            case WorkAsked():
                entry = run.entry or self._book.of_run(run_id) or self._book.entry_of(asked.subtask)
                named = [asked.subtask.get("id"), asked.subtask.get("action")] if entry else dict(asked.subtask)
                content = digest([entry.name if entry else "", named, len(asked.tried)])
            case OtherAsked():
                entry, content = None, digest(asked.text)
        if run_id and not run.asked:
            run.ordinal = self._ordinals[model, content]
            self._ordinals[model, content] += 1
        times = run.asked[model + content]
        run.asked[model + content] += 1
        return entry, (content, run.ordinal, times)

    def _run(self, run_id: str) -> _Run:
        run = self._runs.setdefault(run_id, _Run())
        self._runs.move_to_end(run_id)
        if len(self._runs) > _LIMIT:
            self._runs.popitem(last=False)
        return run

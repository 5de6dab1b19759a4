"""Iterations and tasks: what a prompt led to, how that ended, and how many prompts a piece of work took.

An iteration is a prompt and all that was done for it, up to the next prompt. A task is the work of one session up to a pause of
more than an hour: one or more iterations. A file edited again in a later iteration of its session is one rework of that iteration.

An iteration came to nothing where it did not end with an answer:
    turn limit   the terminal stopped at --max-turns
    interrupted  somebody stopped it
    failed       the API gave no answer, after all retries
    refused      the model declined
    cut          the answer was cut at max_tokens
    aborted      the last answer asked for a tool, and nothing came after it: killed, out of budget, or the machine went down
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal[
    "answered", "running", "unknown", "turn limit", "interrupted", "failed", "refused", "cut", "aborted"
]
LOST: tuple[Ending, ...] = ("turn limit", "interrupted", "failed", "refused", "cut", "aborted")
PAUSE = 3_600_000  # milliseconds
# So long after its last row a session that ended in the middle is not at work any more: the longest tool call is ten minutes.
_IDLE = 900_000
_STOPS: Mapping[str, Ending] = {
    "end_turn": "answered",
    "stop_sequence": "answered",
    "refusal": "refused",
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
}


@dataclass(slots=True)
class Iteration:
    """One prompt and what it led to. Times are milliseconds since 1970, `pico` is dollars times 10^12; `stop` is of the last answer."""

    key: str
    session: str = ""
    project: str = ""
    branch: str = ""
    model: str = ""
    version: str = ""
    began: int = 0
    ended: int = 0
    answered_at: int = 0
    stop: str = ""
    pico: int = 0
    unpriced: int = 0
    turns: int = 0
    reworks: int = 0
    events: dict[str, int] = field(default_factory=dict[str, int])
    latest: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, kind: str) -> int:
        """How often something happened in it."""
        return self.events.get(kind, 0)

    @property
    def retries(self) -> int:
        """Tries that were repeated, by the more complete of the two traces they leave."""
        return max(self.count("retry"), self.count("resent"))

    @property
    def unwritten(self) -> int:
        """Retries without a row that says so."""
        return max(0, self.count("resent") - self.count("retry"))

    def seen(self, at: int) -> None:
        """Stretch it to a time at which something happened in it."""
        self.began = min(self.began or at, at)
        self.ended = max(self.ended, at)

    def ending(self, now: int) -> Ending:
        """Say how it ended, as of `now`."""
        if self.count("limit"):
            return "turn limit"
        if self.latest.get("interrupt", -1) >= self.answered_at:
            return "interrupted"
        if self.latest.get("failure", -1) >= self.answered_at:
            return "failed"
        if not self.answered_at:
            return "unknown"
        return _STOPS.get(self.stop) or ("running" if now - self.ended < _IDLE else "aborted")


@dataclass(frozen=True, slots=True)
class Task:
    """Iterations of one session, in order, without a long pause between them."""

    iterations: Sequence[Iteration]

    @property
    def first(self) -> Iteration:
        """The one that began it."""
        return self.iterations[0]

    @property
    def prompts(self) -> int:
        """How often somebody had to ask."""
        return sum(i.count("prompt") for i in self.iterations)

    @property
    def turns(self) -> int:
        """Answers to the session itself."""
        return sum(i.turns for i in self.iterations)

    @property
    def reworks(self) -> int:
        """Files edited again after a later prompt."""
        return sum(i.reworks for i in self.iterations)

    @property
    def usd(self) -> float | None:
        """Dollars, of subagents too; None where a price is not known."""
        return None if any(i.unpriced for i in self.iterations) else sum(i.pico for i in self.iterations) / 1e12

    @property
    def ended(self) -> int:
        """When the last thing happened in it."""
        return max(i.ended for i in self.iterations)

    def total(self, kind: str) -> int:
        """How often something happened in it."""
        return sum(i.count(kind) for i in self.iterations)


def tasks(iterations: Iterable[Iteration]) -> list[Task]:
    """Put iterations together; those without a prompt and an answer (what a helper did before any) begin no task."""
    by_session: dict[str, list[Iteration]] = {}
    for iteration in sorted(iterations, key=lambda i: i.began):
        if iteration.turns or iteration.count("prompt"):
            by_session.setdefault(iteration.session, []).append(iteration)
    found: list[Task] = []
    for listed in by_session.values():
        begun = [listed[0]]
        ended = listed[0].ended
        for iteration in listed[1:]:
            if iteration.began - ended > PAUSE:
                found.append(Task(begun))
                begun = []
            begun.append(iteration)
            ended = max(ended, iteration.ended)
        found.append(Task(begun))
    return found


def add_reworks(iterations: Mapping[str, Iteration], edits: Iterable[tuple[str, str, str, int]]) -> None:
    """Count, of edits as (session, file, iteration, time) in the order of time, those of a file an earlier iteration edited."""
    edited: set[tuple[str, str]] = set()
    for session, file, iteration, _ in edits:
        if (session, file) in edited and iteration in iterations:
            iterations[iteration].reworks += 1
        edited.add((session, file))

"""Tells a person what happens to a rollout: a line for each move, each step on a host and each new word of the gate."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import click

from trimtab.cli.rollout_words import answered_text, moved
from trimtab.rollouts.gate import Gates

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.drive import Round
    from trimtab.rollouts.fleet import HostNews
    from trimtab.rollouts.fleet_lines import Place


_STEPS = {
    "writing": "writing",
    "restarting": "restarting",
    "proving": "asking for a new answer",
    "checking": "{models} answered; looking at its health",
    "soaking": "healthy; watched for a while",
    "changed": "changed, {models} proved",
    "failed": "FAILED",
    "restoring": "putting back what was there",
    "restored": "restored, {models} proved",
    "unknown": "UNKNOWN",
}
# With traffic the figures of a gate change with every look.
_FIGURES_EVERY = 60.0


class HostTeller:
    """Prints what is done to hosts, a line for each step; `quiet` prints nothing."""

    def __init__(self, store: Path, *, quiet: bool = False) -> None:
        self.store, self.quiet = store, quiet
        self._told: dict[Place, str] = {}

    def host(self, news: HostNews) -> None:
        """Print what came of a step on a host."""
        from trimtab.rollouts.fleet_lines import newest

        line = newest(self.store).get((news.group, news.host))
        answered = cast("Mapping[str, str]", line.answered if line else {})
        # Why it failed is said once, and not again with each step of taking it back.
        before = self._told.get((news.group, news.host), "")
        if news.step in {"restoring", "restored"} and before:
            news = replace(news, text=news.text.replace(before, "").removeprefix("; "))
        self._told[news.group, news.host] = news.text or before
        first, *more = host_lines(news, answered)
        self.line(first)
        for text in more:
            self.print(text)

    def line(self, text: str) -> None:
        """Print one line, with the time."""
        self.print(f"{datetime.now(UTC):%H:%M:%S} UTC  {text}")

    def print(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            click.echo(text)


class Teller(HostTeller):
    """Prints also moves and what the gate says, as far as that was not printed yet.

    `seen` is the number of the newest move that the reader knows; `gates` remember what was read of runs from look to look.
    """

    def __init__(self, store: Path, name: str, seen: int, *, quiet: bool = False) -> None:
        super().__init__(store, quiet=quiet)
        self.name, self.seen, self.gates = name, seen, Gates(store)
        self._key: str = ""
        self._gate: str = ""
        self._gate_at = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def moves(self) -> None:
        """Print the moves that were made since, whoever made them."""
        from trimtab.rollouts.moves import find

        for move in find(self.store, self.name).moves[self.seen + 1 :]:
            self.line(moved(move))
            self.seen = move.number

    def host(self, news: HostNews) -> None:
        """Print what came of a step on a host; what was decided before it comes first."""
        self.moves()
        super().host(news)

    def round(self, last: Round) -> None:
        """Print what a look came to."""
        self.moves()
        key, said = _said(last)
        is_old = time.monotonic() - self._gate_at >= _FIGURES_EVERY
        if key != self._key or (said != self._gate and is_old):
            self._key, self._gate, self._gate_at = key, said, time.monotonic()
            if said:
                self.line(said)


class LiveTeller(Teller):
    """The same lines, and below them the rollout as it stands, drawn anew after every look."""

    def __init__(self, store: Path, policy: Policy, name: str, seen: int) -> None:
        from rich.live import Live

        from trimtab.cli.show import console

        super().__init__(store, name, seen)
        self.policy = policy
        self.live = Live(console=console(), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the drawing away; the lines stay."""
        self.live.stop()

    def round(self, last: Round) -> None:
        """Draw it; the drawing has what the gate says."""
        del last
        self.moves()
        self._draw()

    def host(self, news: HostNews) -> None:
        """Print what came of a step on a host, and draw it."""
        super().host(news)
        self._draw()

    def print(self, text: str) -> None:
        """Print one line above the drawing."""
        from rich.markup import escape

        self.live.console.print(escape(text), soft_wrap=True)

    def _draw(self) -> None:
        from trimtab.cli.rollout_seen import look
        from trimtab.cli.rollout_tree import picture

        now = datetime.now(UTC)
        self.live.update(picture(look(self.store, self.policy, self.name, now, self.gates), now), refresh=True)


def teller(store: Path, policy: Policy, name: str, seen: int, *, stay: bool, quiet: bool = False) -> Teller:
    """Give the teller that fits where the output goes: it draws only for somebody who stays and looks."""
    if stay and not quiet and sys.stdout.isatty():
        return LiveTeller(store, policy, name, seen)
    return Teller(store, name, seen, quiet=quiet)


def host_lines(news: HostNews, answered: Mapping[str, str]) -> list[str]:
    """Write what came of a step on a host; below it what is written there."""
    models = answered_text(answered) or "it"
    first, *more = _STEPS.get(news.step, news.step).format(models=models), *news.text.splitlines()
    if news.step == "writing":
        return [f"{news.host}: {first}", *(f"    {line}" for line in more)]
    return [f"{news.host}: {first}" + (f": {'; '.join(more)}" if more else "")]


def _said(last: Round) -> tuple[str, str]:
    """Give what is to be said of a look, and what has to change before it is said again at once."""
    gated = last.gated
    if last.waits or gated is None or last.standing.rollout.state == "running":
        return last.waits, last.waits
    stage = f"{last.standing.rollout.at} {gated.word}"
    return stage, f"gate: {gated.word}: {gated.reason}" + (f"; missing: {gated.missing}" if gated.missing else "")

"""`trimtab terminal usage`: what the terminal used here, from its transcripts."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.core.errors import UsageError
from trimtab.terminal.index import Index, index_path, is_damage, open_index, remade
from trimtab.terminal.index_fill import Filled, fill, price
from trimtab.terminal.place import Place
from trimtab.terminal.usage import BY, By, Span, Used, read

if TYPE_CHECKING:
    from trimtab.terminal.index_fill import CallPrices

_DAYS = re.compile(r"(\d{1,4})d")
_DAY = timedelta(days=1)
_REDRAWN = 0.1  # seconds


@click.command()
@click.option(
    "--since",
    metavar="7d|DATE",
    default="30d",
    show_default=True,
    help="From this UTC day on: a date, or the last days.",
)
@click.option("--until", metavar="DATE", help="Up to this UTC day, itself among them.")
@click.option("--by", type=click.Choice(BY), default="model", show_default=True, help="What to group by.")
@click.option("--compare-at", metavar="DATE", help="Compare tasks begun before this UTC day with those from it on.")
@click.option("--home", metavar="DIR", help="The home whose transcripts count.  [default: yours]")
@click.option("--no-index", is_flag=True, help="Read everything anew, and keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(
    since: str, until: str | None, by: By, compare_at: str | None, home: str | None, no_index: bool, as_json: bool
) -> None:
    """Show what the terminal used here: tokens, dollars, iteration cycles, retries, and what came to nothing.

    Everything is read from the transcripts of sessions and subagents. A message counts once, however many files it was copied into.
    Dollars are at the catalogue's prices of each message's day; a model without a known price is counted and named, never free.
    """
    now = datetime.now(UTC)
    span = _span(since, until, now)
    at = None if compare_at is None else _date(compare_at, "--compare-at")
    place = Place.here(home)
    if home is not None and not place.home.is_dir():
        raise UsageError(f"--home {home!r} is no folder", hint="name a home folder, as in --home /home/dev")
    used, filled, warnings = _look(place, None if no_index else index_path(place.folder, os.environ), span, by, now)
    compared = None
    if at is not None:
        from trimtab.cli.terminal_usage_compare import compare

        compared = compare(used.tasks, at, now)
    if as_json:
        from trimtab.cli.show import print_json
        from trimtab.cli.terminal_usage_json import used_json

        print_json(used_json(used, span, filled, warnings, compared))
        return
    from trimtab.cli.terminal_usage_table import lines

    click.echo("\n".join(lines(used, span, place.folder, filled, warnings)))
    if compared is not None:
        click.echo("\n".join(["", *compared.lines()]))


def terminal_prices() -> CallPrices:
    """Give the catalogue's prices as the index takes them."""
    from trimtab.cli.terminal_usage_prices import TerminalPrices
    from trimtab.models.catalogue import Catalogue

    return TerminalPrices(Catalogue())


def _look(place: Place, path: Path | None, span: Span, by: By, now: datetime) -> tuple[Used, Filled, list[str]]:
    index = open_index(path)
    try:
        return _asked(index, place, span, by, now)
    except sqlite3.DatabaseError as error:
        index.close()
        if path is None or index.path is None:
            raise
        # Damage may show only when a page is read. A disk that is full or an index that is locked is no damage: do without.
        index = remade(path, str(error)) if is_damage(error) else open_index(None)
        used, filled, warnings = _asked(index, place, span, by, now)
        told = [] if index.path else [f"the index at {path} cannot be used ({error}): everything was read anew"]
        return used, filled, [*told, *warnings]
    finally:
        index.close()


def _asked(index: Index, place: Place, span: Span, by: By, now: datetime) -> tuple[Used, Filled, list[str]]:
    with _progress() as told:
        filled = fill(index.connection, place.folder, told)
    price(index.connection, terminal_prices())
    return read(index.connection, span, by, now), filled, list(index.warnings)


@contextmanager
def _progress() -> Generator[Callable[[int, int], None] | None]:
    """Draw on a terminal how much of the transcripts is read, once it takes longer than a moment."""
    if not sys.stderr.isatty():
        yield None
        return
    drawn = began = time.monotonic()

    def draw(done: int, size: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= _REDRAWN:
            drawn = now
            share = done / size if size else 1.0
            bar = "#" * round(share * 30)
            sys.stderr.write(f"\rreading transcripts [{bar:<30}] {share:4.0%} of {size / 1e6:,.0f} MB")
            sys.stderr.flush()

    try:
        yield draw
    finally:
        if drawn != began:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _span(since: str, until: str | None, now: datetime) -> Span:
    days = _DAYS.fullmatch(since.strip())
    if days and int(days[1]):
        first = now.date() - (int(days[1]) - 1) * _DAY
    elif days:
        raise UsageError(f"--since is {since!r}, expected at least one day", hint="as in --since 7d")
    else:
        first = _date(since, "--since")
    last = now.date() if until is None else _date(until, "--until")
    if last < first:
        raise UsageError(f"--until {last} is before --since {first}", hint="--until names the last day")
    return Span.of(_midnight(first), now + _DAY if until is None else _midnight(last + _DAY))


def _date(text: str, option: str) -> date:
    try:
        found = date.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"{option} is {text!r}, expected a date" + (" or days" if option == "--since" else ""),
            hint=f"as in {option} 2026-11-01" + (" or 7d" if option == "--since" else ""),
        ) from error
    if not date(1970, 1, 1) <= found < date(9000, 1, 1):
        raise UsageError(f"{option} is {text!r}, expected a date since 1970", hint=f"as in {option} 2026-11-01")
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

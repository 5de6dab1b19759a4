"""Tables on a narrow terminal: what does not fit beside one another stands below one another, and nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

_GAP = 2
_FOLDED = 12  # a column that may be folded anywhere is readable from so many characters on
_NOTHING = ("", "-")


class Unfolding(Console):
    """A console that prints a table which its terminal is too narrow for as records: a row each, its cells named."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a table, which comes alone, as it fits."""
        match objects:
            case (Table(show_header=True) as table,) if needs(table) > self.width:
                for line in records(table, self.width):
                    super().print(line)
            case (Table(show_header=True) as table,):
                _share(table, self.width)
                super().print(table, **options)
            case _:
                super().print(*objects, **options)


def needs(table: Table) -> int:
    """Say from how many columns of a terminal on no word of a table is cut."""
    return sum(map(_least, table.columns)) + _GAP * (len(table.columns) - 1)


def _share(table: Table, width: int) -> None:
    # Left to itself a table takes as much from every column, in the middle of words too.
    wanted = [_whole(column) - _least(column) for column in table.columns]
    left = width - needs(table)
    if sum(wanted) <= left:
        return
    for place, (more, column) in enumerate(sorted(zip(wanted, table.columns, strict=True), key=lambda pair: pair[0])):
        given = min(more, left // (len(wanted) - place))
        column.width, left = _least(column) + given, left - given


def _texts(column: Column) -> list[str]:
    return [_text(cell).plain for cell in (column.header, *column.cells)]


def _whole(column: Column) -> int:
    return max(cell_len(line) for text in _texts(column) for line in (text.splitlines() or [""]))


def _least(column: Column) -> int:
    texts = _texts(column)
    if column.no_wrap:
        return max(map(cell_len, texts))
    longest = max((cell_len(word) for text in texts for word in text.split()), default=0)
    return min(longest, _FOLDED) if column.overflow == "fold" else longest


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))


def records(table: Table, width: int) -> Iterator[Text]:
    """Give the lines of every row: its first cell, then the others with their names; those that say nothing are left out."""
    heads = [_text(column.header) for column in table.columns]
    rows: Iterable[tuple[object, ...]] = zip(*(column.cells for column in table.columns), strict=True)
    for row, style in zip(rows, (row.style for row in table.rows), strict=True):
        first, *rest = map(_text, row)
        if first.plain:
            yield Text.assemble(_named(heads[0], first) if first.plain in _NOTHING else first, style=style or "bold")
        named = zip(heads[1:], rest, strict=True)
        for line in _flow([_named(head, cell) for head, cell in named if cell.plain not in _NOTHING], width):
            yield Text.assemble(line, style=style or "")


def _named(head: Text, cell: Text) -> Text:
    return Text.assemble((f"{head.plain} ", "dim"), cell) if head.plain else cell


def _flow(parts: Sequence[Text], width: int) -> Iterator[Text]:
    line = Text()
    for part in parts:
        if line.plain and line.cell_len + _GAP + part.cell_len > width:
            yield line
            line = Text()
        line = Text.assemble(line, " " * _GAP, part)
    if line.plain:
        yield line

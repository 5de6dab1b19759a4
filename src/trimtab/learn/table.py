"""Opens a table of runs made elsewhere: CSV, plain or gzipped, a file or standard input, one row at a time.

Only the form is judged here: bytes, delimiter, columns. What a row means is `runs`' duty.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import IO

from trimtab.core.errors import UsageError

STDIN = "-"
_DELIMITERS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_GZIP, _UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
_LARGEST_CELL = 1 << 28  # cells may hold whole transcripts; csv's own bound of 128 KB is for no one
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of its (last) line in the file, and its cells in the order of the columns asked for.

    `cells` is None where the row has another number of cells than the header: `width` says how many.
    """

    line: int
    cells: Sequence[str] | None
    width: int


@dataclass(frozen=True, slots=True)
class Table:
    """An open table. `rows` can be walked once; `delimiter` is the one its header was written with."""

    name: str
    header: Sequence[str]
    delimiter: str
    rows: Iterator[Row]


def open_table(source: str, wanted: Sequence[tuple[str, str]], stdin: io.BufferedReader | None = None) -> Table:
    """Open `source`, a path or `-` for standard input, and find the columns of `wanted`: pairs of option and column.

    Raises:
        UsageError: no such file, no text in UTF-8, no header, or a column that is not there; with what is there.
    """
    name = "standard input" if source == STDIN else repr(source)
    text = _lines(_bytes(source, stdin), name)
    csv.field_size_limit(_LARGEST_CELL)
    first = next(text, "")
    if not first.strip():
        raise UsageError(f"{name} is empty", hint="expected CSV with a header line and a row for each run")
    delimiter, header = _header(first, {column for _, column in wanted})
    places = [_place(name, header, option, column, delimiter) for option, column in wanted]
    return Table(name, header, delimiter, _rows(name, chain([first], text), delimiter, len(header), places))


def _bytes(source: str, stdin: io.BufferedReader | None) -> IO[bytes]:
    try:
        if source == STDIN:
            raw = stdin or io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
        else:
            raw = io.BufferedReader(io.FileIO(source))
        start = raw.peek(2)[:2]
    except OSError as error:
        raise UsageError(
            f"cannot read {source!r}: {error.strerror}", hint="give a CSV file, or - for standard input"
        ) from error
    if start in _UTF16:
        raise UsageError(f"{source!r} is UTF-16, expected UTF-8", hint=f"iconv -f UTF-16 -t UTF-8 {source}")
    return gzip.open(raw) if start == _GZIP else raw  # pyright: ignore[reportReturnType]  # reads bytes, as IO does


def _lines(raw: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        with raw:
            for number, line in enumerate(raw, 1):
                yield (line[3:] if number == 1 and line.startswith(b"\xef\xbb\xbf") else line).decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}, line {number}: byte {error.object[error.start]:#04x} is not UTF-8",
            hint="save it as UTF-8, or: iconv -f LATIN1 -t UTF-8",
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(
            f"{name}: cannot be unpacked after line {number}: {error}", hint="is the file whole?"
        ) from error


def _header(line: str, wanted: set[str]) -> tuple[str, list[str]]:
    # The delimiter is the one that shows most of the wanted columns, else the one that shows most columns.
    def read(delimiter: str) -> list[str]:
        return [cell.strip() for row in csv.reader([line], delimiter=delimiter) for cell in row]

    best = max(_DELIMITERS, key=lambda d: (len(wanted.intersection(read(d))), len(read(d))))
    return best, read(best)


def _place(name: str, header: Sequence[str], option: str, column: str, delimiter: str) -> int:
    found = [place for place, title in enumerate(header) if title == column]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name} has {len(found)} columns {column!r}", hint="rename all but one")
    close = get_close_matches(column.casefold(), [h.casefold() for h in header], n=1)
    meant = next((h for h in header if close and h.casefold() == close[0]), None)
    listed = ", ".join(header[:_SHOWN]) + (f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else "")
    alone = len(header) == 1
    shape = " (one column: another delimiter than , ; tab or | ?)" if alone else f", separated by {_NAMES[delimiter]}"
    raise UsageError(
        f"{name} has no column {column!r} for {option}; its columns are: {listed}{shape}",
        hint=f"did you mean {option} {meant!r}?" if meant else f"name one of them with {option}",
    )


def _rows(name: str, lines: Iterable[str], delimiter: str, width: int, places: Sequence[int]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        next(reader)
        for cells in reader:
            if cells:
                whole = len(cells) == width
                yield Row(reader.line_num, [cells[p].strip() for p in places] if whole else None, len(cells))
    except csv.Error as error:
        raise UsageError(
            f"{name}, line {reader.line_num}: {error}", hint="every quote that is opened must be closed"
        ) from error

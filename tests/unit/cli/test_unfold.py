"""Tables on a terminal that is too narrow for them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from trimtab.cli.unfold import Unfolding


def table(*rows: Sequence[str]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("role", "model", "max_tokens", "decided by"):
        made.add_column(name)
    for row in rows:
        made.add_row(*row)
    return made


def printed(width: int, *what: object) -> str:
    out = Unfolding(file=io.StringIO(), width=width, highlight=False)
    out.print(*what)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


ROW = ("payment", "anthropic:claude-haiku-4-5", "8192", "roles.default")


def test_a_table_that_fits_stays_a_table() -> None:
    assert printed(80, table(ROW)).splitlines()[0].split() == ["role", "model", "max_tokens", "decided", "by"]


def test_a_table_that_does_not_fit_is_a_record_a_row_with_its_cells_named() -> None:
    assert printed(40, table(ROW, ("orchestrator", "m", "-", "roles.default"))) == (
        "payment\n"
        "  model anthropic:claude-haiku-4-5\n"
        "  max_tokens 8192\n"
        "  decided by roles.default\n"
        "orchestrator\n"
        "  model m  decided by roles.default\n"
    )


def test_an_empty_line_is_still_a_line() -> None:
    assert printed(40) == "\n"


words = st.text(st.characters(codec="ascii", min_codepoint=48, max_codepoint=90), min_size=1, max_size=30)


@given(st.lists(st.tuples(words, words, words, words), min_size=1, max_size=4), st.integers(45, 160))
def test_no_word_is_ever_cut(rows: list[tuple[str, ...]], width: int) -> None:
    told = printed(width, table(*rows)).split()
    assert all(word in told for row in rows for cell in row for word in cell.split() if cell != "-")

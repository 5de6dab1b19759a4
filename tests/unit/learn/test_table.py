from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from trimtab.core.errors import UsageError
from trimtab.learn.cells import amount, chance, truth
from trimtab.learn.runs import Columns, Runs, read_runs
from trimtab.learn.table import open_table

COLUMNS = Columns(unit=("task",), arm="model", success="ok")
HEAD = "task,model,ok\n"


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str | bytes, columns: Columns = COLUMNS, **arms: str) -> Runs:
        path = tmp_path / "runs.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_runs(open_table(str(path), columns.wanted), columns, **arms)

    return read_text


def columns(**more) -> Columns:
    return Columns(unit=("task",), arm="model", success="ok", **more)


@pytest.mark.parametrize("word", ["1", "1.0", "true", "TRUE", "yes", "Pass", "passed", "1e0"])
def test_success_has_many_spellings(word):
    assert truth(word) == 1


@pytest.mark.parametrize("word", ["0", "0.0", "False", "no", "fail", "-0"])
def test_failure_has_many_spellings(word):
    assert truth(word) == 0


@pytest.mark.parametrize("word", ["", "nan", "NA", "null", "None"])
def test_an_empty_cell_says_nothing(word):
    assert truth(word) is None
    assert amount(word) is None
    assert chance(word) is None


@pytest.mark.parametrize(
    ("reader", "word", "told"),
    [
        (truth, "0.5", "neither success nor failure"),
        (truth, "maybe", "'maybe'"),
        (truth, "inf", "neither"),
        (amount, "-1", "negative"),
        (amount, "much", "no number"),
        (amount, "inf", "no amount"),
        (chance, "0", "not between 0 and 1"),
        (chance, "1.0", "not between 0 and 1"),
        (chance, "50", "not between 0 and 1"),
    ],
)
def test_a_cell_that_cannot_be_read_says_why(reader, word, told):
    with pytest.raises(ValueError, match=told):
        reader(word)


def test_dollars_may_carry_their_sign():
    assert amount("$1.25") == 1.25


BODY = "a,old,1\nb,old,0\na,new,1\nb,new,1\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + BODY,
        (HEAD + BODY).replace(",", ";"),
        (HEAD + BODY).replace(",", "\t"),
        "\ufeff" + HEAD + BODY,
        (HEAD + BODY).replace("\n", "\r\n"),
        gzip.compress((HEAD + BODY).encode(), mtime=0),
        HEAD + "\n" + BODY + "\n\n",
        "note,task,model,ok\n" + "".join(f'"x, ""y""\nz",{line}\n' for line in BODY.split()),
    ],
    ids=["commas", "semicolons", "tabs", "byte order mark", "windows", "gzip", "blank lines", "quotes"],
)
def test_the_same_table_is_read_however_it_was_written(read, text):
    runs = read(text, control="old")
    assert runs.units == ["a", "b"]
    assert runs.unit.tolist() == [0, 1, 0, 1]
    assert runs.treated.tolist() == [False, False, True, True]
    assert runs.success.tolist() == [1, 0, 1, 1]
    assert runs.warnings == []


def test_standard_input_is_read_too():
    stdin = io.BufferedReader(io.BytesIO(gzip.compress((HEAD + BODY).encode())))  # pyright: ignore[reportArgumentType]
    assert read_runs(open_table("-", COLUMNS.wanted, stdin), COLUMNS, control="old").success.tolist() == [1, 0, 1, 1]


def test_where_commas_do_not_separate_they_are_decimal(read):
    runs = read("task;model;ok;usd\na;old;1;0,25\na;new;1;1,5\n", columns(cost="usd"), control="old")
    assert runs.cost.tolist() == [0.25, 1.5]


def test_every_bad_row_is_counted_and_named(read):
    rows = [
        "a,old,1,0.5",
        "a,new,1,0.5",
        "b,old,,0.5",
        "b,new,maybe,-2",
        ",old,1,1",
        "c,,1,1",
        "d,old,1",
        "e,new,nan,",
    ]
    runs = read("task,model,ok,usd\n" + "\n".join(rows) + "\n", columns(cost="usd"), control="old")
    assert runs.success.tolist() == [1, 1, -1, -1, -1]
    assert np.isnan(runs.cost).tolist() == [False, False, False, True, True]
    assert runs.warnings == [
        "3 rows without a usable outcome in 'ok', taken as unknown (line 4: empty; line 5: 'maybe' is neither success nor failure; line 9: 'nan')",
        "2 rows without a usable cost, left out of it (line 5: '-2' is negative; line 9: empty)",
        "1 row without a unit, left out (line 6)",
        "1 row without an arm, left out (line 7)",
        "1 row with another number of cells than the header, left out (line 8: 3 cells, not 4)",
    ]


def test_of_many_bad_rows_the_first_five_are_named(read):
    runs = read(HEAD + BODY + "c,old,?\n" * 8, control="old")
    assert runs.warnings[0].endswith("line 10: '?' is neither success nor failure; and 3 more)")


def test_rows_of_other_arms_are_counted_and_their_faults_are_not_ours(read):
    runs = read(HEAD + BODY + "c,third,?\nd,third,1\n", control="old", treatment="new")
    assert runs.warnings == ["2 rows of 1 other arms are not looked at"]


def test_without_a_control_the_first_arm_is_it_and_that_is_said(read):
    runs = read(HEAD + BODY)
    assert (runs.control, runs.treatment) == ("old", "new")
    assert runs.warnings == ["no --control: 'old' is taken as control, it stands first in the file"]
    assert read(HEAD + BODY, treatment="old").control == "new"


def test_a_propensity_that_is_no_chance_leaves_its_row_out(read):
    text = "task,model,ok,p\na,old,1,0.5\nb,new,0,0.5\nc,new,1,1.0\nd,old,1,\n"
    runs = read(text, columns(propensity="p"), control="old")
    assert runs.propensity.tolist() == [0.5, 0.5]
    assert runs.warnings[0].startswith(
        "2 rows without a usable propensity, left out (line 4: '1.0' is not between 0 and 1; line 5: empty"
    )


@pytest.mark.parametrize(
    "order",
    [["10", "9", "2"], ["2026-01-10T00:00:00Z", "2026-01-09T12:00:00Z", "2026-01-09T13:30:00+02:00"], ["c", "b", "a"]],
    ids=["numbers", "times", "text"],
)
def test_runs_are_put_in_order_and_those_without_a_place_come_last(read, order):
    rows = [
        f"{task},{model},1,{at}"
        for task, model, at in zip("wxyz", ("old", "new", "old", "new"), ["", *order], strict=True)
    ]
    runs = read("task,model,ok,at\n" + "\n".join(rows), columns(order="at"), control="old")
    assert [runs.units[unit] for unit in runs.unit] == ["z", "y", "x", "w"]
    assert runs.warnings == ["1 row without a place in the order, put last (line 2)"]


def test_where_keeps_the_rows_that_fit_every_column_and_any_of_its_values(read):
    text = "task,model,ok,kind\na,old,1,x\na,new,1,x\nb,old,1,y\nb,new,0,y\nc,old,0,z\n"
    runs = read(text, columns(where={"kind": ["x", "y"]}), control="old")
    assert runs.unit.size == 4
    assert read(text, columns(where={"kind": ["x"], "ok": ["1"]}), control="old").unit.size == 2


def test_several_columns_name_a_unit(read):
    two = Columns(unit=("kind", "task"), arm="model", success="ok")
    runs = read("task,model,ok,kind\n1,old,1,x\n1,new,1,x\n1,old,1,y\n1,new,0,y\n", two, control="old")
    assert runs.units == ["x/1", "y/1"]


@pytest.mark.parametrize(
    ("text", "arms", "told"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        (HEAD, {}, "no row that can be used"),
        ("task,modell,ok\n", {}, "no column 'model' for --arm; its columns are: task, modell, ok"),
        ("task model ok\n", {}, r"another delimiter than"),
        ("task,ok,ok,model\n", {}, "2 columns 'ok'"),
        (HEAD + "a,old,1\n", {}, "holds one arm only: 'old'"),
        (HEAD + BODY + "a,third,1\n", {}, "3 arms: 'old', 'new', 'third'"),
        (HEAD + BODY + "a,third,1\n", {"control": "old"}, "3 arms"),
        (HEAD + BODY, {"control": "olt"}, "no row of arm 'olt'"),
        (HEAD + BODY, {"control": "old", "treatment": "old"}, "as control and as treatment"),
        (HEAD + "a,old,1\na,new,\n", {"control": "old"}, "arm 'new' has no run with an outcome"),
        (HEAD + "a,old,0.87\na,new,0.91\n", {}, r"line 2: '0\.87' is neither success nor failure"),
        (HEAD + 'a,"old,1\n', {}, "line 2"),
        ((HEAD + "é,old,1\n").encode("latin1"), {}, "line 2: byte 0xe9 is not UTF-8"),
        ((HEAD + BODY).encode("utf-16"), {}, "UTF-16"),
        (gzip.compress((HEAD + BODY * 99).encode(), mtime=0)[:40], {}, "cannot be unpacked"),
    ],
)
def test_a_table_that_cannot_be_compared_is_one_clear_error_with_a_hint(read, text, arms, told):
    with pytest.raises(UsageError, match=told) as raised:
        read(text, **arms)
    assert raised.value.hint


def test_a_misspelt_column_arm_or_value_is_guessed(read):
    with pytest.raises(UsageError) as raised:
        read(HEAD.replace("model", "Model") + BODY)
    assert raised.value.hint == "did you mean --arm 'Model'?"
    with pytest.raises(UsageError) as raised:
        read(HEAD + BODY, control="olt")
    assert raised.value.hint == "did you mean --control 'old'?"
    with pytest.raises(UsageError, match="no row has model = nev: there are 'new', 'old'") as raised:
        read(HEAD + BODY, columns(where={"model": ["nev"]}))
    assert raised.value.hint == "did you mean 'new'?"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        open_table(str(tmp_path / "none.csv"), COLUMNS.wanted)

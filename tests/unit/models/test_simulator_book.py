from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.core.errors import UsageError
from trimtab.models.simulator import AnswerBook

SUBTASK = {"id": "a", "specialist": "calendar", "action": "hold", "inputs": {"boat": "x"}}


def planned(text: str = "a boat", *subtasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"request": text, "plan": {"subtasks": list(subtasks or (SUBTASK,))}, **more}


def test_a_book_is_read_from_lines(tmp_path: Path):
    path = tmp_path / "book.jsonl"
    path.write_text(
        json.dumps(planned("ein Böot")) + "\n\n" + json.dumps({"request": "b", "clarify": ["Which?"]}) + "\n"
    )
    book = AnswerBook.load(path)
    found = book.find(["nothing", "ein  Böot "])
    assert found is not None
    assert found.subtasks[0].as_json() == {"instruction": "", "needs": [], **SUBTASK}
    assert book.find(["nothing"]) is None


def test_an_exact_match_wins_over_an_earlier_loose_one():
    book = AnswerBook.from_entries([{"request": "one", "clarify": ["1"]}, {"request": "two", "clarify": ["2"]}])
    found = book.find([" one ", "two"])
    assert found is not None
    assert found.clarify == ["2"]


def test_a_specialist_is_placed_by_id_action_instruction_and_literal_inputs():
    first = planned("first", SUBTASK | {"inputs": {"boat": "x", "hold": "$b.id", "price": "$$5"}})
    second = planned("second", SUBTASK | {"inputs": {"boat": "y", "hold": "$b.id", "price": "$$5"}})
    book = AnswerBook.from_entries([first, second])
    shown = {"id": "a", "action": "hold", "instruction": "", "inputs": {"boat": "y", "hold": {"n": 7}, "price": "$5"}}
    found = book.entry_of(shown)
    assert found is not None
    assert found.request == "second"
    assert book.entry_of(shown | {"instruction": "Quickly."}) is None
    assert book.entry_of(shown | {"inputs": {"boat": "y"}}) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON (Expecting property name enclosed in double quotes at column 2), expected one object"),
        ("[]", "line 2: expected an object, got list"),
        ('{"reqest": "x", "clarify": ["?"]}', "line 2: unknown key 'reqest'\nhint: did you mean 'request'?"),
        ('{"clarify": ["?"]}', "line 2: key 'request' is missing\nhint: add 'request'"),
        ('{"request": " ", "clarify": ["?"]}', "line 2: 'request' is empty"),
        ('{"request": "x"}', "line 2: expected either 'plan' or 'clarify'"),
        ('{"request": "x", "clarify": []}', "line 2: 'clarify': "),
        ('{"request": 7, "clarify": ["?"]}', "line 2: 'request': Input should be a valid string, got 7"),
        ('{"request": "a  boat", "clarify": ["?"]}', "line 2: the request of {book}, line 1 again"),
        (json.dumps(planned("x", {"id": "a", "specialist": "s"})), "line 2: key 'plan.subtasks.0.action' is missing"),
        (json.dumps(planned("x", SUBTASK | {"tool": 1})), "line 2: unknown key 'plan.subtasks.0.tool'"),
        (json.dumps(planned("x", SUBTASK, SUBTASK)), "line 2: plan: two subtasks have the id 'a'"),
        (
            json.dumps(planned("x", SUBTASK | {"needs": ["z"]})),
            "line 2: plan: subtask 'a' needs 'z', which is no subtask",
        ),
        (json.dumps(planned("x", calls={"z": []})), "line 2: 'calls.z' names no subtask of the plan"),
        (json.dumps(planned("x", answers={"z": {}})), "line 2: 'answers.z' names no subtask of the plan"),
        (json.dumps(planned("x", forbidden=["pay"])), "line 2: 'forbidden' holds 'pay', expected 'specialist.action'"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_number(tmp_path: Path, line: str, said: str):
    path = tmp_path / "book.jsonl"
    path.write_text(f"{json.dumps(planned())}\n{line}\n")
    with pytest.raises(UsageError) as caught:
        AnswerBook.load(path)
    assert f"{path}, {said.replace('{book}', str(path))}" in str(caught.value)
    assert caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    empty, latin = tmp_path / "empty.jsonl", tmp_path / "latin.jsonl"
    empty.touch()
    latin.write_bytes(b"\xff\xfe")
    for path, said in ((tmp_path / "none", "cannot read"), (latin, "cannot read"), (empty, "empty")):
        with pytest.raises(UsageError, match=said):
            AnswerBook.load(path)


def test_entries_of_a_program_are_refused_by_number():
    with pytest.raises(UsageError, match="entry 2: unknown key 'clarfy'"):
        AnswerBook.from_entries([planned(), {"request": "x", "clarfy": ["?"]}])


def test_an_entry_may_be_for_one_run_and_then_share_its_text():
    asks = {"request": "hello", "clarify": ["who?"]}
    book = AnswerBook.from_entries([asks, {**asks, "clarify": ["when?"], "run": "r1"}])
    assert book.find(["hello"], "r1").clarify == ["when?"]
    assert book.find(["something else"], "r1") is None
    assert book.of_run("r2") is None
    with pytest.raises(UsageError, match="again"):
        AnswerBook.from_entries([{**asks, "run": "r1"}, {**asks, "run": "r1"}])

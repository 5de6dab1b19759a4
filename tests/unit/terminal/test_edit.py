from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.errors import UsageError
from trimtab.terminal.edit import plan_edit, raw_values, splice, take_back
from trimtab.terminal.edit_set import model_changes

# No halves of surrogate pairs: a file of UTF-8 has none.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(WORDS | st.sampled_from(["model", "env", "availableModels"]), VALUES, max_size=6)
LAYOUTS = st.sampled_from([None, 0, 2, 4, "\t"])
CHANGES = st.sampled_from([model_changes("claude-x"), model_changes("claude-x", ["claude-y"], lock=True)])


@st.composite
def texts(draw):
    text = json.dumps(draw(OBJECTS), indent=draw(LAYOUTS), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff", "  \n"])) + text + draw(st.sampled_from(["", "\n", "\r\n\n"]))


def read(text: str):
    return json.loads(text.removeprefix("\ufeff"))


@given(text=texts(), changes=CHANGES)
def test_every_other_key_keeps_its_value_and_place_and_every_other_byte_stays(text, changes):
    edit = plan_edit(text, changes)
    before, after = read(text), read(edit.new_text)
    assert after == {**before, **changes}
    assert [key for key in after if key in before] == list(before)
    assert None not in [after[key] for key in changes]
    # What is taken out again leaves the bytes it was put into.
    untouched = {key: raw for key, raw in raw_values(text).items() if key not in changes}
    assert {key: raw for key, raw in raw_values(edit.new_text).items() if key not in changes} == untouched
    around = [(t[: t.index("{")], t[t.rindex("}") :]) for t in (text, edit.new_text)]
    assert around[0] == around[1]


@given(text=texts(), changes=CHANGES)
def test_saying_it_twice_changes_nothing_more(text, changes):
    once = plan_edit(text, changes).new_text
    assert plan_edit(once, changes).new_text == once
    assert plan_edit(once, changes).diff("f") == ""


@given(text=st.none() | texts(), changes=CHANGES, other=WORDS.filter(lambda w: w not in {"model", "availableModels"}))
def test_what_was_set_is_taken_back_and_what_others_changed_meanwhile_stays(text, changes, other):
    written = plan_edit(text, changes).new_text
    meanwhile = splice(written, {other: '"theirs"'})
    edit, lost = take_back(meanwhile, text, written, "f")
    assert lost == ()
    assert read(edit.new_text) == {**(read(text) if text else {}), other: "theirs"}


@given(text=st.none() | texts(), changes=CHANGES)
def test_what_somebody_set_again_is_theirs(text, changes):
    written = plan_edit(text, changes).new_text
    edit, lost = take_back(splice(written, {"model": '"claude-theirs"'}), text, written, "f")
    assert lost == (("model",) if not text or read(text).get("model") != "claude-x" else ())
    assert read(edit.new_text)["model"] == "claude-theirs"


def test_the_layout_of_the_file_is_followed():
    text = '{\n    "a": 1.0,\n    "b" : [1,\n 2]\n}'
    assert plan_edit(text, {"model": "m"}).new_text == '{\n    "a": 1.0,\n    "b" : [1,\n 2],\n    "model" : "m"\n}'
    assert plan_edit('{"a":1}', {"model": "m"}).new_text == '{"a":1,"model":"m"}'
    assert (
        plan_edit('{\n\t"model": "old",\n\t"z": {}\n}\n', {"model": "m"}).new_text
        == '{\n\t"model": "m",\n\t"z": {}\n}\n'
    )
    assert plan_edit("{}\r\n", {"model": "m"}).new_text == '{\n  "model": "m"\n}\r\n'.replace(
        "\n  ", "\r\n  ", 1
    ).replace('"\n}', '"\r\n}')
    assert plan_edit(None, {"model": "m"}).new_text == '{\n  "model": "m"\n}\n'
    assert plan_edit(" \n", {"model": "m"}).new_text == '{\n  "model": "m"\n}\n'


def test_of_a_key_that_stands_twice_the_last_counts_and_taking_away_takes_both():
    text = '{"model": "a", "x": 1, "model": "b"}'
    assert plan_edit(text, {"model": "m"}).new_text == '{"model": "a", "x": 1, "model": "m"}'
    assert plan_edit(text, {"model": None}).new_text == '{"x": 1}'
    assert plan_edit('{"model": "a"}', {"model": None}).new_text == "{}"
    assert plan_edit('{"a": 1, "model": "a"}', {"model": None}).new_text == '{"a": 1}'


def test_a_number_is_kept_as_written_however_long():
    text = f'{{"a": {"9" * 5000}, "b": 1e999, "c": -0.0}}'
    assert plan_edit(text, {"model": "m"}).new_text == f'{text[:-1]}, "model": "m"}}'


def test_a_string_is_not_the_number_it_looks_like():
    assert plan_edit('{"model": 17}', {"model": "17"}).changes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{\n  "a": 1,\n}', "line 3, column 1: a comma with nothing behind it"),
        ('{\n  // why\n  "a": 1\n}', "line 2, column 3: a comment"),
        ('{"a": 1', "line 1, column 8: the file ends too early"),
        ("{'a': 1}", "line 1, column 2: expected a key in double quotes"),
        ('{"a" 1}', "expected ':' after a key"),
        ('{"a": 1 "b": 2}', "expected ',' or '}'"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1} x', "nothing behind the closing brace"),
        ('{"a": "\n"}', "line 1, column 8"),
        ("[]", "expected one JSON object"),
        ('{"a": ' + "[" * 100_000 + "}", "too deep"),
        ('{"a": }', "line 1, column 7: expecting value"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text, told):
    with pytest.raises(UsageError) as refused:
        plan_edit(text, {"model": "m"}, "s.json")
    assert str(refused.value).startswith("s.json: line ")
    assert told in str(refused.value)
    assert "drops the whole file" in refused.value.hint


@given(text=st.text(max_size=40) | st.text(st.sampled_from('{}[]",:1a \n/'), max_size=30))
def test_any_text_is_edited_or_refused(text):
    try:
        edit = plan_edit(text, {"model": "m"})
    except UsageError:
        return
    assert read(edit.new_text)["model"] == "m"


def test_a_diff_is_unified_and_masked():
    edit = plan_edit('{\n  "key": "secret"\n}', {"model": "m"})
    assert edit.diff("s.json", lambda text: text.replace("secret", "***")).splitlines() == [
        "--- s.json",
        "+++ s.json",
        "@@ -1,3 +1,4 @@",
        " {",
        '-  "key": "***"',
        '+  "key": "***",',
        '+  "model": "m"',
        " }",
        "\\ No newline at end of file",
    ]
    assert plan_edit(None, {"model": "m"}).diff("s.json").startswith("--- /dev/null\n+++ s.json\n")

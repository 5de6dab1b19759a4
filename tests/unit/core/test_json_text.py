from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trimtab.core.json_text import BadJsonError, Held, block, drop, held, put, put_back

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
KEYS = WORDS | st.sampled_from(["a", "b", "c"])
LEAVES = st.none() | st.booleans() | st.integers() | WORDS
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple)
LAYOUTS = st.sampled_from([None, 0, 2, "\t"])


@st.composite
def texts(draw):
    text = json.dumps(draw(OBJECTS), indent=draw(LAYOUTS), ensure_ascii=draw(st.booleans()))
    text = text.replace("\n", "\r\n") if draw(st.booleans()) else text
    return draw(st.sampled_from(["", "\ufeff", " \n"])) + text + draw(st.sampled_from(["", "\n"]))


def read(text):
    return json.loads(text.removeprefix("\ufeff")) if text is not None and text.strip("\ufeff \n") else {}


def reaches(value, path):
    """Whether nothing but objects stands on the way."""
    for key in path[:-1]:
        if key not in value:
            return True
        value = value[key]
        if not isinstance(value, dict):
            return False
    return True


@given(text=st.none() | texts(), path=PATHS)
def test_a_value_is_put_where_its_path_leads_and_nothing_else_changes(text, path):
    before = read(text)
    assume(reaches(before, path))
    after = read(put(text, path, '"new"'))
    inner = before
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = "new"
    assert after == before


@given(text=texts(), path=PATHS)
def test_what_was_put_is_put_back_with_the_objects_that_were_made_for_it(text, path):
    assume(reaches(read(text), path))
    was = held(text, path)
    assert read(put_back(put(text, path, '"new"'), path, was)) == read(text)
    if was.raw is not None:
        assert put_back(put(text, path, '"new"'), path, was) == text


@given(text=texts(), first=PATHS, second=PATHS)
def test_two_paths_are_put_back_in_the_order_in_which_they_were_put(text, first, second):
    assume(first != second[: len(first)] and second != first[: len(second)])
    assume(reaches(read(text), first) and reaches(read(text), second))
    was = [(path, held(text, path)) for path in (first, second)]
    now = put(put(text, first, "1"), second, "2")
    for path, before in was:
        now = put_back(now, path, before)
    assert read(now) == read(text)


def test_objects_that_were_there_stay_when_they_are_empty():
    text = '{"models": {"a": "x"}}'
    assert drop(text, ("models", "a"), keep=1) == '{"models": {}}'
    assert drop(text, ("models", "a"), keep=0) == "{}"
    assert drop(text, ("models", "a")) == '{"models": {}}'
    assert drop(text, ("models", "b"), keep=0) == text


def test_the_layout_within_an_object_is_followed():
    text = '{\n  "models": {\n    "a": "x"\n  },\n  "z": 1\n}\n'
    assert put(text, ("models", "b"), '"y"') == '{\n  "models": {\n    "a": "x",\n    "b": "y"\n  },\n  "z": 1\n}\n'
    assert held(text, ("models", "a")) == Held('"x"', 1)
    assert held(text, ("models", "b", "c")) == Held(None, 1)


def test_of_a_key_that_stands_twice_the_last_counts():
    text = '{"m": {"a": 1}, "m": {"a": 2}}'
    assert held(text, ("m", "a")) == Held("2", 1)
    assert put(text, ("m", "a"), "3") == '{"m": {"a": 1}, "m": {"a": 3}}'


def test_something_else_where_an_object_was_expected_is_refused_with_its_place():
    with pytest.raises(BadJsonError, match=r"line 2, column 13: expected an object in 'models'"):
        put('{\n  "models": "x"}', ("models", "a"), "1")


@given(text=st.text(st.sampled_from('{}[]",:1a \n/'), max_size=30), path=PATHS)
def test_any_text_is_changed_or_refused(text, path):
    try:
        made = put(text, path, "7")
    except BadJsonError:
        return
    assert held(made, path).raw == "7"
    assert block(made).opened >= 0

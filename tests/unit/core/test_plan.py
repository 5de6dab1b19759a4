from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.plan import Plan, Reference, Subtask, find_references, reference, resolve

RESULTS = {"q": {"total": 12.5, "of": {"deep": [1, {"x": None}]}, "none": None}, "request": {"text": "hi"}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$q.total", Reference("q", ("total",))),
        ("$q-1_b.of.deep", Reference("q-1_b", ("of", "deep"))),
        ("$_x.0", Reference("_x", ("0",))),
        ("$request.text", Reference("request", ("text",))),
    ],
)
def test_a_whole_string_of_dollar_id_and_fields_is_a_reference(text, found):
    assert reference(text) == found
    assert str(found) == text
    assert found.field == found.path[0]


@pytest.mark.parametrize(
    "value",
    [
        "$q",
        "$q.",
        "$.x",
        "$9.x",
        "$q.total ",
        " $q.total",
        "$q.total\n",
        "x$q.total",
        "$$q.total",
        "$q..x",
        "$",
        "",
        7,
        None,
        True,
    ],
)
def test_everything_else_is_none(value):
    assert reference(value) is None
    assert resolve(value, RESULTS) == (value[1:] if isinstance(value, str) and value.startswith("$$") else value)


def test_references_are_found_at_any_depth_in_order():
    value = {"a": "$a.x", "b": [{"c": "$b.y"}, ["$a.x"], "$$c.z"], "d": ("$d.w",)}
    assert [str(r) for r in find_references(value)] == ["$a.x", "$b.y", "$a.x", "$d.w"]


def test_references_are_replaced_by_what_they_point_at():
    value = {
        "sum": "$q.total",
        "all": ["$q.of", "$q.of.deep", "$q.none"],
        "text": "costs $q.total",
        "more": ("$request.text",),
    }
    assert resolve(value, RESULTS) == {
        "sum": 12.5,
        "all": [{"deep": [1, {"x": None}]}, [1, {"x": None}], None],
        "text": "costs $q.total",
        "more": ["hi"],
    }


@pytest.mark.parametrize("missing", ["$q.nothing", "$r.total", "$q.total.x", "$q.of.deep.0", "$q.none.x"])
def test_a_reference_to_nothing_names_itself(missing):
    with pytest.raises(KeyError) as told:
        resolve([missing], RESULTS)
    assert told.value.args == (missing,)


def test_what_a_reference_brings_is_not_read_again():
    """A result that looks like a reference is a guest's text, not a pointer."""
    assert resolve("$a.x", {"a": {"x": "$b.secret"}, "b": {"secret": 1}}) == "$b.secret"
    assert resolve("$a.x", {"a": {"x": "$$y"}}) == "$$y"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_any_text_can_be_said_behind_a_second_dollar(value):
    def escaped(v):
        match v:
            case str():
                return f"${v}" if v.startswith("$") else v
            case list():
                return [escaped(i) for i in v]
            case dict():
                return {k: escaped(i) for k, i in v.items()}
        return v

    assert resolve(escaped(value), {}) == value


def plan(**needs: str) -> Plan:
    return Plan(tuple(Subtask(i, "s", "a", needs=tuple(n.split())) for i, n in needs.items()))


def test_ancestors_are_all_that_ends_before():
    made = plan(a="", b="a", c="b", d="a c", e="")
    assert made.ancestors("d") == {"a", "b", "c"}
    assert made.ancestors("a") == frozenset()
    assert made.ancestors("nobody") == frozenset()


def test_ancestors_survive_cycles_and_needs_of_nothing():
    made = plan(a="c ghost", b="a", c="b")
    assert made.ancestors("a") == {"a", "b", "c"}
    assert plan(a="a").ancestors("a") == {"a"}


def test_a_plan_is_written_as_the_orchestrator_would():
    made = Plan((Subtask("q", "pricing", "quote", "now", {"hours": 2}, ("p",)),))
    assert made.as_json() == {
        "subtasks": [
            {
                "id": "q",
                "specialist": "pricing",
                "action": "quote",
                "instruction": "now",
                "inputs": {"hours": 2},
                "needs": ["p"],
            }
        ]
    }
    assert made["q"].call == "pricing.quote"

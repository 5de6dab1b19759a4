"""Only what a specialist may see reaches it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.steps import FakeSteps
from tests.integration.booking import Order, World, booking

from trimtab.core.outcome import Failed
from trimtab.core.pin import Pin
from trimtab.core.plan import Subtask
from trimtab.run.retry import Limits
from trimtab.run.route import Assignment, resolvable, route
from trimtab.run.scope import Means, Scope
from trimtab.testing import FlatPrices, ScriptedModel, StillClock

REQUEST = {"text": "two hours", "sender": "guest", "total": 3}


def scope() -> Scope:
    means = Means(ScriptedModel([]), FlatPrices(), StillClock(), Limits(), asyncio.Semaphore(1))
    pin = Pin({}, "local", "d", StillClock().now().date())
    return Scope(means, FakeSteps(), booking(World()), Order("two hours"), REQUEST, pin)


def inputs(specialist: str, action: str, given_inputs: dict[str, Any], **results: Any) -> Any:
    job = route(scope(), Subtask("s", specialist, action, "", given_inputs), results)
    return job.inputs if isinstance(job, Assignment) else job


def test_a_specialist_that_sees_all_gets_what_references_bring():
    brought = {"total": 5, "secret": "gross", "of": {"a": [1]}}
    assert inputs("notification", "send", {"text": "$q.of", "x": ["$request.text", "$q.secret"]}, q=brought) == {
        "text": {"a": [1]},
        "x": ["two hours", "gross"],
    }


def test_what_a_specialist_may_not_see_is_cut_at_any_depth():
    brought = {"total": {"total": 1, "secret": 2, "total2": 3, "list": [{"total": 4, "secret": 5}]}}
    assert inputs("payment", "charge", {"amount": "$q.total"}, q=brought) == {"amount": {"total": 1}}
    rows = {"total": [{"total": 1, "secret": 2}, [{"secret": 3}], "plain"]}
    assert inputs("payment", "charge", {"amount": ["$q.total"]}, q=rows) == {"amount": [[{"total": 1}, [{}], "plain"]]}


def test_what_the_plan_itself_says_is_not_cut():
    literal = {"amount": {"secret": 1, "more": [{"name": "x"}], "bill": "$q.total"}}
    assert inputs("payment", "charge", literal, q={"total": {"secret": 1, "total": 2}}) == {
        "amount": {"secret": 1, "more": [{"name": "x"}], "bill": {"total": 2}}
    }


json_values = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["total", "secret", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_key_that_is_not_seen_ever_reaches_a_specialist(value):
    def keys(v: Any) -> set[str]:
        match v:
            case dict():
                return set(v) | {k for i in v.values() for k in keys(i)}
            case list():
                return {k for i in v for k in keys(i)}
        return set()

    got = inputs("payment", "charge", {"a": "$q.total", "b": [{"c": "$q.total"}]}, q={"total": value})
    assert keys(got["a"]) | keys(got["b"][0]["c"]) <= {"total"}


@pytest.mark.parametrize("pointer", ["$q.gone", "$q.total.x", "$request.gone"])
def test_a_field_that_did_not_come_fails_the_subtask_by_name(pointer):
    assert inputs("notification", "send", {"text": pointer}, q={"total": 1}) == Failed(
        f"{pointer} has no value", "unresolved"
    )
    assert not resolvable(scope(), Subtask("s", "notification", "send", "", {"text": pointer}), {"q": {"total": 1}})


def test_a_text_that_begins_with_a_dollar_is_written_with_two():
    assert inputs("notification", "send", {"text": "$$q.total"}) == {"text": "$q.total"}

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.outcome import Status
from trimtab.core.values import digest, dumps

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_is_read_back(value):
    assert json.loads(dumps(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2), st.randoms())
def test_equal_values_have_one_name_whatever_their_order(value, dice):
    items = list(value.items())
    dice.shuffle(items)
    assert digest(dict(items)) == digest(value)


@given(st.text(st.characters(codec="utf-8") | st.just("\ud800")))
def test_any_text_even_half_a_pair_can_be_stored_and_named(text):
    assert json.loads(dumps({"t": text})) == {"t": text}
    dumps(text).encode("utf-8")
    assert len(digest(text)) == 16


def test_money_time_and_states_are_plain_text():
    value = {
        "m": Decimal("1.10"),
        "d": date(2026, 6, 8),
        "t": datetime(2026, 6, 8, 17, tzinfo=UTC),
        "s": Status.FAILED,
        "p": MappingProxyType({"a": 1}),
    }
    assert json.loads(dumps(value)) == {
        "m": "1.10",
        "d": "2026-06-08",
        "t": "2026-06-08T17:00:00+00:00",
        "s": "failed",
        "p": {"a": 1},
    }


def test_what_is_no_json_is_refused_by_its_type():
    with pytest.raises(TypeError, match="object is not JSON"):
        dumps({"a": object()})


def test_a_name_is_stable_for_ever():
    """Run ids and idempotency keys are digests: another algorithm would start runs and charge cards again."""
    assert digest(["booking", "k"]) == "249e9ddf31bfd002"
    assert digest({"b": "é", "a": [1, None, 2.5, "🚤"]}) == "32e7fdbe346c3d98"

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.run.retry import Limits

spans = st.timedeltas(timedelta(milliseconds=1), timedelta(days=2))


@pytest.mark.parametrize(
    ("error_class", "most"), [("rate_limited", 10), ("overloaded", 10), ("timeout", 3), ("anything", 6)]
)
def test_each_class_of_error_has_its_number_of_attempts(error_class, most):
    assert [n for n in range(1, 20) if Limits().again(error_class, n)] == list(range(1, most))


def test_limits_can_be_set():
    limits = Limits(attempts={"x": 1}, attempts_default=2)
    assert not limits.again("x", 1)
    assert limits.again("y", 1)
    assert not limits.again("y", 2)


@given(st.integers(1, 100_000), st.timedeltas(timedelta(milliseconds=1), timedelta(hours=1)), spans)
def test_the_delay_doubles_and_has_a_ceiling(attempt, backoff, most):
    delay = Limits(backoff=backoff, backoff_most=most).delay(attempt, None)
    assert timedelta(0) <= delay <= min(backoff * 2 ** min(attempt - 1, 30), most)


@given(st.integers(1, 50), st.timedeltas(timedelta(0), timedelta(days=30)))
def test_what_the_server_asked_for_is_waited_for_within_reason(attempt, after):
    limits = Limits()
    assert min(after, limits.retry_after_most) <= limits.delay(attempt, after) <= max(after, limits.backoff_most)


def test_delays_are_spread():
    assert len({Limits().delay(5, None) for _ in range(50)}) > 40

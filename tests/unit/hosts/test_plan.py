from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.json_text import Held
from trimtab.hosts.plan import BROKEN, FileChange, Plan, Seen, diff, file_change, whole
from trimtab.hosts.remote import Found, digest_of
from trimtab.hosts.ssh import Refused
from trimtab.policy.rollout_spec import FileSpec

SPEC = FileSpec("app", "/etc/app.json", "json", {"orchestrator": "model"})
FIRST = FileChange("app", "/etc/app.json", "json", "a", "b", {"model": Held('"old"', 0)}, {"model": '"new"'})


def seen(text):
    return Seen({"app": Found("/etc/app.json", "/etc/app.json", text and text.encode())}, {})


def nothing_else(model):
    return {}


def test_only_files_that_have_to_change_are_planned_and_their_other_keys_stay_out_of_it():
    plan = diff([SPEC], seen('{"model": "old", "token": "s3cret"}'), {"orchestrator": "p:new"}, nothing_else)
    assert isinstance(plan, Plan)
    ((change, content),) = plan.files
    assert json.loads(content) == {"model": "new", "token": "s3cret"}
    assert (change.before, change.after) == (
        digest_of(b'{"model": "old", "token": "s3cret"}'),
        digest_of(content),
    )
    assert "s3cret" not in repr(change)
    assert list(change.lines()) == ['/etc/app.json: model: "old" -> "new"']
    assert diff([SPEC], seen('{"model": "new"}'), {"orchestrator": "p:new"}, nothing_else) == Plan()
    assert diff([SPEC], seen(None), {"payment": "p:new"}, nothing_else) == Plan()
    made = diff([SPEC], seen(None), {"orchestrator": "p:new"}, nothing_else)
    assert isinstance(made, Plan)
    assert made.changes[0].before == "absent"
    assert list(made.changes[0].lines()) == ['/etc/app.json: model: absent -> "new"']
    assert isinstance(diff([SPEC], seen("{,}"), {"orchestrator": "p:new"}, nothing_else), Refused)


def test_a_change_is_read_back_as_it_was_kept():
    assert file_change(json.loads(json.dumps(FIRST.as_json()))) == FIRST


@pytest.mark.parametrize(
    ("before", "after", "there"),
    [
        ("b", "c", "c"),  # the second went on from the first
        ("a", "c", "c"),  # the first was never written
        ("x", "c", BROKEN),  # somebody else wrote in between: their content must not be lost
    ],
)
def test_two_changes_of_a_file_are_one_from_the_first_state(before, after, there):
    second = replace(FIRST, before=before, after=after, values={"model": Held('"new"', 0)}, wrote={"model": '"newer"'})
    (both,) = whole([FIRST], [second])
    assert (both.before, both.after) == ("a", there)
    assert both.values == {"model": Held('"old"', 0)}
    assert both.wrote == {"model": '"newer"'}


@given(writes=st.lists(st.tuples(st.sampled_from("abcx"), st.sampled_from("bcd")), max_size=5))
def test_however_often_it_was_written_the_first_state_is_what_comes_back(writes):
    files = (FIRST,)
    for before, after in writes:
        files = whole(files, [replace(FIRST, before=before, after=after, values={"model": Held('"x"', 0)})])
    assert (files[0].before, files[0].values) == ("a", FIRST.values)


def test_changes_of_other_files_stand_beside_each_other():
    other = replace(FIRST, path="/etc/other.json")
    assert whole([FIRST], [other]) == (FIRST, other)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.transcripts import Session

from trimtab.terminal.transcript_row import BadLineError
from trimtab.terminal.transcripts import Call, Event, Reading, facts

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3), max_leaves=6)  # fmt: skip
SAMPLES = [
    Session().prompt().rows[0],
    Session().answer(("Edit", {"file_path": "a"})).rows[0],
    Session().result(wrong=True).rows[0],
    Session().row("system", subtype="api_error", error={"status": 529}).rows[0],
    Session().row("system", subtype="model_fallback", originalModel="a", fallbackModel="b", trigger="x").rows[0],
    Session().row("attachment", attachment={"type": "max_turns_reached"}).rows[0],
    Session().row("api-request", id="r2", base="r1", params={"model": "m"}).rows[0],
]


def read(*rows, reading=None):
    reading = reading or Reading("s1")
    return [fact for row in rows for fact in facts(json.dumps(row).encode(), reading)]


@st.composite
def damaged(draw):
    """A real row of which some part, at any depth, is anything else."""
    row = json.loads(json.dumps(draw(st.sampled_from(SAMPLES))))
    for _ in range(draw(st.integers(1, 4))):
        at = row
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(at[key], (dict, list)) and draw(st.booleans()):
                at = at[key]
                continue
            at[key] = draw(VALUES)
            break
    return row


@given(st.binary(max_size=200))
def test_any_bytes_are_facts_or_a_bad_line(line):
    said = "facts"
    try:
        found = facts(line, Reading("s"))
    except BadLineError as error:
        found, said = [], str(error)
    assert all(isinstance(fact, (Call, Event)) for fact in found)
    assert said.startswith(("facts", "it is", "its "))


@given(damaged())
def test_a_row_of_which_any_part_is_damaged_is_facts_that_can_be_written_or_a_bad_line(row):
    try:
        found = read(row)
    except BadLineError:
        return
    for fact in found:
        for name in fact.__slots__:
            value = getattr(fact, name)
            assert isinstance(value, (str, int))
            assert not isinstance(value, str) or isinstance(value.encode(), bytes)
            assert not isinstance(value, int) or abs(value) < 2**63


def test_the_order_of_keys_does_not_matter():
    for row in SAMPLES:
        assert read(dict(reversed(row.items()))) == read(row)


def test_a_line_with_half_a_surrogate_pair_counts():
    row = Session().answer().rows[0]
    row["message"]["content"] = [{"type": "text", "text": "\ud83d"}]

    assert [fact.model for fact in read(row)] == ["claude-sonnet-4-6"]


def test_a_deep_line_is_bad_and_not_the_end():
    with pytest.raises(BadLineError, match="not JSON"):
        facts(b"[" * 200_000, Reading("s"))


@pytest.mark.parametrize("tokens", [-1, 1.5, "7", True, 10**9, 10**30, [1]])
def test_figures_that_are_no_tokens_are_a_bad_line(tokens):
    with pytest.raises(BadLineError, match="input_tokens"):
        read(Session().answer(usage={"input_tokens": tokens}).rows[0])


def test_cache_writes_are_told_apart_and_without_kinds_are_for_five_minutes():
    kinds = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12}
    written = [
        read(Session().answer(usage={"cache_creation_input_tokens": 42, **more}).rows[0])[0]
        for more in ({"cache_creation": kinds}, {}, {"cache_creation": dict.fromkeys(kinds, 0)})
    ]

    assert [(c.cache_write_5m, c.cache_write_1h) for c in written] == [(30, 12), (42, 0), (42, 0)]


def test_a_message_the_terminal_made_itself_is_no_call():
    row = Session().answer(model="<synthetic>").rows[0]

    assert read(row) == []
    assert [f.kind for f in read({**row, "isApiErrorMessage": True, "apiErrorStatus": 529})] == ["failure"]


@pytest.mark.parametrize(
    ("requested", "model", "mismatch"),
    [
        ("claude-sonnet-4-6", "claude-sonnet-4-6", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", False),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6", False),
        ("claude-sonnet-4-6", "claude-opus-5-5", True),
        ("claude-sonnet-4-6", "claude-sonnet-4-6-fast", True),
        ("", "claude-opus-5-5", False),
    ],
)
def test_another_model_than_asked_for_is_a_mismatch_and_a_release_of_it_is_none(requested, model, mismatch):
    assert read(Session().answer(model=model, requestedModel=requested).rows[0])[0].mismatch is mismatch


@pytest.mark.parametrize(
    ("more", "text", "is_prompt"),
    [
        ({}, "please", True),
        ({"promptSource": "sdk", "turnOrigin": "sdk"}, "please", True),
        ({"promptSource": "system"}, "please", False),
        ({"promptSource": "typed", "origin": {"kind": "task-notification"}}, "please", False),
        ({"promptSource": "typed", "turnOrigin": "scheduled"}, "please", False),
        ({"promptSource": None}, "please", True),
        ({"promptSource": None}, "<command-name>/model</command-name>", False),
        ({"promptSource": None}, "", False),
        ({"isMeta": True}, "please", False),
        ({"isCompactSummary": True}, "please", False),
        ({"isSidechain": True}, "please", False),
    ],
)
def test_a_prompt_is_what_somebody_asked(more, text, is_prompt):
    assert [f.kind for f in read(Session().prompt(text, **more).rows[0])] == ["prompt"] * is_prompt


def test_an_interrupt_is_not_a_prompt():
    row = Session().row("user", message={"role": "user", "content": [{"type": "text", "text": "[Request interrupted by user]"}]}).rows[0]  # fmt: skip

    assert [f.kind for f in read(row)] == ["interrupt"]


def request(key, base=None, model="m"):
    return Session().row("api-request", id=key, base=base, params={"model": model}).rows[0]


def test_a_request_built_on_one_without_an_answer_is_a_retry():
    answered = Session().answer(requestRef="r3").rows[0]

    found = read(request("r1"), request("r2", "r1"), request("r3", "r2"), answered, request("r4", "r3"))

    assert [f.key for f in found if isinstance(f, Event)] == ["resent r2", "resent r3"]


def test_a_request_to_another_model_or_for_another_prompt_is_no_retry():
    found = read(request("r1"), request("r2", "r1", "other"), Session().prompt().rows[0], request("r3", "r2", "other"))

    assert [f.kind for f in found] == ["prompt"]


def test_reading_goes_on_where_it_was_left():
    first, later = Reading("s1"), Reading("s1")
    prompt = Session().prompt().rows[0]
    read(prompt, request("r1"), reading=first)
    later.resume(first.kept())

    found = read(request("r2", "r1"), reading=later)

    assert [(f.kind, f.iteration, f.project) for f in found] == [("resent", prompt["uuid"], "/w/one")]


@given(st.text())
def test_a_place_that_cannot_be_read_is_the_beginning(kept):
    reading = Reading("s1")
    reading.resume(kept)

    assert reading.waiting == {}
    assert isinstance(reading.iteration, str)


def test_nothing_that_was_written_or_answered_is_taken():
    secret = "the secret words"
    rows = [
        *Session().prompt(secret).answer(("Write", {"file_path": f"/{secret}", "content": secret}), ("Bash", {"command": secret})).rows,
        Session().row("system", subtype="api_error", error={"message": secret, "status": secret[:0]}).rows[0],
        Session().row("user", message={"content": [{"type": "tool_result", "content": secret, "tool_use_id": "t", "is_error": True}]}).rows[0],
    ]  # fmt: skip

    assert secret not in repr(read(*rows))

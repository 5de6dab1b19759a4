from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.hosts.answer import read_answer, same

ROLES = ("orchestrator", "payment")
DATA = Path(__file__).parents[4] / "shared" / "data" / "claude_code"
BOTH = dict.fromkeys(ROLES, "claude-haiku-4-5")
USAGE = {
    "type": "result",
    "is_error": False,
    "usage": {"output_tokens": 12},
    "modelUsage": {"claude-sonnet-4-6": {"outputTokens": 12}, "claude-haiku-5-5": {"outputTokens": 900}},
}


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ('{"orchestrator": "a-1", "payment": "b-2", "x": 3}', {"orchestrator": "a-1", "payment": "b-2"}),
        ('{"orchestrator": {"model": "a-1"}, "payment": "b-2"}', {"orchestrator": "a-1", "payment": "b-2"}),
        ('{"model": "claude-haiku-4-5", "id": "msg_1"}', BOTH),
        ('"claude-haiku-4-5"', BOTH),
        ("asking...\nclaude-haiku-4-5\n\n", BOTH),
        ('log line\n{"model":\t"claude-haiku-4-5"}\n', BOTH),
        (json.dumps(USAGE), dict.fromkeys(ROLES, "claude-sonnet-4-6")),
        (json.dumps([{"type": "system"}, USAGE]), dict.fromkeys(ROLES, "claude-sonnet-4-6")),
        (json.dumps({**USAGE, "usage": {"output_tokens": 1}}), dict.fromkeys(ROLES, "claude-haiku-5-5")),
        ("anthropic:claude-haiku-4-5", dict.fromkeys(ROLES, "anthropic:claude-haiku-4-5")),
    ],
)
def test_the_model_of_an_answer_is_read(text, models):
    assert read_answer(text, ROLES).models == models


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it printed nothing"),
        ("{}", "no model in '{}'"),
        ("[]", "it printed '[]', which names no model"),
        ("17", "it printed '17', which names no model"),
        ('{"model": null}', "no model in"),
        ("Error: it is on fire!", "the last line, 'Error: it is on fire!', is no model"),
        ('{"type": "result", "is_error": true, "result": "API Error: 404"}', "the terminal failed: 'API Error: 404'"),
    ],
)
def test_what_names_no_model_is_said(text, why):
    answered = read_answer(text, ROLES)
    assert answered.models == {}
    assert why in answered.why


@pytest.mark.skipif(not DATA.exists(), reason=f"recorded output of the terminal is not in {DATA}")
@pytest.mark.parametrize("name", ["00_result.json", "09_stream_json_stdout.jsonl"])
def test_recorded_output_of_the_terminal_is_read(name):
    text = (DATA / name).read_text()
    assert read_answer(text, ["terminal"]).models.get("terminal", "").startswith("claude-")


def test_a_role_without_a_model_is_named():
    answered = read_answer('{"payment": "b-2"}', ROLES)
    assert answered.models == {"payment": "b-2"}
    assert "no model of orchestrator" in answered.why


@pytest.mark.parametrize(
    ("wanted", "answered", "is_same"),
    [
        ("anthropic:claude-haiku-4-5", "claude-haiku-4-5", True),
        ("anthropic:claude-haiku-4-5", "anthropic:claude-haiku-4-5", True),
        ("anthropic:claude-haiku-4-5", "claude-haiku-4-5-20251001", True),
        ("anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", True),
        ("anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5-20260101", False),
        ("anthropic:claude-haiku-4-5", "claude-haiku-4", False),
        ("anthropic:claude-haiku-4-5", "openai:claude-haiku-4-5", False),
        ("anthropic:claude-sonnet-4-6[1m]", "claude-sonnet-4-6", True),
        ("claude-sonnet-4-6", "claude-sonnet-4-6-20260101", True),
        ("openai:gpt-5.1", "gpt-5.1-2026-02-01", True),
    ],
)
def test_an_answer_is_told_from_one_of_another_model(wanted, answered, is_same):
    assert same(wanted, answered) is is_same

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.errors import UsageError
from trimtab.hosts.setting import changed, configured, named, restored
from trimtab.policy.rollout_spec import FileSpec
from trimtab.terminal.edit_set import model_changes

NEW = {"orchestrator": "anthropic:claude-sonnet-4-6", "payment": "openai:gpt-5.1"}
JSON = FileSpec("app", "/etc/app.json", "json", {"orchestrator": "models.orchestrator", "payment": "payment"})
TOML = FileSpec("app", "/etc/app.toml", "toml", {"orchestrator": "models.orchestrator", "payment": "payment"})
ENV = FileSpec("app", "/etc/app.env", "env", {"orchestrator": "ORCHESTRATOR_MODEL", "payment": "PAYMENT_MODEL"})
TERMINAL = FileSpec("claude", "/root/.claude/settings.json", "terminal", {"terminal": "model"}, lock=True)


def nothing_else(model):
    return {}


def change(text, spec, models=NEW, lock=nothing_else):
    """The new text, having seen that it says what was asked for, and that it can be put back."""
    made = changed(text, spec, models, "h: f", lock)
    there = {role: models[role] for role in spec.keys if role in models}
    assert {role: configured(made.text, spec, "h: f")[role] for role in there} == {
        role: named(model, spec) for role, model in there.items()
    }
    back = restored(made.text, spec.kind, made.before, "h: f", absent=text is None)
    assert configured(back, spec, "h: f") == configured(text, spec, "h: f")
    assert (back is None) == (text is None)
    return made.text, back


JSON_TEXT = '\ufeff{\r\n  "z": 1.50,\r\n  "models": {"orchestrator" : "old"},\r\n  "payment": null,\r\n  "unknown": [1, 2]\r\n}\r\n'
TOML_TEXT = """\
# The models of the service.
payment = 'old'   # never without asking

[models]
orchestrator = "old"
[other]
x = [ 1,
  2 ]
"""
ENV_TEXT = """\
# one
export ORCHESTRATOR_MODEL="old"   # two
; three
API_KEY='a b'"c" d
PAYMENT_MODEL=old\\
er
not an assignment
"""


@pytest.mark.parametrize(
    ("spec", "text", "there"),
    [
        (
            JSON,
            JSON_TEXT,
            JSON_TEXT.replace('"old"', '"claude-sonnet-4-6"').replace("null", '"gpt-5.1"'),
        ),
        (
            TOML,
            TOML_TEXT,
            TOML_TEXT.replace('"old"', '"claude-sonnet-4-6"').replace("'old'", "'gpt-5.1'"),
        ),
        (
            TOML,
            TOML_TEXT.replace("\n", "\r\n"),
            TOML_TEXT.replace("\n", "\r\n").replace('"old"', '"claude-sonnet-4-6"').replace("'old'", "'gpt-5.1'"),
        ),
        (
            ENV,
            ENV_TEXT,
            ENV_TEXT.replace('"old"', '"claude-sonnet-4-6"').replace("old\\\ner", "gpt-5.1"),
        ),
        (
            ENV,
            "\ufeffPAYMENT_MODEL=a\r\nPAYMENT_MODEL=b\r\n",
            "\ufeffPAYMENT_MODEL=a\r\nPAYMENT_MODEL=gpt-5.1\r\nORCHESTRATOR_MODEL=claude-sonnet-4-6\r\n",
        ),
        (ENV, "export A=1", "export A=1\nexport ORCHESTRATOR_MODEL=claude-sonnet-4-6\nexport PAYMENT_MODEL=gpt-5.1\n"),
        (ENV, None, "ORCHESTRATOR_MODEL=claude-sonnet-4-6\nPAYMENT_MODEL=gpt-5.1\n"),
        (JSON, None, '{\n  "models": {"orchestrator": "claude-sonnet-4-6"},\n  "payment": "gpt-5.1"\n}\n'),
        (TOML, None, 'payment = "gpt-5.1"\n\n[models]\norchestrator = "claude-sonnet-4-6"\n'),
    ],
)
def test_only_the_models_change_and_they_are_put_back(spec, text, there):
    made, back = change(text, spec)
    assert made == there
    if text is not None and "old" in text:
        assert back == text


@pytest.mark.parametrize("spec", [JSON, TOML, ENV])
def test_roles_that_are_not_asked_for_are_left_alone(spec):
    assert changed(None, spec, {"extraction": "a:b"}, "h", nothing_else).before == {}
    text = change(None, spec)[0]
    assert changed(text, spec, {}, "h", nothing_else).text == text
    assert change(text, spec)[0] == text


def test_an_id_is_written_as_the_program_there_expects_it():
    full = FileSpec("app", "/etc/app.json", "json", {"orchestrator": "model"}, ids="full")
    assert json.loads(change("{}", full)[0]) == {"model": "anthropic:claude-sonnet-4-6"}


def test_a_terminal_is_locked_and_unlocked():
    def lock(model):
        return model_changes(model, lock=True)

    text = '{"model": "opus", "env": {"TOKEN": "secret"}, "availableModels": ["a"]}'
    made, back = change(text, TERMINAL, {"terminal": "anthropic:claude-haiku-4-5"}, lock)
    assert json.loads(made) == {
        "model": "claude-haiku-4-5",
        "env": {"TOKEN": "secret"},
        "availableModels": ["claude-haiku-4-5"],
        "availableModelsMatch": "exact",
        "enforceAvailableModels": True,
    }
    assert back == text
    kept = changed(text, TERMINAL, {"terminal": "anthropic:claude-haiku-4-5"}, "h", lock)
    assert "secret" not in repr((kept.before, kept.after))


def test_a_key_with_a_dot_is_quoted():
    spec = FileSpec("app", "/etc/app.json", "json", {"orchestrator": 'models."claude.main"'})
    assert json.loads(change("{}", spec)[0]) == {"models": {"claude.main": "claude-sonnet-4-6"}}


@pytest.mark.parametrize(
    ("spec", "text", "told"),
    [
        (JSON, '{"payment": "x",}', "line 1, column 17: a comma with nothing behind it"),
        (JSON, '{"payment": {"model": "x"}}', "'payment' holds '{\"model\": \"x\"}', expected the name of a model"),
        (JSON, '{"models": []}', "expected an object in 'models'"),
        (TOML, "x = 1\npayment = \n", "line 2"),
        (TOML, "payment = 3", "payment: 3, expected the name of a model"),
        (TOML, "models = 3", "models: 3, expected a table"),
        (ENV, "A=1\nPAYMENT_MODEL='x\n", "line 2: a quote that is not closed"),
    ],
)
def test_what_cannot_be_changed_is_one_clear_error(spec, text, told):
    with pytest.raises(UsageError) as refused:
        changed(text, spec, NEW, "h: f", nothing_else)
    assert str(refused.value).startswith("h: f: ")
    assert told in str(refused.value)
    assert refused.value.hint


def test_two_roles_on_one_key_must_agree():
    spec = FileSpec("app", "/etc/app.json", "json", {"orchestrator": "model", "payment": "model"})
    with pytest.raises(UsageError, match=r"cannot be both 'claude-sonnet-4-6' and 'gpt-5\.1'"):
        changed("{}", spec, NEW, "h: f", nothing_else)
    same = dict.fromkeys(spec.keys, "a:b")
    assert json.loads(change("{}", spec, same)[0]) == {"model": "b"}


def test_without_tomlkit_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(UsageError, match="needs tomlkit") as refused:
        changed("", TOML, NEW, "h: f", nothing_else)
    assert refused.value.hint == "pip install 'trimtab[hosts]'"


def test_nothing_and_null_configure_no_model():
    assert configured('{"payment": null, "models": {"orchestrator": " "}}', JSON, "h") == dict.fromkeys(NEW)
    assert configured(None, JSON, "h") == dict.fromkeys(NEW)
    assert configured("PAYMENT_MODEL=\n", ENV, "h") == dict.fromkeys(NEW)


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
WORDS = st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True)


@given(models=st.dictionaries(st.sampled_from(["orchestrator", "payment"]), VALUES.filter(str.strip), min_size=1))
def test_any_name_of_a_model_is_read_back_as_it_was_written(models):
    given_models = {role: f"p:{model}" for role, model in models.items()}
    for spec, text in ((JSON, JSON_TEXT), (TOML, TOML_TEXT), (ENV, ENV_TEXT)):
        made = changed(text, spec, given_models, "h", nothing_else).text
        assert {role: configured(made, spec, "h")[role] for role in models} == models
    assert tomllib.loads(changed(TOML_TEXT, TOML, given_models, "h", nothing_else).text)["other"] == {"x": [1, 2]}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash reads such a file; it is not installed")
@pytest.mark.parametrize("model", ["claude-x", "a b", 'q"uo$te`s\\', "it's", "claude[1m]"])
@pytest.mark.parametrize("like", ["", "M=old\n", 'M="old"\n', "M='old'\n", "export M=old # why\n"])
def test_a_shell_reads_what_is_written(like, model, tmp_path):
    spec = FileSpec("app", "/x", "env", {"orchestrator": "M"})
    path = tmp_path / "file.env"
    path.write_text(changed(like, spec, {"orchestrator": f"p:{model}"}, "h", nothing_else).text)
    read = subprocess.run(["bash", "-c", f'. {path}; printf %s "$M"'], capture_output=True, text=True, check=True)
    assert read.stdout == model


@given(text=st.text(st.sampled_from("AB=\"'\\ \n#$x"), max_size=25))
def test_any_environment_file_is_changed_or_refused(text):
    spec = FileSpec("app", "/x", "env", {"orchestrator": "A", "payment": "B"})
    try:
        made = changed(text, spec, NEW, "h", nothing_else)
    except UsageError:
        return
    assert configured(made.text, spec, "h") == {"orchestrator": "claude-sonnet-4-6", "payment": "gpt-5.1"}

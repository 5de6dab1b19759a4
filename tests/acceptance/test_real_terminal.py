"""`trimtab terminal show` and `verify` against the real terminal: the model of its request decides who is right."""

import itertools
import json
import os
import sys

import pytest

from tests.acceptance.real_terminal import VERSIONS, Tree, asked_for, can_manage, in_own_etc, install
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import resolve

SONNET, HAIKU, OPUS = "claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-8"

# One id a layer, the strongest first; the first layer's tree is laid over the second's.
LAYERS = {
    "flag": Tree({}, flag="claude-x-flag"),
    "env": Tree({}, {"ANTHROPIC_MODEL": "claude-x-env"}),
    "managed": Tree({"managed": {"model": "claude-x-managed"}}),
    "settings": Tree({"file": {"model": "claude-x-settings"}}),
    "local": Tree({"local": {"model": "claude-x-local"}}),
    "project": Tree({"project": {"model": "claude-x-project"}}),
    "user": Tree({"user": {"model": "claude-x-user"}}),
    "default": Tree({}, {"ANTHROPIC_DEFAULT_MODEL": "claude-x-default"}),
}
PAIRS = {
    f"{a} over {b}": Tree({**LAYERS[b].files, **LAYERS[a].files}, {**LAYERS[b].env, **LAYERS[a].env}, LAYERS[a].flag)
    for a, b in itertools.combinations(LAYERS, 2)
}


def _user(**values):
    return Tree({"user": values})


def _managed(flag=None, env=None, **values):
    return Tree({"managed": values}, env or {}, flag)


ROWS = {
    "default_model does nothing": _user(default_model=SONNET),
    "defaultModel does nothing": _user(defaultModel=SONNET),
    "model": _user(model=SONNET),
    "model empty": _user(model=""),
    "model null": _user(model=None),
    "model a number": _user(model=17),
    "trailing comma": Tree({"user": b'{"model": "claude-sonnet-4-6",}'}),
    "comment": Tree({"user": b'{\n  // here\n  "model": "claude-sonnet-4-6"}'}),
    "truncated": Tree({"user": b'{"model": "claude-sonn'}),
    "a list": Tree({"user": b"[]"}),
    "another key of a wrong type": _user(model=SONNET, cleanupPeriodDays="abc"),
    "a bad permission": _user(model=SONNET, permissions={"allow": [17, "Bash(("]}),
    "a mark at the start": Tree({"user": b'\xef\xbb\xbf{"model": "  SONNET "}'}),
    "a typo": _user(model="claude-sonet-4-6"),
    "a block beats the shell": Tree({"user": {"env": {"ANTHROPIC_MODEL": SONNET}}}, {"ANTHROPIC_MODEL": HAIKU}),
    "a block beats managed": Tree({"user": {"env": {"ANTHROPIC_MODEL": HAIKU}}, "managed": {"model": SONNET}}),
    "a later drop-in": Tree({"managed": {"model": OPUS}, "drop:1.json": {"model": HAIKU}, "drop:2.json": {"model": SONNET}}),
    "managed broken": Tree({"managed": b"{,", "user": {"model": SONNET}}),
    "a managed field": _managed(model=SONNET, cleanupPeriodDays="abc"),
    **{f"alias {name}": _user(model=name) for name in ("opus", "sonnet", "haiku", "fable", "best", "opusplan", "opus[1m]")},
    "default as a flag": Tree({"user": {"model": SONNET}}, flag="default"),
    "plan mode, haiku": _user(model="haiku", permissions={"defaultMode": "plan"}),
    "plan mode, opusplan": _user(model="opusplan", permissions={"defaultMode": "plan"}),
    **{
        f"{name} repinned": Tree({"user": {"model": name}}, {f"ANTHROPIC_DEFAULT_{name.upper()}_MODEL": "claude-x"})
        for name in ("opus", "sonnet", "haiku")
    },
    "opus repinned moves the default": Tree({}, {"ANTHROPIC_DEFAULT_OPUS_MODEL": OPUS}),
    **{f"renamed {old}": _user(model=old) for old in ("claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-20250514")},
    "not renamed": Tree({"user": {"model": "claude-opus-4-1"}}, {"CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1"}),
    "allowed list alone": _managed(HAIKU, availableModels=[SONNET]),
    "enforced, flag": _managed(HAIKU, availableModels=[SONNET], enforceAvailableModels=True),
    "enforced, env": _managed(env={"ANTHROPIC_MODEL": HAIKU}, availableModels=[SONNET], enforceAvailableModels=True),
    "exact": _managed(HAIKU, availableModels=[SONNET], availableModelsMatch="exact"),
    "the lock": _managed("opus", model=SONNET, availableModels=[SONNET], availableModelsMatch="exact"),
    "denied": _managed(deniedModels=["opus", "fable"]),
    "all denied": _managed(deniedModels=["opus", "sonnet", "haiku"]),
    "nothing allowed": _managed(SONNET, availableModels=[]),
    "a user's list": Tree({"user": {"availableModels": [SONNET]}}, flag=HAIKU),
    "a project's enforced list": Tree({"project": {"availableModels": [SONNET], "enforceAvailableModels": True}}, flag=HAIKU),
}  # fmt: skip
ALL = {**PAIRS, **ROWS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_show_names_the_model_that_the_real_terminal_asks_for(name, version, tmp_path):
    tree, program = ALL[name], install(version)
    if tree.is_managed and not can_manage():
        pytest.skip("managed settings need root, for a mount namespace of their own")
    tree.write(tmp_path)
    real = asked_for(program, tree, tmp_path)
    place = Place(tmp_path / "home", tmp_path / "project", tmp_path / "managed", tree.env)
    found = resolve(place, version, tree.flag, str(tmp_path / "given.json") if "file" in tree.files else None)
    assert (found.model or None) == real
    assert found.runs is (real is not None)


@pytest.mark.parametrize(
    "name", ["default_model does nothing", "comment", "the lock", "a block beats managed", "managed broken"]
)
def test_verify_agrees_with_show_and_writes_nothing(name, tmp_path):
    import subprocess

    tree, program = ALL[name], install("2.1.330")
    if tree.is_managed and not can_manage():
        pytest.skip("managed settings need root, for a mount namespace of their own")
    tree.write(tmp_path)
    before = _files(tmp_path)
    command = [sys.executable, "-m", "trimtab", "terminal", "verify", "--cli", str(program), "--json"]
    command += [] if tree.flag is None else ["--model", tree.flag]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **tree.env}
    done = subprocess.run(
        in_own_etc(tmp_path, command) if tree.is_managed else command,
        cwd=tmp_path / "project", env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["problems"] == []
    assert done.returncode == 0
    assert (said["model"] or "") == said["expected"]
    assert _files(tmp_path) == before


def test_verify_leaves_with_1_where_the_policy_wants_another_model(terminal):
    program = install("2.1.330")
    terminal.write("home/.claude/settings.json", json.dumps({"model": SONNET}))
    terminal.write("trimtab.toml", f'[terminal]\nmodel = "{HAIKU}"\n')
    said = terminal.run("terminal", "verify", "--cli", str(program), "--policy", "trimtab.toml")
    assert said.code == 1
    assert f"asks for {SONNET}, the policy wants {HAIKU}" in said.out
    terminal.write("trimtab.toml", f'[terminal]\nmodel = "{SONNET}"\n')
    assert terminal.run("terminal", "verify", "--cli", str(program), "--policy", "trimtab.toml").code == 0


def test_verify_sends_no_key_and_obeys_no_address_of_a_settings_block(terminal):
    program = install("2.1.330")
    block = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "not-to-be-sent"}
    terminal.write("home/.claude/settings.json", json.dumps({"model": SONNET, "env": block}))
    said = terminal.run("terminal", "verify", "--cli", str(program), "--json")
    assert said.json["model"] == SONNET


def test_verify_runs_no_program_that_gives_keys(terminal):
    program = install("2.1.330")
    ran = terminal.folder / "ran"
    terminal.write("home/.claude/settings.json", json.dumps({"model": SONNET, "apiKeyHelper": f"touch {ran}; echo k"}))
    said = terminal.run("terminal", "verify", "--cli", str(program), "--json")
    assert (said.code, said.json["model"]) == (0, SONNET)
    assert not ran.exists()


def test_verify_takes_an_agent_as_the_terminal_does(terminal):
    program = install("2.1.330")
    terminal.write(".claude/agents/x.md", f"---\nname: x\ndescription: d\nmodel: {HAIKU}\n---\nbe\n")
    said = terminal.run("terminal", "verify", "--cli", str(program), "--agent", "x", "--json")
    assert (said.code, said.json["model"], said.json["expected"]) == (0, HAIKU, HAIKU)


def test_show_says_which_key_does_nothing_and_what_to_call_it(terminal):
    terminal.write("home/.claude/settings.json", '{\n  "default_model": "claude-sonnet-4-6"\n}')
    said = terminal.run("terminal", "show", "--cli-version", "2.1.330", "--json")
    assert said.code == 1
    assert said.json["model"] == "claude-opus-5-5"
    assert set(said.json) >= {"model", "source", "key", "layers", "problems", "cli_version"}
    assert "line 2, column 3: 'default_model' does nothing" in said.json["problems"][0]["what"]
    assert "'model'" in said.json["problems"][0]["mend"]


def test_show_of_a_home_without_settings_is_fine(terminal):
    said = terminal.run("terminal", "show", "--cli-version", "2.1.330")
    assert said.code == 0
    assert said.out.startswith("model    claude-opus-5-5\n")


def _files(root):
    kept = [path for name in ("home", "project") for path in (root / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}

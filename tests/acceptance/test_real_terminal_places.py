"""What `trimtab terminal show` says in odd places and of what is given on the command line, against the real terminal."""

import json
from dataclasses import replace

import pytest

from tests.acceptance.real_terminal import VERSIONS, Tree, asked_for, can_manage, install, show, start
from tests.acceptance.test_real_terminal_agents import A_CALL, by_mark, call
from tests.fakes.messages_api import Says, serving

SONNET, HAIKU, OPUS = "claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-8"
USER = {"user": {"model": SONNET}}
AGENT = {"project/.claude/agents/x.md": f"---\nname: x\ndescription: d\nmodel: {HAIKU}\n---\nbe\n".encode()}
ENFORCED = {"model": "opus", "availableModels": [HAIKU], "enforceAvailableModels": True}

# A tree, and the options of the terminal that `show` has, too.
ODD = {
    "an empty option": (Tree(USER, flag=""), ()),
    "an empty option past a list": (Tree({"user": {**USER["user"], "availableModels": [SONNET]}}, flag=""), ()),
    "an empty option under an agent": (Tree({**USER, **AGENT}, flag=""), ("--agent", "x")),
    "spaces for a variable": (Tree(USER, {"ANTHROPIC_MODEL": " "}), ()),
    "an empty managed file": (Tree({"managed": {}, "project": ENFORCED}), ()),
    "a managed file with an unknown key": (Tree({"managed": {"x": 1}, "project": ENFORCED}), ()),
    "a managed key that cannot be read": (Tree({"managed": {"env": 3}, "project": ENFORCED}), ()),
    "a folder for a drop-in": (Tree({**USER, "managed/managed-settings.d/9.json/x": b""}), ()),
    "a folder for managed settings": (Tree({**USER, "managed/managed-settings.json/x": b""}), ()),
    "two marks of a long context": (Tree({"user": {"model": "opus[1m][1m]"}}), ()),
    "another mark of a long context": (Tree({"user": {"model": "claude-sonnet-4-6[2m]"}}), ()),
    "a rewritten alias": (
        Tree({"user": {"model": "sonnet[1m]"}, "home/.claude.json": {"sonnet1m45MigrationComplete": True}}),
        (),
    ),
    "an empty folder for settings": (Tree({**USER, "project/settings.json": {"model": HAIKU}}, {"CLAUDE_CONFIG_DIR": ""}), ()),
}  # fmt: skip


def _agents(**more):
    return ("--agents", json.dumps({"x": {"description": "d", "prompt": "be", "model": HAIKU, **more}}), "--agent", "x")


GIVEN = {
    "given": (Tree(USER), _agents()),
    "given without a model": (Tree(USER), ("--agents", '{"x": {"description": "d", "prompt": "be"}}', "--agent", "x")),
    "given with an alias": (Tree(USER), _agents(model="haiku")),
    "given over a file": (Tree({**USER, "project/.claude/agents/x.md": AGENT["project/.claude/agents/x.md"].replace(b"haiku", b"opus")}), _agents()),
    "given under a managed file": (Tree({**USER, "managed/.claude/agents/x.md": b"---\nname: x\ndescription: d\nmodel: claude-m\n---\n", "managed": {}}), _agents()),
    "given with an empty prompt": (Tree(USER), _agents(prompt="")),
    "given with a number": (Tree(USER), _agents(model=3)),
    "given wrongly": (Tree(USER), ("--agents", "{")),
    "a file of them": (Tree({**USER, "project/given.json": json.loads(_agents()[1])}), ("--agents", "given.json", "--agent", "x")),
    "no such file of them": (Tree(USER), ("--agents", "none.json")),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*ODD, *GIVEN])
def test_show_names_the_model_in_odd_places_and_of_agents_that_are_given(name, version, tmp_path):
    tree, more = (ODD | GIVEN)[name]
    _ready(tree, tmp_path)
    told = show(tree, tmp_path, version, *more)
    real = asked_for(install(version), tree, tmp_path, *more)
    assert (told["model"] if told["runs"] else None) == real


@pytest.mark.parametrize(
    "tree",
    [
        Tree({"user": {"model": "claude-fable-5-2"}, "managed": {"availableModels": ["fable"], "availableModelsMatch": "exact"}}),
        Tree({"user": {"model": OPUS, "availableModels": [OPUS, HAIKU]}, **AGENT}, {"CLAUDE_CODE_SUBAGENT_MODEL": HAIKU}),
        Tree({"user": {"model": OPUS, "availableModels": [OPUS, HAIKU]}}, {"CLAUDE_CODE_SUBAGENT_MODEL": "claude-x"}),
    ],
)  # fmt: skip
def test_a_subagent_whose_model_may_not_run_takes_the_variables_and_explore_what_may(tree, tmp_path):
    agents = {"project/.claude/agents/far.md": b"---\nname: far\ndescription: d\nmodel: claude-fable-5\n---\nbe\n"}
    tree = replace(tree, files={**tree.files, **agents})
    _ready(tree, tmp_path)
    told = show(tree, tmp_path, VERSIONS[0])
    with serving() as api:
        api.is_played = lambda body: "MARK-" not in str(body["messages"][0])
        calls = [call(agent["name"], None) for agent in told["subagents"]] + [
            call("general-purpose", said) for said in A_CALL
        ]
        api.script += [Says(tools=tuple(calls[:6])), Says(tools=tuple(calls[6:]))]
        start([str(install(VERSIONS[0])), "-p", "hi"], tree, tmp_path, api.url)
    asked = by_mark(api.bodies)
    shown = {"": told["model"]} | {agent["name"]: agent["model"] for agent in told["subagents"]}
    assert asked == shown | {f"general-purpose {said}": told["calls"][said] for said in A_CALL}


@pytest.mark.parametrize("version", VERSIONS)
def test_show_says_with_which_model_a_session_goes_on_that_is_named(version, tmp_path):
    tree, program = Tree({"user": {"model": OPUS}}), str(install(version))
    _ready(tree, tmp_path)
    with serving() as api:
        made = [
            start([program, "-p", "hi", "--output-format", "json", "--model", model], tree, tmp_path, api.url).stdout
            for model in (SONNET, HAIKU)
        ]
        ids = [json.loads(said)["session_id"] for said in made]
        named = [show(tree, tmp_path, version, "--resume", session)["resumed"] for session in ids]
        api.models.clear()
        for session in ids:
            start([program, "-p", "hi", "--resume", session], tree, tmp_path, api.url)
    assert [resumed["session"] for resumed in named] == ids
    assert [resumed["model"] for resumed in named] == api.models == [SONNET, HAIKU]


def test_wrong_agents_keep_a_fresh_session_from_starting_and_no_session_from_going_on(tmp_path):
    tree, program, wrong = Tree({"user": {"model": OPUS}}), str(install(VERSIONS[0])), ("--agents", "{")
    _ready(tree, tmp_path)
    with serving() as api:
        start([program, "-p", "hi", "--model", SONNET], tree, tmp_path, api.url)
        told = show(tree, tmp_path, VERSIONS[0], *wrong)
        api.models.clear()
        start([program, "-p", "hi", *wrong], tree, tmp_path, api.url)
        assert (told["runs"], api.models) == (False, [])
        start([program, "-p", "hi", "--continue", *wrong], tree, tmp_path, api.url)
    assert [told["resumed"]["model"]] == api.models == [SONNET]


def test_a_session_that_is_not_there_is_a_usage_error(terminal):
    said = terminal.run("terminal", "show", "--resume", "11111111-1111-1111-1111-111111111111")
    assert said.code == 2
    assert "no session of this project has the id" in said.err


def test_what_no_model_is_called_and_what_is_in_no_list_is_said(terminal):
    literal = terminal.run("terminal", "show", "--cli-version", "2.1.330", "--settings", '{"model": "default"}')
    assert (literal.code, literal.out.splitlines()[0]) == (1, "model    default")
    assert "the model is called 'default': no model is" in literal.out
    typo = terminal.run("terminal", "show", "--cli-version", "2.1.330", "--settings", '{"model": "claude-sonet-4-6"}')
    assert typo.code == 0
    assert "'claude-sonet-4-6' is in no list of models" in typo.out
    assert "did you mean 'claude-sonnet-4-6'" in typo.out


def test_another_cloud_is_an_error_where_only_an_alias_is_named(terminal):
    more = ("terminal", "show", "--cli-version", "2.1.330", "--json")
    cloud = {"CLAUDE_CODE_USE_BEDROCK": "1"}
    alias = terminal.run(*more, "--model", "sonnet", env=cloud)
    full = terminal.run(*more, "--model", SONNET, env=cloud)
    assert (alias.code, full.code) == (1, 0)
    assert [found["weight"] for found in full.json["problems"] if found["where"] == "CLAUDE_CODE_USE_BEDROCK"] == [
        "warning"
    ]
    assert terminal.run(*more, "--model", "sonnet", env={"CLAUDE_CODE_USE_BEDROCK": "0"}).code == 0


def test_a_link_to_nowhere_is_said(terminal):
    link = terminal.folder / ".claude" / "settings.json"
    link.parent.mkdir()
    link.symlink_to(terminal.folder / "none.json")
    said = terminal.run("terminal", "show", "--cli-version", "2.1.330")
    assert f"warning: {link}: a link to nowhere" in said.out


def _ready(tree, root):
    if any(name.startswith(("managed", "drop:")) for name in tree.files) and not can_manage():
        pytest.skip("managed settings need root, for a mount namespace of their own")
    tree.write(root)

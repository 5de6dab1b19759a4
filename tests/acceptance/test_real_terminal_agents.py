"""What `trimtab terminal show` says of subagents and of sessions that go on, against the requests of the real terminal."""

import json
import re
from dataclasses import replace

import pytest

from tests.acceptance.real_terminal import VERSIONS, Tree, can_manage, install, show, start
from tests.fakes.messages_api import Fails, Says, serving

SONNET, HAIKU, OPUS = "claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-6"
HERE = "project/.claude/agents"
MODEL, FORCE = "CLAUDE_CODE_SUBAGENT_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL_FORCE"
A_CALL = ("sonnet", "opus", "haiku", "fable")
AT_ONCE = 9


def _file(name, model=None, more=""):
    said = f"model: {model}\n" if model is not None else ""
    return f"---\nname: {name}\ndescription: d\n{said}{more}---\nbe\n".encode()


SAYS = [
    None, "inherit", "Inherit", "Sonnet", "haiku", "opus", "fable", "best", "opusplan", "default", "sonnet[1m]", HAIKU,
    "claude-opus-4-1", "claude-sonet-4-6", "Claude-Haiku-4-5", "opus-4-8",
]  # fmt: skip
AGENTS = {f"{HERE}/a{at}.md": _file(f"a{at}", said) for at, said in enumerate(SAYS)}
# How people write such a file, and where they put it; those named `no` are none.
WRITTEN = {
    f"{HERE}/comment.md": _file("comment", "haiku # cheap"),
    f"{HERE}/quoted.md": b'---\n"name": "quoted"\ndescription: "d"\n"model": "haiku"\n---\n',
    f"{HERE}/crlf.md": _file("crlf", "haiku").replace(b"\n", b"\r\n"),
    f"{HERE}/indented.md": b"---\n  name: indented\n  description: d\n  model: haiku\n---\n",
    f"{HERE}/folded.md": b"---\nname: folded\ndescription: >\n  long\n  model: opus\nmodel:\n  haiku\n---\n",
    f"{HERE}/colons.md": b'---\nname: colons\ndescription: use when: "x" [\nmodel: haiku\ntools:\n- Read\n---\n',
    f"{HERE}/json.md": b'---\n{"name": "json", "description": "d", "model": "haiku"}\n---\n',
    f"{HERE}/number.md": _file("number", "17"),
    f"{HERE}/null.md": _file("null-model", "null"),
    f"{HERE}/list.md": _file("list", "[haiku]"),
    f"{HERE}/deep/er/nested.md": _file("nested", "haiku"),
    f"{HERE}/no1.md": b"---\nname: no1\nmodel: haiku\n---\n",
    f"{HERE}/no2.md": _file("31", "haiku"),
    f"{HERE}/no3.md": b"---\nname: no3\ndescription: d\nmodel:haiku\n---\n",
    f"{HERE}/no4.md": b"---\nname: no4\ndescription: d\nmodel: haiku\n",
    f"{HERE}/Explore.md": _file("Explore", "opus"),
    ".claude/agents/above.md": _file("above", "haiku"),
    ".claude/agents/both.md": _file("both", "claude-above"),
    f"{HERE}/both.md": _file("both", "claude-here"),
    "home/.claude/agents/both.md": _file("both", "claude-home"),
    "home/.claude/agents/mine.md": _file("mine", "haiku"),
    "home/.claude/agents/theirs.md": _file("theirs", "claude-home"),
    "managed/.claude/agents/theirs.md": _file("theirs", "claude-managed"),
    "managed": {},
}


def _under(flag, env=None, **files):
    return Tree({**AGENTS, **files}, env or {}, flag)


SUBAGENTS = {
    "the built-in default": _under(None),
    "the parent's version of its family": _under(SONNET),
    "below the dearest family": _under("claude-fable-5"),
    "as people write files": Tree(WRITTEN, {}, SONNET),
    "the variable": _under(SONNET, {MODEL: "sonnet"}),
    "the variable forced": _under(SONNET, {MODEL: "claude-e", FORCE: "1"}),
    "forced without the variable": _under(SONNET, {FORCE: "TRUE"}),
    "the variable says Inherit": _under(SONNET, {MODEL: "Inherit"}),
    "the variable in a block": _under(SONNET, {MODEL: "claude-e"}, user={"env": {MODEL: HAIKU}}),
    "an alias repinned": _under(SONNET, {"ANTHROPIC_DEFAULT_SONNET_MODEL": "claude-y"}),
    "a list": _under(SONNET, user={"availableModels": [SONNET, HAIKU]}),
    "the lock": _under(OPUS, managed={"availableModels": [SONNET], "availableModelsMatch": "exact"}),
    "a list of versions": _under(SONNET, managed={"availableModels": [SONNET, HAIKU, "claude-opus-4-8"], "enforceAvailableModels": True}),
    "denied": _under(SONNET, managed={"deniedModels": ["opus", "claude-fable-5"]}),
    "overridden": _under("sonnet", user={"modelOverrides": {"claude-sonnet-5-5": "claude-q", "claude-sonnet-5": "claude-q"}}),
}  # fmt: skip


def _under_list(fallbacks, **more):
    return Tree({"user": {"fallbackModel": fallbacks, **more}})


# Rows of all tables in which an older version differs, or is worth a second look.
OLDER = {
    *("as people write files", "the variable", "the variable forced", "the variable says Inherit"),
    *("a list", "the lock", "overridden"),
    *(
        "an agent over the variable",
        "an agent that is built in",
        "no such agent",
        "its own",
        "the variable of the default",
    ),
    *(
        "a fallback sticks",
        "another answer",
        "unknown",
        "overridden",
        "the lock",
        "denied",
        "its agent",
        "switched off",
    ),
}


def _rows(table):
    return [(name, version) for version in VERSIONS for name in table if version == VERSIONS[0] or name in OLDER]


@pytest.mark.parametrize(("name", "version"), _rows(SUBAGENTS))
def test_show_names_the_model_of_every_subagent(name, version, tmp_path):
    tree = _ready(SUBAGENTS[name], tmp_path)
    told = show(tree, tmp_path, version)
    wanted = [(agent["name"], None) for agent in told["subagents"]] + [("general-purpose", said) for said in A_CALL]
    absent = [("no1", None), ("31", None), ("no3", None), ("no4", None)]
    with serving() as api:
        api.is_played = lambda body: "MARK-" not in json.dumps(body["messages"][0])
        calls = [call(*each) for each in [*wanted, *absent]]
        api.script += [Says(tools=tuple(calls[at : at + AT_ONCE])) for at in range(0, len(calls), AT_ONCE)]
        start(_command(version, tree), tree, tmp_path, api.url)
    asked = by_mark(api.bodies)
    assert asked.pop("") == told["model"]
    shown = {agent["name"]: agent["model"] for agent in told["subagents"]}
    assert asked == shown | {f"general-purpose {said}": told["calls"][said] for said in A_CALL}


AGENT = {f"{HERE}/x.md": _file("x", HAIKU), f"{HERE}/silent.md": _file("silent"), "user": {"model": OPUS}}
STARTED_AS = {
    "an agent": (Tree(AGENT), "x"),
    "an agent over the variable": (Tree(AGENT, {"ANTHROPIC_MODEL": "claude-env"}), "x"),
    "a flag over an agent": (Tree(AGENT, flag="claude-flag"), "x"),
    "an agent that says nothing": (Tree(AGENT), "silent"),
    "an agent that is built in": (Tree(AGENT), "statusline-setup"),
    "no such agent": (Tree(AGENT), "X"),
    "the setting": (Tree({**AGENT, "user": {"agent": "x", "model": OPUS}}), None),
    "a setting that names none": (Tree({**AGENT, "user": {"agent": "X", "model": OPUS}}), None),
}


@pytest.mark.parametrize(("name", "version"), _rows(STARTED_AS))
def test_show_names_the_model_of_a_session_that_runs_as_an_agent(name, version, tmp_path):
    tree, agent = STARTED_AS[name]
    tree, more = _ready(tree, tmp_path), [] if agent is None else ["--agent", agent]
    told = show(tree, tmp_path, version, *more)
    with serving() as api:
        start(_command(version, tree, *more), tree, tmp_path, api.url)
    assert (told["model"] or None) == next(iter(api.models), None)
    assert told["runs"] is bool(api.models)


GO_ON = ("--continue",)
LATER = {"user": {"model": OPUS}}
FALLS = ("--fallback-model", HAIKU)
# A session's first turn (its tree, what the API does, more options), and the tree and options with which it goes on.
SESSIONS = {
    "its own": (Tree({}, flag=SONNET), [], (), Tree(LATER), GO_ON),
    "its own over managed": (Tree({}, flag=SONNET), [], (), Tree({"managed": {"model": OPUS}}), GO_ON),
    "a fork": (Tree({}, flag=SONNET), [], (), Tree(LATER), (*GO_ON, "--fork-session")),
    "a flag": (Tree({}, flag=SONNET), [], (), Tree(LATER, flag=HAIKU), GO_ON),
    "the default as a flag": (Tree({}, flag=SONNET), [], (), Tree(LATER, flag="default"), GO_ON),
    "the variable": (Tree({}, flag=SONNET), [], (), Tree(LATER, {"ANTHROPIC_MODEL": HAIKU}), GO_ON),
    "the variable of the default": (Tree({}, flag=SONNET), [], (), Tree({}, {"ANTHROPIC_DEFAULT_MODEL": HAIKU}), GO_ON),
    "an alias repinned": (Tree({}, flag=SONNET), [], (), Tree(LATER, {"ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-y"}), GO_ON),
    "a fallback sticks": (Tree({}, flag=SONNET), [Fails(500), Says()], FALLS, Tree(LATER), GO_ON),
    "a fallback that is not allowed": (Tree({}, flag=SONNET), [Fails(500), Says()], FALLS, Tree({"user": {"model": OPUS, "availableModels": [OPUS]}}), GO_ON),
    "a turn that failed": (Tree({}, flag=SONNET), [Fails(400)] * 9, (), Tree(LATER), GO_ON),
    "a dated answer": (Tree({}, flag=HAIKU), [Says(model="claude-haiku-4-5-20251001")], (), Tree(LATER), GO_ON),
    "another answer": (Tree({}, flag=SONNET), [Says(model="claude-zz")], (), Tree(LATER), GO_ON),
    "the other model of an alias by mode": (Tree({}, flag=SONNET), [], (), Tree({"user": {"model": "haiku"}}), GO_ON),
    "not of an alias by mode": (Tree({}, flag=OPUS), [], (), Tree({"user": {"model": "haiku"}}), GO_ON),
    "unknown": (Tree({}, flag="claude-x"), [], (), Tree(LATER), GO_ON),
    "retired": (Tree({}, flag="claude-3-7-sonnet-20250219"), [], (), Tree(LATER), GO_ON),
    "renamed": (Tree({}, {"CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1"}, "claude-opus-4-1"), [], (), Tree(LATER), GO_ON),
    "overridden": (Tree({}, flag=SONNET), [], (), Tree({"user": {"modelOverrides": {SONNET: "claude-q"}}}), GO_ON),
    "the lock": (Tree({}, flag=SONNET), [], (), Tree({"managed": {"model": HAIKU, "availableModels": [HAIKU], "availableModelsMatch": "exact", "enforceAvailableModels": True}}), GO_ON),
    "denied": (Tree({}, flag=SONNET), [], (), Tree({"managed": {"deniedModels": ["sonnet"]}}), GO_ON),
    "its agent": (Tree(AGENT), [], ("--agent", "x"), Tree({f"{HERE}/x.md": _file("x", "claude-opus-4-7")}, {"ANTHROPIC_MODEL": SONNET}), GO_ON),
    "its agent is gone": (Tree(AGENT), [], ("--agent", "x"), Tree({f"{HERE}/x.md": b""}), GO_ON),
    "another agent": (Tree({}, flag=SONNET), [], (), Tree(AGENT), (*GO_ON, "--agent", "x")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "version"), _rows(SESSIONS))
def test_show_names_the_model_that_a_session_goes_on_with(name, version, tmp_path):
    before, script, first, after, second = SESSIONS[name]
    _ready(before, tmp_path)
    with serving() as api:
        api.script += script
        start(_command(version, before, *first), before, tmp_path, api.url)
    _ready(after, tmp_path)
    told = show(after, tmp_path, version, *(second[-2:] if "--agent" in second else ()))
    with serving() as api:
        start(_command(version, after, *second), after, tmp_path, api.url)
    assert told["resumed"]["model"] == api.models[0]


FALLBACKS = {
    "a list": (_under_list([HAIKU, "claude-opus-4-8"]), None),
    "a list over a weaker one": (Tree({"user": {"fallbackModel": ["claude-x"]}, "project": {"fallbackModel": ["haiku"]}}), None),
    "a flag over a list": (_under_list([OPUS]), f"{HAIKU}, sonnet"),
    "itself, not allowed, more than count": (
        _under_list([SONNET, OPUS, "claude-haiku-4-5", "default", "haiku", "claude-x"], availableModels=["sonnet", "haiku", "claude-x"]), None,
    ),
    "switched off": (replace(_under_list([HAIKU]), env={"CLAUDE_CODE_NO_MODEL_FALLBACK": "1"}), None),
    "no list": (_under_list(HAIKU), None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "version"), _rows(FALLBACKS))
def test_show_names_the_models_that_a_session_falls_back_to(name, version, tmp_path):
    tree, given = FALLBACKS[name]
    tree, more = _ready(replace(tree, flag=SONNET), tmp_path), [] if given is None else ["--fallback-model", given]
    told = show(tree, tmp_path, version, *more)
    with serving() as api:
        api.script += [Fails(500)] * AT_ONCE
        start(_command(version, tree, *more), tree, tmp_path, api.url)
    assert [told["model"], *told["fallbacks"]] == list(dict.fromkeys(api.models))


def test_a_session_of_another_version_goes_on_only_where_this_one_knows_its_model(tmp_path):
    newer, older = VERSIONS
    for made, flag, goes_on in ((older, "opus", newer), (newer, "opus", older), (older, "claude-x", newer)):
        tree = _ready(Tree(LATER, flag=flag), tmp_path / flag / made)
        with serving() as api:
            start(_command(made, tree), tree, tmp_path / flag / made, api.url)
            tree = replace(tree, flag=None)
            told = show(tree, tmp_path / flag / made, goes_on)
            start(_command(goes_on, tree, *GO_ON), tree, tmp_path / flag / made, api.url)
        assert told["resumed"]["model"] == api.models[-1]


def test_show_reads_the_same_for_people(tmp_path):
    tree = _ready(Tree({**AGENT, **AGENTS}, {MODEL: "claude-e"}, SONNET), tmp_path)
    with serving() as api:
        start(_command(VERSIONS[0], tree), tree, tmp_path, api.url)
    tree = replace(tree, flag=None)
    told, said = show(tree, tmp_path, VERSIONS[0]), show(tree, tmp_path, VERSIONS[0], people=True)
    assert f"resumed  {SONNET} (a session keeps its last model; session {told['resumed']['session']})" in said
    lines = [f"subagent {agent['name']}: {agent['model']} ({agent['source']})" for agent in told["subagents"]]
    assert [line for line in said.splitlines() if line.startswith("subagent ")] == lines
    assert "subagent x: claude-haiku-4-5 (frontmatter)" in lines
    assert "subagent general-purpose: claude-e (CLAUDE_CODE_SUBAGENT_MODEL)" in lines
    assert "calls    opus = claude-opus-4-6, sonnet = claude-sonnet-5-5" in said


def _ready(tree, root):
    if tree.is_managed and not can_manage():
        pytest.skip("managed settings need root, for a mount namespace of their own")
    root.mkdir(parents=True, exist_ok=True)
    tree.write(root)
    return tree


def _command(version, tree, *more):
    flag = [] if tree.flag is None else ["--model", tree.flag]
    return [str(install(version)), "-p", "hi", *flag, *more]


def call(name, said):
    asked = {} if said is None else {"model": said}
    mark = f"MARK-{name}{'' if said is None else f' {said}'}-MARK"
    return ("Agent", {"description": "d", "prompt": mark, "subagent_type": name, "run_in_background": False, **asked})


def by_mark(bodies):
    """Give the model of every subagent's request by the mark in its prompt; that of the session has none."""
    found = {}
    for body in bodies:
        mark = re.search("MARK-(.*?)-MARK", json.dumps(body["messages"][0]))
        found.setdefault(mark[1] if mark else "", body["model"])
    return found

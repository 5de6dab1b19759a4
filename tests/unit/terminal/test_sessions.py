import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.terminal.frontmatter import read_front
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import resolve
from trimtab.terminal.sessions import Session, latest

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def _rows(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _said(model, **more):
    return {"type": "assistant", "isSidechain": False, "message": {"model": model}, **more}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (_rows(_said("a"), _said("b")), Session(ONE, "b")),
        (_rows(_said("a", requestedModel="asked"), _said("<synthetic>")), Session(ONE, "a", "asked")),
        (
            _rows(_said("a"), {"type": "agent-setting", "agentSetting": "x"}, {"type": "user"}),
            Session(ONE, "a", "", "x"),
        ),
        (_rows(_said("a")) + b'{"type":"assistant","mess', Session(ONE, "a")),
        (_rows({"type": "assistant", "message": 3}, {"type": "assistant", "message": {"model": 3}}), Session(ONE)),
        (b"", Session(ONE)),
    ],
)
def test_the_end_of_a_transcript_says_what_answered_last(content, found, tmp_path):
    (tmp_path / f"{ONE}.jsonl").write_bytes(content)
    assert latest(tmp_path) == found


def test_the_latest_session_is_the_one_that_was_written_last_and_is_no_subagents(tmp_path):
    for age, name, row in ((3, ONE, _said("a")), (2, TWO, _said("b", isSidechain=True)), (1, "agent-1", _said("c"))):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(_rows(row))
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert latest(tmp_path) == Session(ONE, "a")
    assert latest(tmp_path / "nowhere") is None


@settings(max_examples=50)
@given(st.binary(), st.binary())
def test_any_bytes_in_a_transcript_and_in_an_agents_file_leave_the_rest_as_it_is(transcript, agent):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        place = Place(root / "home", root / "project", root / "managed")
        for path, content in ((place.transcripts / f"{ONE}.jsonl", transcript), (place.agents[-2] / "x.md", agent)):
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        found = resolve(place, "2.1.330")
    assert (found.model, found.problems) == ("claude-opus-5-5", ())
    assert {each.model for each in found.subagents} == {"claude-opus-5-5", "claude-sonnet-5-5"}


@given(st.text(st.sampled_from("nam:e \n-#'\"[{|>&*1~"), max_size=60))
def test_any_head_of_a_file_is_read(text):
    assert all(isinstance(value, str) for value in read_front(f"---\n{text}\n---\n").values())


def test_agents_count_up_to_the_repositorys_root_and_below_the_home(tmp_path):
    home = tmp_path / "home"
    project = home / "work" / "repository" / "part"
    project.mkdir(parents=True)
    managed = tmp_path / "managed" / ".claude" / "agents"
    theirs = home / ".claude" / "agents"
    above = [folder / ".claude" / "agents" for folder in (home / "work", home / "work" / "repository", project)]
    assert Place(home, project, tmp_path / "managed").agents == (theirs, *above, managed)
    (project.parent / ".git").mkdir()
    assert Place(home, project, tmp_path / "managed").agents == (theirs, *above[1:], managed)

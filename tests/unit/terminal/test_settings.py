import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.terminal.place import Place
from trimtab.terminal.resolve import resolve
from trimtab.terminal.settings import parse, place_of
from trimtab.terminal.settings_types import TYPES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(TYPES)) | st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | st.text().map(str.encode))
def test_any_bytes_are_read_or_named_with_a_line(content):
    found = parse(content, "there.json", "user")
    assert found.values is not None or all(problem.where == "there.json" for problem in found.problems)
    assert found.values is not None or any("line " in problem.what for problem in found.problems)


@settings(max_examples=50)
@given(st.binary(), st.sampled_from(["user", "project", "local", "managed", "drop"]))
def test_the_rest_is_used_whatever_one_file_holds(content, broken):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        place = Place(root / "home", root / "project", root / "managed")
        files = {
            "user": place.user,
            "project": place.shared,
            "local": place.local,
            "managed": place.managed / "managed-settings.json",
            "drop": place.managed / "managed-settings.d" / "9.json",
        }
        for name, path in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if name == broken else b'{"model": "claude-x"}')
        found = resolve(place, "2.1.330")
    assert found.model == "claude-x" or (broken in {"managed", "drop"} and not found.runs)
    assert all(problem.where == str(files[broken]) for problem in found.problems if problem.weight == "error")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"model": "x",\n}', "line 1, column 14"),
        (b'{\n // why\n "model": "x"}', "line 2, column 2: a comment"),
        (b'{"model": "x"', "the file ends in the middle"),
        (b"[]", "expected an object, not a list"),
        (b'{"model": "x",\n "verbose": "yes"}', "line 2, column 2: 'verbose': expected true or false, not a string"),
        (b'{"permissions": {\n "defaultMode": "x"}}', "line 2, column 2: 'permissions.defaultMode'"),
    ],
)
def test_a_file_that_is_dropped_is_dropped_whole_and_the_line_is_named(content, said):
    found = parse(content, "there.json", "user")
    assert found.values is None
    assert said in found.problems[0].what


def test_a_managed_file_loses_only_the_key_of_the_wrong_type():
    found = parse(b'{"model": "x", "verbose": 1}', "there.json", "managed")
    assert found.values == {"model": "x"}


def test_a_managed_file_that_is_no_json_stops_the_terminal_of_today_and_not_of_yesterday():
    assert parse(b"{,", "there.json", "managed", "2.1.330").closed
    assert not parse(b"{,", "there.json", "managed", "2.1.197").closed


def test_a_secret_of_the_wrong_type_is_not_shown():
    found = parse(b'{"apiKeyHelper": ["sk-secret"]}', "there.json", "user")
    assert "sk-secret" not in str(found.problems)


def test_the_place_of_a_key_is_that_of_the_path_and_not_of_its_name_elsewhere():
    assert place_of('{"x": {"model": 1},\n  "model": 2}', ("model",)) == "line 2, column 3"
    assert place_of('{"x": {"model": 1}, "y": "model"}', ("x", "model")) == "line 1, column 8"

"""Settings files as they are found: links, owners, modes, full disks, other writers, and a process that dies at any step."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.integration.settings_worker import add_keys, fine, fork, set_model, undo_newest
from trimtab.core.errors import UsageError
from trimtab.terminal.edit_file import Found, _swap, look
from trimtab.terminal.edit_set import change, preview, undo
from trimtab.terminal.history import KEPT, drop, entries, newest, push

OLD = '{\n    "env": {"A": 1.0, "K": "v"},\n    "model": "claude-old"\n}'
NOBODY = 65534

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change owners")


@pytest.fixture
def place():
    # Other users can get here, as they cannot to `tmp_path`.
    with TemporaryDirectory() as made:
        folder = Path(made).resolve()
        folder.chmod(0o755)
        (folder / "home/.claude").mkdir(parents=True)
        yield folder


@pytest.fixture
def path(place):
    file = place / "home/.claude/settings.json"
    file.write_text(OLD)
    file.chmod(0o640)
    return file


@pytest.fixture
def state(place):
    return place / "state"


def files(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def refused(action) -> str:
    with pytest.raises(UsageError) as error:
        action()
    assert error.value.hint
    return str(error.value)


def test_set_and_undo_give_back_every_byte_and_the_mode(path, state):
    set_model(path, state, "claude-new")
    assert path.read_text() == OLD.replace("claude-old", "claude-new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    set_model(path, state, "claude-newer")
    assert undo_newest(path, state) == "exact"
    assert json.loads(path.read_text())["model"] == "claude-new"
    assert undo_newest(path, state) == "exact"
    assert path.read_text() == OLD
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert entries(state, path) == []
    assert files(path) == ["settings.json"]


def test_where_there_was_no_file_undo_leaves_none(place, state):
    path = place / "other/.claude/settings.json"
    set_model(path, state, "claude-new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert undo_newest(path, state) == "exact"
    assert files(path) == []


def test_managed_files_can_be_read_by_everybody_whatever_the_umask(place, state):
    path = place / "etc/claude-code/managed-settings.d/50-trimtab.json"
    before = os.umask(0o077)
    try:
        change(path, {"model": "m"}, fine, scope="managed", state=state, env={})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path.parent.parent)] == [0o755, 0o755]


def test_versions_are_for_their_owner_only_and_the_last_five(path, state):
    for number in range(KEPT + 3):
        set_model(path, state, f"claude-{number}")
    kept = entries(state, path)
    assert [json.loads(e.written)["model"] for e in kept] == [f"claude-{n}" for n in (7, 6, 5, 4, 3)]
    assert all(stat.S_IMODE(e.kept.stat().st_mode) == 0o600 for e in kept)
    assert stat.S_IMODE(kept[0].kept.parent.stat().st_mode) == 0o700
    assert newest(kept) == kept[0]
    assert (kept[0].real, kept[0].mode, kept[0].uid) == (path, 0o640, os.getuid())
    assert kept[0].at.tzinfo
    assert kept[0].who


def test_saying_what_is_so_already_writes_nothing(path, state):
    before = path.stat()
    set_model(path, state, "claude-old")
    assert path.stat() == before
    assert entries(state, path) == []


def test_a_look_at_what_would_change_changes_nothing(path, state):
    before = path.stat()
    assert preview(path, {"model": "x"}, fine).edit.changes
    assert path.stat() == before
    assert not state.exists()


def test_links_are_followed_and_stay(place, path, state):
    own = place / "dotfiles/claude.json"
    own.parent.mkdir()
    path.rename(own)
    path.symlink_to("../link.json")
    (place / "home/link.json").symlink_to(own)
    set_model(path, state, "claude-new")
    assert path.is_symlink()
    assert json.loads(own.read_text())["model"] == "claude-new"
    assert [p.name for p in own.parent.iterdir()] == ["claude.json"]
    assert undo_newest(path, state) == "exact"
    assert own.read_text() == OLD


def test_what_is_no_file_is_refused(place, path, state):
    path.unlink()
    path.symlink_to(place / "gone.json")
    assert "is not there" in refused(lambda: set_model(path, state, "m"))
    path.unlink()
    path.symlink_to(path)
    assert "symbolic links" in refused(lambda: set_model(path, state, "m"))
    path.unlink()
    path.symlink_to("/dev/null")
    assert "no plain file" in refused(lambda: set_model(path, state, "m"))
    path.unlink()
    path.mkdir()
    assert "a folder" in refused(lambda: set_model(path, state, "m"))
    path.rmdir()
    os.mkfifo(path)
    assert "no plain file" in refused(lambda: set_model(path, state, "m"))
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file")
    assert "not a directory" in refused(lambda: set_model(path, state, "m"))


def test_a_file_with_two_names_is_refused_and_the_hint_mends_it(path, state):
    os.link(path, path.parent / "other.json")
    said = refused(lambda: set_model(path, state, "m"))
    assert "2 names" in said
    assert path.read_text() == OLD
    subprocess.run(said.rpartition("first: ")[2], shell=True, check=True)
    set_model(path, state, "m")
    assert (path.parent / "other.json").read_text() == OLD


def test_what_is_no_settings_file_is_left_as_it_is(path, state):
    for content, told in ((b'{"a": 1,}', "a comma"), (b"\xff\xfe{}", "line 1: not UTF-8"), (b"[]", "object")):
        path.write_bytes(content)
        assert told in refused(lambda: set_model(path, state, "m"))
        assert path.read_bytes() == content
    assert not state.exists()


@only_root
def test_owner_and_group_are_kept_and_what_root_makes_is_its_folders_owners(place, path, state):
    os.chown(path, NOBODY, NOBODY)
    set_model(path, state, "claude-new")
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (NOBODY, NOBODY, 0o640)
    os.chown(place / "home", NOBODY, NOBODY)
    fresh = place / "home/project/.claude/settings.json"
    set_model(fresh, state, "claude-new")
    assert [p.stat().st_uid for p in (fresh, fresh.parent, fresh.parent.parent)] == [NOBODY] * 3


@only_root
def test_a_file_that_would_change_its_owner_is_refused(place, path):
    (place / "home").chmod(0o777)
    path.parent.chmod(0o777)
    path.chmod(0o644)
    code, said = fork(lambda: set_model(path, place / "home/state", "m"), user=NOBODY)
    assert code == 1
    assert "it belongs to user 0" in said
    assert (path.read_text(), files(path)) == (OLD, ["settings.json"])


@only_root
def test_without_permission_nothing_changes(place, path):
    path.chmod(0o644)
    code, said = fork(lambda: set_model(path, place / "state", "m"), user=NOBODY)
    assert code == 1
    assert "permission denied" in said
    path.chmod(0o600)
    assert "permission denied" in fork(lambda: set_model(path, place / "state", "m"), user=NOBODY)[1]
    assert (path.read_text(), files(path)) == (OLD, ["settings.json"])


@only_root
def test_root_does_not_follow_a_users_link_to_a_file_of_somebody_else(place, path, state):
    roots = place / "root.json"
    roots.write_text(OLD)
    path.unlink()
    path.symlink_to(roots)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    assert "neither theirs nor root's" in refused(lambda: set_model(path, state, "m"))
    assert roots.read_text() == OLD


@only_root
def test_an_immutable_file_is_refused(path, state):
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        said = refused(lambda: set_model(path, state, "m"))
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert "immutable" in said
    assert (path.read_text(), files(path), entries(state, path)) == (OLD, ["settings.json"], [])


@only_root
def test_a_full_disk_loses_nothing(place, path, state):
    script = """
import sys; from pathlib import Path; from tests.integration.settings_worker import set_model
set_model(Path(sys.argv[1]), Path(sys.argv[2]), "m" * 9000)
"""
    big = json.dumps({"model": "claude-old", "pad": "x" * 100_000})
    path.write_text(big)
    mounted = f'mount -t tmpfs -o size=160k none "{place}/home" && mkdir "{path.parent}" && cp "$0" "{path}"'
    show = f'ls -A "{path.parent}"; cmp "$0" "{path}" && echo same'
    copy = place / "copy.json"
    copy.write_text(big)
    run = f'{mounted} || exit 77; "{sys.executable}" -c \'{script}\' "{path}" "{state}"; {show}'
    done = subprocess.run(["unshare", "-m", "sh", "-c", run, copy], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no mounts of our own here")
    assert "no space left on device; nothing was changed" in done.stderr
    assert done.stdout.split() == ["settings.json", "same"]


def test_a_limit_on_file_sizes_loses_nothing(place, path, state):
    def life():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        set_model(path, state, "m" * 200)

    code, said = fork(life)
    assert code == 1
    assert "file too large; nothing was changed" in said
    assert (path.read_text(), files(path)) == (OLD, ["settings.json"])


def test_where_versions_cannot_be_kept_nothing_is_changed(place, path, state):
    state.write_text("in the way")
    assert "nothing was changed" in refused(lambda: set_model(path, state, "m"))
    assert (path.read_text(), files(path)) == (OLD, ["settings.json"])


def test_killed_at_any_step_the_file_is_the_old_or_the_new_one_and_undo_knows_which(place):
    new = OLD.replace("claude-old", "claude-new")
    ends = set()
    for step in range(400):
        path, state = place / f"{step}/settings.json", place / f"{step}-state"
        path.parent.mkdir()
        path.write_text(OLD)
        code, said = fork(lambda path=path, state=state: set_model(path, state, "claude-new"), kill_at=step)
        assert code in {0, -9}, said
        content = path.read_text()
        ends.add((code, content == new))
        assert content in {OLD, new}
        kept = entries(state, path)
        if content == new:
            assert undo_newest(path, state) == "exact"
        elif kept:
            assert undo_newest(path, state) == "nothing"
        assert path.read_text() == OLD
        assert entries(state, path) == []
        # The next one takes away what was left lying.
        set_model(path, state, "claude-next")
        assert files(path) == ["settings.json"]
        if code == 0:
            break
    assert ends == {(-9, False), (-9, True), (0, True)}


def test_an_undo_killed_at_any_step_can_be_said_again(place):
    ends = set()
    for step in range(400):
        path, state = place / f"{step}/settings.json", place / f"{step}-state"
        path.parent.mkdir()
        path.write_text(OLD)
        set_model(path, state, "claude-new")
        code, said = fork(lambda path=path, state=state: undo_newest(path, state), kill_at=step)
        assert code in {0, -9}, said
        ends.add(code)
        assert path.read_text() in {OLD, OLD.replace("claude-old", "claude-new")}
        if entries(state, path):
            undo_newest(path, state)
        assert path.read_text() == OLD
        if code == 0:
            break
    assert ends == {0, -9}


def test_writers_at_once_lose_nothing(path):
    count, names = 60, ("a", "b", "c")
    lives = [threading.Thread(target=fork, args=(lambda n=n: add_keys(path, n, count),)) for n in names]
    for life in lives:
        life.start()
    for life in lives:
        life.join()
    wanted = {"env", "model", *(f"{name}-{number}" for name in names for number in range(count))}
    assert set(json.loads(path.read_text())) == wanted
    assert files(path) == ["settings.json"]


def test_a_writer_who_knows_no_lock_and_replaces_the_file_loses_nothing_by_us(path):
    """The other writer reads, renames, and takes care of itself; what it put in place we never take away."""
    script = """
import json, os, sys, time
path = sys.argv[1]
for number in range(200):
    time.sleep(0.003)
    value = json.load(open(path))
    value["theirs"] = number
    with open(path + ".other", "w") as file:
        json.dump(value, file)
    os.rename(path + ".other", path)
"""
    other = subprocess.Popen([sys.executable, "-c", script, path])
    number = 0
    while other.poll() is None:
        add_keys(path, f"n{number}", 1)
        number += 1
    assert other.returncode == 0
    value = json.loads(path.read_text())
    # Its last word is there; ours may be lost by ITS renames, which no writer can help, and the next look says so.
    assert value["theirs"] == 199
    assert {"env", "model"} <= set(value)
    assert files(path) == ["settings.json"]


def test_another_writer_between_reading_and_renaming_is_built_upon(path, state):
    """The check runs between reading and renaming: what is written there must be in the end."""
    wrote = []

    def meddle(text, where):
        if len(wrote) < 3:
            wrote.append(text)
            other = path.with_name("other")
            other.write_text(json.dumps({**json.loads(path.read_text()), f"theirs-{len(wrote)}": 1}))
            other.replace(path)

    change(path, {"model": "claude-new"}, meddle, scope="user", state=state, env={})
    value = json.loads(path.read_text())
    assert value["model"] == "claude-new"
    assert {"theirs-1", "theirs-2", "theirs-3"} <= set(value)
    assert len(entries(state, path)) == 1
    assert "theirs-3" in json.loads(entries(state, path)[0].previous)


def test_what_another_writer_put_there_at_the_very_last_moment_is_put_back(path):
    found = look(path)
    path.write_text("theirs")
    ours = path.with_name("ours.tmp")
    ours.write_text("ours")
    assert not _swap(ours, found, b"ours")
    assert (path.read_text(), ours.read_text()) == ("theirs", "ours")
    assert not _swap(ours.with_name("gone"), found, None)
    assert path.read_text() == "theirs"
    path.unlink()
    assert not _swap(ours, found, b"ours")
    assert not path.exists()
    path.write_text("theirs")
    assert not _swap(ours, Found(path, path, None), b"ours")
    assert path.read_text() == "theirs"


def test_after_a_change_by_others_only_our_keys_are_taken_back(path, state):
    set_model(path, state, "claude-new")
    # As the terminal writes: its own order and layout.
    value = {"theirs": True, **json.loads(path.read_text())}
    path.write_text(json.dumps(value, indent=2))
    (kept,) = entries(state, path)
    assert undo(kept, try_only=True).how == "keys"
    assert undo(kept).how == "keys"
    assert json.loads(path.read_text()) == {**value, "model": "claude-old"}


def test_what_somebody_set_again_is_not_taken_from_them(path, state):
    set_model(path, state, "claude-new")
    theirs = path.read_text().replace("claude-new", "claude-theirs")
    path.write_text(theirs)
    undone = undo(entries(state, path)[0])
    assert (undone.how, undone.lost) == ("refused", ("model",))
    assert path.read_text() == theirs
    assert len(entries(state, path)) == 1


def test_a_file_that_was_removed_meanwhile_is_not_made_again(path, state):
    set_model(path, state, "claude-new")
    path.unlink()
    assert undo_newest(path, state) == "nothing"
    assert files(path) == []


def test_a_version_that_was_tampered_with_is_refused(path, state):
    set_model(path, state, "claude-new")
    kept = entries(state, path)[0].kept
    kept.write_text(kept.read_text().replace('"previous": "', '"previous": "AAAA'))
    assert "not a version that trimtab kept" in refused(lambda: entries(state, path))
    kept.write_text("{}")
    assert "rm " in refused(lambda: entries(state, path))


def test_extended_attributes_are_kept(path, state):
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    set_model(path, state, "claude-new")
    assert os.getxattr(path, "user.note") == b"mine"


def test_a_change_that_is_taken_back_at_once_leaves_no_version(path, state):
    set_model(path, state, "claude-new")
    (kept,) = entries(state, path)
    drop(push(state, kept).kept)
    assert len(entries(state, path)) == 1
    shutil.rmtree(state)
    assert entries(state, path) == []

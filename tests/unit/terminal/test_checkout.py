"""Which files of a repository count in its folders and worktrees, as the real terminal has it (made here with git)."""

import os
import subprocess

import pytest

from trimtab.terminal.checkout import main_of, root_of
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import resolve

NEW, OLD = "2.1.330", "2.1.197"
LOCAL = ".claude/settings.local.json"


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with a worktree beside it, a folder in it and local settings at its root."""
    made = tmp_path / "main"
    (made / "sub").mkdir(parents=True)
    git(made, "init", "-q")
    git(made, "commit", "-q", "--allow-empty", "-m", "x")
    git(made, "worktree", "add", "-q", "../tree")
    put(made / LOCAL, '{"model": "claude-root"}')
    return made


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def model(home, project, version=NEW):
    return resolve(Place(home, project, home / "managed"), version).model


@pytest.mark.parametrize("folder", ["main", "main/sub", "tree"])
def test_local_settings_of_the_main_checkout_hold_in_its_folders_and_worktrees(folder, repository, tmp_path):
    assert model(tmp_path / "home", tmp_path / folder) == "claude-root"
    here = tmp_path / folder / LOCAL
    if folder != "main":
        put(here, '{"model": "claude-here"}')
        assert model(tmp_path / "home", tmp_path / folder) == "claude-root"
        assert model(tmp_path / "home", tmp_path / folder, OLD) == "claude-here"
    (repository / LOCAL).write_text("{}")
    assert (model(tmp_path / "home", tmp_path / folder) == "claude-here") is (folder != "main")


def test_local_settings_of_a_home_under_git_hold_in_the_home_alone(tmp_path):
    home = tmp_path / "home"
    put(home / LOCAL, '{"model": "claude-home"}')
    (home / "project").mkdir()
    git(home, "init", "-q")
    assert model(home, home / "project") == "claude-opus-5-5"
    assert model(home, home) == "claude-home"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("theirs", ["", ".git", ".claude"])
def test_local_settings_of_a_root_that_is_somebody_elses_do_not_hold(theirs, repository, tmp_path):
    (tmp_path / "home").mkdir()
    os.chown(repository / theirs, 12345, 12345)
    assert model(tmp_path / "home", repository / "sub") == "claude-opus-5-5"


def test_a_worktree_that_its_repository_does_not_know_is_its_own(repository, tmp_path):
    assert main_of(tmp_path / "tree") == repository
    put(tmp_path / "other" / ".git", (tmp_path / "tree" / ".git").read_text())
    assert main_of(tmp_path / "other") == tmp_path / "other"
    (tmp_path / "tree").rename(tmp_path / "moved")
    assert main_of(tmp_path / "moved") == tmp_path / "moved"


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"gitdir:", b"gitdir: \0", b"gitdir: ../none"])
def test_any_file_that_is_called_git_is_a_root(content, tmp_path):
    (tmp_path / ".git").write_bytes(content)
    (tmp_path / "sub").mkdir()
    assert root_of(tmp_path / "sub") == tmp_path
    assert main_of(tmp_path) == tmp_path


def test_a_worktree_without_agents_of_its_own_has_those_of_the_main_checkout(repository, tmp_path):
    put(repository / ".claude" / "agents" / "x.md", "---\nname: x\ndescription: d\nmodel: claude-x\n---\n")

    def names(folder):
        found = resolve(Place(tmp_path / "home", folder, tmp_path / "managed"), OLD)
        return {agent.name for agent in found.subagents if agent.file}

    assert names(tmp_path / "tree") == {"x"}
    (tmp_path / "tree" / ".claude" / "agents").mkdir(parents=True)
    assert names(tmp_path / "tree") == set()


@pytest.mark.parametrize(("said", "folder"), [("", "."), ("cfg", "cfg"), ("~/cfg", "~/cfg")])
def test_a_configuration_folder_is_one_of_the_project_also_where_it_is_empty(said, folder, tmp_path):
    put(tmp_path / "project" / folder / "settings.json", '{"model": "claude-there"}')
    put(tmp_path / "home" / ".claude" / "settings.json", '{"model": "claude-home"}')
    place = Place(tmp_path / "home", tmp_path / "project", tmp_path / "managed", {"CLAUDE_CONFIG_DIR": said})
    assert resolve(place, NEW).model == "claude-there"

"""`trimtab terminal set` and `undo`, as a user has them; where it matters, with the real terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import ROOT, Said
from trimtab.terminal.stub import listening

CACHE = Path(os.environ.get("TRIMTAB_TEST_CACHE") or Path.home() / ".cache" / "trimtab-tests")
OLD = '{\n    "theme": "dark",\n    "env": {"GITHUB_TOKEN": "abcdefghijkl", "N": "1.0"},\n    "model": "claude-opus-4-8"\n}'


@pytest.fixture
def settings(terminal):
    return terminal.write("home/.claude/settings.json", OLD)


def bin_of(version: str) -> Path:
    folder = CACHE / f"claude-code-{version}" / "node_modules" / ".bin"
    if not (folder / "claude").exists():
        pytest.skip(f"no terminal in {folder}: the acceptance tests of the terminal install it")
    return folder


def with_terminal(version: str) -> dict[str, str]:
    quiet = ("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC")
    return {"PATH": f"{bin_of(version)}:{os.environ['PATH']}", **dict.fromkeys(quiet, "1")}


def alone(terminal, *lines: str, env: dict[str, str] | None = None) -> Said:
    """Run shell lines where /etc/claude-code is a folder of our own."""
    # A layer above /etc, so that nothing of this host is touched, not even by a folder to mount on.
    made = "mkdir layer && mount -t tmpfs none layer && mkdir layer/up layer/work"
    above = "mount -t overlay overlay -o lowerdir=/etc,upperdir=layer/up,workdir=layer/work /etc"
    mount = f"{{ {made} && {above}; }} || exit 77; rm -rf /etc/claude-code"
    script = "\n".join([mount, f'trimtab() {{ "{sys.executable}" -m trimtab "$@"; }}', *lines])
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=terminal.folder, env={**terminal.env, **(env or {})},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no mounts of our own here: managed settings are not touched")
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_model_is_set_shown_as_a_diff_and_taken_back(terminal, settings):
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--no-verify")
    assert said.code == 0, said.err
    assert '-    "model": "claude-opus-4-8"\n+    "model": "claude-sonnet-4-6"\n' in said.out
    assert "a fresh session runs claude-sonnet-4-6" in said.out
    assert "--lock moves them" in said.out
    assert settings.read_text() == OLD.replace("claude-opus-4-8", "claude-sonnet-4-6")
    undone = terminal.run("terminal", "undo")
    assert undone.code == 0, undone.err
    assert '+    "model": "claude-opus-4-8"' in undone.out
    assert settings.read_text() == OLD
    again = terminal.run("terminal", "undo")
    assert (again.code, again.out) == (1, "")
    assert "nothing to undo" in again.err


def test_nothing_that_is_printed_or_kept_readable_has_a_secret(terminal, settings):
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--no-verify", "--json")
    assert "abcdefghijkl" not in said.out + said.err
    kept = Path(said.json["kept"])
    assert kept.stat().st_mode & 0o077 == 0
    assert kept.parent.stat().st_mode & 0o077 == 0


def test_a_dry_run_writes_nothing(terminal, settings):
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--dry-run", "--json")
    assert said.code == 0
    assert (said.json["changed"], said.json["dry_run"]) == (False, True)
    assert '+    "model": "claude-sonnet-4-6"' in said.json["diff"]
    assert settings.read_text() == OLD
    assert not (terminal.folder / "home/state").exists()


def test_each_scope_has_its_file_and_the_newest_change_is_undone_first(terminal):
    files = {
        "user": "home/.claude/settings.json",
        "project": ".claude/settings.json",
        "local": ".claude/settings.local.json",
    }
    for scope, file in files.items():
        said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--scope", scope, "--no-verify", "--json")
        assert said.code == 0, said.err
        assert said.json["file"] == str(terminal.folder / file)
    assert all((terminal.folder / file).exists() for file in files.values())
    assert terminal.run("terminal", "undo", "--json").json["scope"] == "local"
    assert terminal.run("terminal", "undo", "--scope", "user", "--json").json["how"] == "exact"
    assert [scope for scope, file in files.items() if (terminal.folder / file).exists()] == ["project"]


def test_where_another_layer_wins_it_is_named_with_the_command_that_mends_it(terminal, settings):
    terminal.write(".claude/settings.local.json", '{"model": "claude-haiku-4-5"}')
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--no-verify")
    assert said.code == 1
    assert "claude-haiku-4-5" in said.err
    assert "settings.local.json" in said.err
    assert "hint: trimtab terminal set claude-sonnet-4-6 --scope local" in said.err
    assert json.loads(settings.read_text())["model"] == "claude-sonnet-4-6"
    env = {"ANTHROPIC_MODEL": "claude-opus-5-5"}
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--scope", "local", "--no-verify", "--json", env=env)
    assert (said.code, said.json["runs"]) == (1, "claude-opus-5-5")
    assert "ANTHROPIC_MODEL" in said.json["problem"]
    assert said.json["mend"] == "unset ANTHROPIC_MODEL"
    terminal.write(".claude/settings.local.json", '{"env": {"ANTHROPIC_MODEL": "claude-haiku-4-5"}}')
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--no-verify", "--json")
    assert (said.code, said.json["runs"]) == (1, "claude-haiku-4-5")
    assert "--lock" in said.json["mend"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["claude-sonet-4-6"], ["in no list of models", "did you mean 'claude-sonnet-4-6'"]),
        (["a b"], ["no name of a model"]),
        (["claude-sonnet-4-6", "--lock", "--scope", "user"], ["--lock writes managed settings"]),
        (["claude-sonnet-4-6", "--allow", "claude-haiku-4-5"], ["add --lock"]),
        (["claude-sonnet-4-6", "--lock", "--allow", "haikuu"], ["'haikuu' is in no list"]),
        (["claude-sonnet-4-6", "--scope", "managed"], ["holds for every user", "hint: add --yes"]),
        (["claude-sonnet-4-6", "--home", "/proc/self/nothing"], ["/proc/self/nothing"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(terminal, arguments, told):
    said = terminal.run("terminal", "set", *arguments, "--no-verify")
    assert said.code == 2
    assert said.err.count("error: ") == 1
    assert "Traceback" not in said.err
    for part in told:
        assert part in said.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{\n  "theme": "dark",\n}', "line 3"),
        ('{\n  // dark\n  "theme": "dark"\n}', "a comment"),
        ('{"cleanupPeriodDays": "abc"}', "cleanupPeriodDays"),
        ("[]", "object"),
    ],
)
def test_a_file_that_the_terminal_would_drop_is_refused_and_left(terminal, settings, content, told):
    settings.write_text(content)
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--no-verify")
    assert said.code == 2
    assert told in said.err
    assert "hint: " in said.err
    assert settings.read_text() == content


def test_a_retiring_model_and_an_alias_are_warned_of(terminal, settings):
    said = terminal.run("terminal", "set", "sonnet", "--no-verify", "--cli-version", "2.1.197", "--json")
    assert said.json["model"] == "claude-sonnet-5"
    assert "'sonnet' means claude-sonnet-5 in Claude Code 2.1.197" in said.err
    gone = terminal.run("terminal", "set", "claude-3-5-haiku-20241022", "--no-verify", "--json")
    assert any("retired" in warning for warning in gone.json["warnings"])


@pytest.mark.parametrize("version", ["2.1.330", "2.1.197"])
def test_the_real_terminal_is_asked_and_agrees(terminal, settings, version):
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--json", env=with_terminal(version))
    assert said.code == 0, said.err
    assert (said.json["verified"], said.json["cli_version"]) == (True, version)
    assert json.loads(settings.read_text())["model"] == "claude-sonnet-4-6"


def test_where_the_terminal_does_not_start_the_file_is_put_back(terminal, settings):
    broken = terminal.write(
        "bin/claude", "#!/bin/sh\n[ \"$1\" = --version ] && echo '2.1.330 (Claude Code)' && exit\nexit 3\n"
    )
    broken.chmod(0o755)
    env = {"PATH": f"{broken.parent}:{os.environ['PATH']}"}
    said = terminal.run("terminal", "set", "claude-sonnet-4-6", "--json", env=env)
    assert said.code == 1, said.err
    assert (said.json["restored"], said.json["changed"], said.json["kept"]) == (True, False, None)
    assert settings.read_text() == OLD
    assert "nothing to undo" in terminal.run("terminal", "undo").err


@pytest.mark.parametrize("version", ["2.1.330", "2.1.197"])
def test_a_lock_holds_against_flag_environment_and_project(terminal, settings, version):
    terminal.write(
        ".claude/settings.json", '{"model": "claude-haiku-4-5", "env": {"ANTHROPIC_MODEL": "claude-haiku-4-5"}}'
    )
    drop_in = "/etc/claude-code/managed-settings.d/50-trimtab.json"
    said = alone(
        terminal,
        "trimtab terminal set claude-sonnet-4-6 --lock --json && exit 9",
        f"test -e {drop_in} && exit 8",
        "trimtab terminal set claude-sonnet-4-6 --lock --yes --json > set.json || exit 7",
        f"cat {drop_in}",
        "trimtab terminal undo --yes --json > undo.json || exit 6",
        f"test -e {drop_in} && exit 5",
        "exit 0",
        env=with_terminal(version),
    )
    assert said.code == 0, said.err
    told = json.loads((terminal.folder / "set.json").read_text())
    assert (told["runs"], told["verified"], told["locked"]) == ("claude-sonnet-4-6", True, True)
    assert json.loads(said.out) == {
        "model": "claude-sonnet-4-6",
        "availableModels": ["claude-sonnet-4-6"],
        "availableModelsMatch": "exact",
        "enforceAvailableModels": True,
    }
    assert json.loads((terminal.folder / "undo.json").read_text())["runs"] == "claude-haiku-4-5"


def test_a_lock_moves_a_session_that_runs_and_undo_moves_it_back(terminal):
    terminal.write("home/.claude/settings.json", '{"model": "claude-opus-4-8"}')
    turn = """echo '{"type":"user","message":{"role":"user","content":"hi"}}'"""
    talk = "claude -p --input-format stream-json --output-format stream-json --verbose"
    with listening() as stub:
        env = {**with_terminal("2.1.330"), "ANTHROPIC_BASE_URL": stub.url, "ANTHROPIC_API_KEY": "dummy"}
        lock = "trimtab terminal set claude-sonnet-4-6 --lock --yes --no-verify >&2"
        undo = "trimtab terminal undo --yes >&2"
        wake = "touch home/.claude/settings.json"
        # The terminal looks at its files every few seconds, and into a new folder when another of them changes.
        said = alone(
            terminal,
            f"({turn}; sleep 4; {lock}; {wake}; sleep 6; {turn}; sleep 4; {undo}; {wake}; sleep 6; {turn}) | {talk}",
            env=env,
        )
    assert said.code == 0, said.err
    asked = [body["model"] for body in stub.bodies]
    assert list(dict.fromkeys(asked)) == ["claude-opus-4-8", "claude-sonnet-4-6"], said.err
    assert asked[-1] == "claude-opus-4-8"
    assert "do not look into a new folder until each user says: touch ~/.claude/settings.json" in said.err


def test_a_locked_host_is_not_set_to_a_model_the_lock_forbids(terminal):
    said = alone(
        terminal,
        "trimtab terminal set claude-sonnet-4-6 --lock --yes --no-verify > lock.txt || exit 9",
        "trimtab terminal set claude-opus-5-5 --scope managed --yes --no-verify",
    )
    assert said.code == 2
    assert "availableModels does not have 'claude-opus-5-5'" in said.err
    assert "nothing but claude-sonnet-4-6 may run" in (terminal.folder / "lock.txt").read_text()


def test_what_other_managed_files_let_run_besides_a_lock_is_warned_of(terminal):
    said = alone(
        terminal,
        "mkdir -p /etc/claude-code/managed-settings.d",
        """echo '{"availableModels": ["claude-opus-5-5"]}' > /etc/claude-code/managed-settings.d/10-site.json""",
        "trimtab terminal set claude-sonnet-4-6 --lock --dry-run",
    )
    assert said.code == 0, said.err
    assert (
        "claude-opus-5-5 may run, too: availableModels in /etc/claude-code/managed-settings.d/10-site.json" in said.err
    )


def test_setting_starts_light(terminal):
    script = "import sys, trimtab.cli.terminal_set, trimtab.cli.terminal_undo, trimtab.terminal.edit_set; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"pydantic", "pydantic_ai", "anthropic", "genai_prices", "numpy"} & set(done.stdout.split())

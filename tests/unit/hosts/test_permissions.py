from __future__ import annotations

import json
import subprocess
import sys

import pytest

from trimtab.hosts.permissions import permission_findings


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def test_an_alias_that_skips_permissions_is_named_with_its_line(tmp_path):
    file = write(
        tmp_path / ".bash_aliases",
        "# --dangerously-skip-permissions\nalias c='claude --dangerously-skip-permissions'\n",
    )
    (only,) = permission_findings(tmp_path, None)
    assert only.where == f"{file}:2"
    assert "--dangerously-skip-permissions" in only.what


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"permissions": {"defaultMode": "bypassPermissions"}}, "defaultMode"),
        ({"skipDangerousModePermissionPrompt": True}, "skipDangerousModePermissionPrompt"),
        ({"env": {"IS_SANDBOX": "1"}}, "IS_SANDBOX"),
        ({"permissions": {"allow": ["Read", "Bash(*)"]}}, "Bash(*)"),
    ],
)
def test_settings_that_ask_nobody_are_found(tmp_path, settings, told):
    file = write(tmp_path / "p/.claude/settings.json", settings)
    (only,) = permission_findings(tmp_path, tmp_path / "p")
    assert told in only.what
    assert only.where == str(file)


@pytest.mark.parametrize(
    "settings",
    [
        {"permissions": {"defaultMode": "acceptEdits", "allow": ["Bash(git status:*)"]}},
        {"permissions": {"defaultMode": []}, "env": []},
        {"permissions": {"allow": [{}, 1], "disableBypassPermissionsMode": []}},
        [],
        "{",
        "",
    ],
)
def test_other_settings_are_nobodys_trouble(tmp_path, settings):
    write(tmp_path / ".claude/settings.json", settings)
    write(tmp_path / "m/managed-settings.json", settings)
    assert permission_findings(tmp_path, None, managed=tmp_path / "m") == []


def test_what_an_administrator_forbids_is_only_noted(tmp_path):
    write(tmp_path / ".bashrc", "alias c='claude --permission-mode bypassPermissions'\n")
    assert [f.weight for f in permission_findings(tmp_path, None)] == ["warning"]
    write(tmp_path / "m/managed-settings.d/10.json", {"permissions": {"disableBypassPermissionsMode": "disable"}})
    assert [f.weight for f in permission_findings(tmp_path, None, managed=tmp_path / "m")] == ["note"]


def test_a_warning_that_was_accepted_is_noted(tmp_path):
    write(tmp_path / ".claude.json", {"bypassPermissionsModeAccepted": True})
    assert [f.weight for f in permission_findings(tmp_path, None)] == ["note"]


def test_folders_of_somebody_else_stop_nobody_from_looking_at_the_rest(tmp_path):
    write(tmp_path / "theirs/.claude/settings.json", {"skipDangerousModePermissionPrompt": True}).parent.chmod(0)
    # Root may look everywhere, so somebody looks who is not.
    look = """
import os, sys
from pathlib import Path
from trimtab.hosts.permissions import permission_findings
from trimtab.hosts.secrets import secret_findings
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
print(permission_findings(folder, folder), secret_findings(folder, folder))
"""
    command = [sys.executable, "-c", look, str(tmp_path / "theirs")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    (tmp_path / "theirs/.claude").chmod(0o700)
    assert (ran.stdout.strip(), ran.returncode) == ("[] []", 0), ran.stderr

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.hosts.secrets import secret_findings
from trimtab.hosts.shapes import is_secret, mask, names_secret

# Made of parts, so that nobody takes this file for one with secrets.
ANTHROPIC = "sk-ant-" + "api03-" + "Ab1" * 12
GITHUB = "ghp_" + "a1B2" * 9


@pytest.fixture
def tree(tmp_path):
    for name in ("home/.claude", "project/.claude"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def write(tree: Path, name: str, value: object, mode: int = 0o600) -> Path:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    path.chmod(mode)
    return path


def found(tree: Path, **more):
    findings = secret_findings(tree / "home", tree / "project", **more)
    assert ANTHROPIC not in repr(findings)
    assert GITHUB not in repr(findings)
    return findings


def test_names_are_said_and_values_never(tree):
    file = write(tree, "home/.claude/settings.json", {"model": "x", "env": {"ANTHROPIC_API_KEY": ANTHROPIC, "A": "b"}})
    (only,) = found(tree)
    assert only.what == "a secret in plain text: env.ANTHROPIC_API_KEY (a key of Anthropic)"
    assert (only.where, only.weight) == (str(file), "warning")


def test_what_others_may_read_is_an_error_and_chmod_mends_it(tree):
    file = write(tree, "home/.bashrc", "export GITHUB_TOKEN='abcdefghij'\n", 0o644)
    (only,) = found(tree)
    assert only.what == "a secret in plain text: GITHUB_TOKEN (by its name)"
    assert (only.weight, only.mend) == ("error", f"chmod 600 {file}")


def test_what_is_checked_in_is_an_error(tree):
    server = {"mcpServers": {"gh": {"headers": {"Authorization": f"Bearer {GITHUB}"}, "args": ["--token", "x"]}}}
    write(tree, "project/.mcp.json", server)
    (only,) = found(tree)
    assert "mcpServers.gh.headers.Authorization (a GitHub token)" in only.what
    assert only.weight == "error"


def test_a_dotenv_only_its_owner_may_read_is_noted(tree):
    write(tree, "project/.env", "DB_PASSWORD=correct-horse\nPORT=8080\n")
    write(tree, "project/.env.example", "DB_PASSWORD=put-yours-here\n")
    (only,) = found(tree)
    assert (only.what, only.weight) == ("a secret in plain text: DB_PASSWORD (by its name)", "note")


def test_the_policy_is_read_and_names_of_variables_are_no_secrets(tree):
    policy = write(tree, "p/trimtab.toml", f'[providers.a]\nkey_env = "ANTHROPIC_API_KEY"\napi_key = "{ANTHROPIC}"\n')
    (only,) = found(tree, policies=[policy])
    assert only.what == "a secret in plain text: api_key (a key of Anthropic)"


@pytest.mark.parametrize(
    "line",
    [
        "export GITHUB_TOKEN=$(pass show gh)",
        'export GITHUB_TOKEN="${OTHER}"',
        "export GITHUB_TOKEN=",
        "# export GITHUB_TOKEN=abcdefghij",
        "export ANTHROPIC_API_KEY=your-key-here",
        "export MAX_THINKING_TOKENS=31999",
        "export SSH_KEY_PATH=~/.ssh/id_ed25519",
        "export API_KEY_FILE=/run/secrets/key",
        "echo password required here",
        "alias token='cat ~/.token'",
    ],
)
def test_what_only_stands_for_a_secret_is_none(tree, line):
    write(tree, "home/.zshrc", f"{line}\n")
    assert found(tree) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("set -gx OPENAI_API_KEY abcdefghijkl", "OPENAI_API_KEY"),
        ("GITHUB_TOKEN=abcdefghij gh auth status", "GITHUB_TOKEN"),
        ("export A=1; export AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI'", "AWS_SECRET_ACCESS_KEY"),
        (f"curl -H 'x: {GITHUB}' https://x", "line 1"),
        ("export DATABASE_URL=postgres://u:hunter22@db/x", "DATABASE_URL"),
    ],
)
def test_secrets_of_shells_are_named(tree, line, name):
    write(tree, "home/.bashrc", f"{line}\n")
    (only,) = found(tree)
    assert f": {name} (" in only.what


def test_links_that_lead_out_are_not_followed_and_those_inside_are_read_once(tree):
    outside = write(tree, "outside.json", {"env": {"ANTHROPIC_API_KEY": ANTHROPIC}})
    (tree / "home/.claude/settings.json").symlink_to(outside)
    assert found(tree) == []
    inside = write(tree, "home/dotfiles/settings.json", {"env": {"ANTHROPIC_API_KEY": ANTHROPIC}})
    (tree / "home/.claude/settings.local.json").symlink_to(inside)
    assert len(found(tree)) == 1


def test_a_pipe_and_a_folder_stop_nothing(tree):
    os.mkfifo(tree / "home/.bashrc")
    (tree / "home/.zshrc").mkdir()
    assert found(tree) == []


def test_a_secret_that_is_a_key_is_not_shown_either(tree):
    write(tree, "home/.claude.json", {"x": {GITHUB: {"api_key": "abcdefghij"}}})
    (only,) = found(tree)
    assert "x.***.api_key" in only.what


@given(content=st.binary(max_size=300) | st.text().map(str.encode))
def test_any_bytes_can_be_looked_at(tmp_path_factory, content):
    home = tmp_path_factory.mktemp("any")
    for name in (".bashrc", ".claude.json", ".env"):
        (home / name).write_bytes(content)
    assert isinstance(secret_findings(home, home), list)


def test_names_say_what_they_hold():
    held = [
        "ANTHROPIC_API_KEY",
        "apiKey",
        "clientSecret",
        "Authorization",
        "x-api-key",
        "AWS_SESSION_TOKEN",
        "PGPASSWORD",
    ]
    none = ["model", "key", "keyboard", "tokens", "maxTokens", "PUBLIC_KEY", "PATH", "key_env", "apiKeyHelper"]
    assert [name for name in held if not names_secret(name)] == []
    assert [name for name in none if names_secret(name)] == []
    assert is_secret("TOKEN", "short") == ""


def test_a_settings_text_is_masked_for_printing():
    text = f'{{\n "env": {{"ANTHROPIC_API_KEY": "{ANTHROPIC}", "PASSWORD": "x\\"y", "A": "{GITHUB}"}},\n "model": "m"}}'
    assert mask(text) == '{\n "env": {"ANTHROPIC_API_KEY": "***", "PASSWORD": "***", "A": "***"},\n "model": "m"}'

"""The real terminal writes its settings at the same moment as we do."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.integration.settings_worker import fine
from trimtab.terminal.edit_set import change

CACHE = Path(os.environ.get("TRIMTAB_TEST_CACHE") or Path.home() / ".cache" / "trimtab-tests")
CLAUDE = CACHE / "claude-code-2.1.330" / "node_modules" / ".bin" / "claude"
ROUNDS = 6


@pytest.fixture
def claude(tmp_path):
    if not CLAUDE.exists():
        pytest.skip(f"no terminal at {CLAUDE}: the acceptance tests of the terminal install it")
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    plugin = tmp_path / "market" / "one"
    for folder, name, value in (
        (
            tmp_path / "market",
            "marketplace",
            {"name": "m", "owner": {"name": "o"}, "plugins": [{"name": "one", "source": "./one", "description": "d"}]},
        ),
        (plugin, "plugin", {"name": "one", "version": "1.0.0", "description": "d"}),
    ):
        (folder / ".claude-plugin").mkdir(parents=True)
        (folder / ".claude-plugin" / f"{name}.json").write_text(json.dumps(value))
    # Nothing of the person who runs the tests, and nothing that leaves this host.
    quiet = ("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **dict.fromkeys(quiet, "1")}
    env |= {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "dummy"}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [CLAUDE, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    run.home = home
    run("plugin", "marketplace", "add", str(tmp_path / "market"))
    run("plugin", "install", "one@m")
    return run


def test_the_terminal_and_we_write_at_once_and_what_it_wrote_is_kept(claude, tmp_path):
    path = claude.home / ".claude" / "settings.json"
    own = tmp_path / "dotfiles.json"
    path.rename(own)
    path.symlink_to(own)
    change(path, {"x-unknown": {"kept": [1.5]}}, fine, scope="user", state=tmp_path / "state", env={})
    stop, torn, wrote = threading.Event(), [], [0]

    def look():
        while not stop.is_set():
            try:
                json.loads(path.read_bytes())
            except ValueError as error:
                torn.append(error)

    def write():
        while not stop.is_set():
            wrote[0] += 1
            model = f"claude-{wrote[0]}"
            change(path, {"model": model}, fine, scope="user", state=tmp_path / "state", env={})
            stop.wait(0.01)

    others = [threading.Thread(target=look), threading.Thread(target=write)]
    for other in others:
        other.start()
    try:
        for number in range(ROUNDS):
            word = ("disable", "enable")[number % 2]
            claude("plugin", word, "one@m")
            value = json.loads(path.read_text())
            assert value["enabledPlugins"] == {"one@m": word == "enable"}
            assert value["x-unknown"] == {"kept": [1.5]}
    finally:
        stop.set()
        for other in others:
            other.join()
    assert torn == []
    assert wrote[0] > ROUNDS
    assert path.is_symlink()
    # The terminal may have put its older copy over our last word, as over anybody's; said again, it stands.
    change(path, {"model": "claude-last"}, fine, scope="user", state=tmp_path / "state", env={})
    value = json.loads(path.read_text())
    assert (value["model"], value["enabledPlugins"]) == ("claude-last", {"one@m": True})
    assert sorted(p.name for p in tmp_path.glob("*dotfiles*")) == ["dotfiles.json"]

"""The real terminal, installed into a cache folder, and run on a settings tree of its own: nothing outside the tree is touched."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trimtab.terminal.stub import listening

VERSIONS = ("2.1.330", "2.1.197")
CACHE = Path(os.environ.get("TRIMTAB_TEST_CACHE") or Path.home() / ".cache" / "trimtab-tests")
_QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "ANTHROPIC_API_KEY": "dummy",
}
# A mount namespace of its own, so that the machine's /etc/claude-code is neither seen nor touched; given an empty folder, the
# managed settings and the command.
_OWN_ETC = """
mount -t tmpfs none "$1" && mkdir "$1/up" "$1/work" "$1/up/claude-code" &&
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/up,workdir=$1/work" /etc && mount --bind "$2" /etc/claude-code &&
shift 2 && exec "$@"
"""


@dataclass(frozen=True)
class Tree:
    """A settings tree: what stands in which file (`user`, `project`, `local`, `file`, `managed`, `drop:NAME`, `home/...`)."""

    files: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    flag: str | None = None

    def write(self, root: Path) -> None:
        named = {
            "user": "home/.claude/settings.json",
            "project": "project/.claude/settings.json",
            "local": "project/.claude/settings.local.json",
            "file": "given.json",
            "managed": "managed/managed-settings.json",
        }
        for folder in ("home/.claude", "project/.claude"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            drop = f"managed/managed-settings.d/{name.removeprefix('drop:')}" if name.startswith("drop:") else name
            path = root / named.get(name, drop)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    @property
    def is_managed(self) -> bool:
        return any(name.startswith(("managed", "drop:")) for name in self.files)


def install(version: str) -> Path:
    """Install the terminal once, whichever worker comes first; skips where npm or its registry is not reachable."""
    folder = CACHE / f"claude-code-{version}"
    program = folder / "node_modules" / ".bin" / "claude"
    npm = shutil.which("npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"claude-code-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            if npm is None:
                pytest.skip("npm is not installed, so that the real terminal cannot be")
            package = f"@anthropic-ai/claude-code@{version}"
            command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
            done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
            if done.returncode and any(
                word in done.stderr for word in ("ENOTFOUND", "ECONN", "ETIMEDOUT", "EAI_AGAIN")
            ):
                pytest.skip("npm cannot reach its registry, so that the real terminal cannot be installed")
            assert program.exists(), done.stderr
    return program


def can_manage() -> bool:
    """Whether a private mount namespace can be made here (root)."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


def in_own_etc(root: Path, command: list[str]) -> list[str]:
    """Run a command where /etc/claude-code is the tree's folder of managed settings."""
    empty, managed = root / "etc", root / "managed"
    empty.mkdir(exist_ok=True)
    managed.mkdir(exist_ok=True)
    return ["unshare", "-m", "sh", "-c", _OWN_ETC, "sh", str(empty), str(managed), *command]


def start(command: list[str], tree: Tree, root: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run the real terminal to its end on a tree that is written, against an API of the test's own."""
    env = {"PATH": os.environ["PATH"], "HOME": str(root / "home"), "ANTHROPIC_BASE_URL": url, **_QUIET, **tree.env}
    return subprocess.run(
        in_own_etc(root, command) if tree.is_managed else command,
        cwd=root / "project", env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def asked_for(program: Path, tree: Tree, root: Path, *more: str) -> str | None:
    """Run the real terminal on a tree that is written, and give the model of its first request; None: it sent none."""
    command = [str(program), "-p", "hi", "--no-session-persistence", *more]
    command += [] if tree.flag is None else ["--model", tree.flag]
    command += ["--settings", str(root / "given.json")] if "file" in tree.files else []
    with listening() as stub:
        start(command, tree, root, stub.url)
    main = next((body for body in stub.bodies if body.get("tools")), None)
    return None if main is None else main["model"]


def show(tree: Tree, root: Path, version: str, *more: str, people: bool = False) -> Any:
    """Give what `trimtab terminal show` says of a tree: its JSON, or the text that people read."""
    command = [sys.executable, "-m", "trimtab", "terminal", "show", "--cli-version", version, *more]
    command += [] if tree.flag is None else ["--model", tree.flag]
    command += [] if people else ["--json"]
    env = {"PATH": os.environ["PATH"], "HOME": str(root / "home"), **tree.env}
    done = subprocess.run(
        in_own_etc(root, command) if tree.is_managed else command,
        cwd=root / "project", env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout if people else json.loads(done.stdout)

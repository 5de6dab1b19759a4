"""Runs the installed terminal against a stub on loopback and reads what it asks for: exact, free, and without a trace.

The terminal gets a home of its own for the run, with the person's settings and agents copied into it; the project's and the managed
files are read where they are. Hooks, MCP servers and key helpers are off, the key is a dummy, and what a settings `env` block
says of addresses and keys is set over by `--settings`; what a managed block says cannot be, and is refused.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from trimtab.core.finding import Finding
from trimtab.terminal.layers import Layers, read_layers
from trimtab.terminal.place import MARK, Place
from trimtab.terminal.stub import listening
from trimtab.terminal.versions import installed

_OFF = frozenset({"", "0", "false", "no", "off"})
_ELSEWHERE = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "CLAUDE_CODE_USE_MANTLE")
_ADDRESSES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_UNIX_SOCKET", "CLAUDE_CONFIG_DIR", "HTTP_PROXY", "http_proxy")
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_OAUTH_TOKEN")
_QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_ENABLE_TELEMETRY": "0",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


@dataclass(frozen=True, slots=True)
class Observed:
    """What the terminal asked for: the model, how hard it should think (None: not said), and how long that took to learn."""

    model: str
    cli_version: str
    effort: str | None
    max_tokens: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Silent:
    """Why nothing was learned: the terminal is not there, was not run, or was run and sent no request; `finding` says it."""

    reason: Literal["not there", "not run", "no request"]
    finding: Finding


def verify(
    place: Place,
    cli: str | None = None,
    flag: str | None = None,
    settings: str | None = None,
    agent: str | None = None,
    *,
    given: str | None = None,
    seconds: float = 30,
) -> Observed | Silent:
    """Ask the terminal at `cli` (None: the one on PATH) for one word in a place, and read the model of its request; `given` is --agents.

    Sends nothing beyond loopback and writes nothing outside a folder that is taken away again.
    """
    path, version = installed(cli, place.env)
    if path is None or version is None:
        what = f"{path} is no Claude Code terminal that says its version" if path else "no terminal is installed here"
        mend = "give --cli PATH, or install @anthropic-ai/claude-code"
        return Silent("not there", Finding(what, path or "PATH", "", mend, "error"))
    layers = read_layers(place, settings, version)
    refused = _refused(place, layers)
    if refused is not None:
        return Silent("not run", refused)
    with listening() as stub, tempfile.TemporaryDirectory(prefix="trimtab-verify-", ignore_cleanup_errors=True) as made:
        home = Path(made)
        _copy(place, home)
        over = home / "settings.json"
        over.write_text(json.dumps(_given(layers, stub.url)), "utf-8")
        command = [path, "-p", "hi", "--no-session-persistence", "--strict-mcp-config", "--settings", str(over)]
        command += [] if flag is None else ["--model", flag]
        command += [] if agent is None else ["--agent", agent]
        command += [] if given is None else ["--agents", given]
        began = time.monotonic()
        said = _run(command, place.project, _env(place, home, stub.url), seconds)
        took = time.monotonic() - began
        main = next((body for body in stub.bodies if body.get("tools")), stub.bodies[0] if stub.bodies else None)
    if main is None:
        finding = Finding(f"{path} sent no request", str(place.project), said, "claude doctor", "error")
        return Silent("no request", finding)
    return Observed(str(main.get("model")), version, _effort(main), _tokens(main), round(took, 3))


def _refused(place: Place, layers: Layers) -> Finding | None:
    block = layers.env()
    if not place.project.is_dir():
        return Finding("no such folder", str(place.project), "", "give --project DIR", "error")
    for name in _ELSEWHERE:
        held = block[name][0] if name in block else place.env.get(name, "")
        if held.strip().lower() not in _OFF:
            why = "the request would go to another cloud, with its credentials"
            return Finding(f"{name} is set", _file_of(block, name), why, "trimtab terminal show", "error")
    helper = layers.last("managed", "apiKeyHelper")
    if helper is not None and helper[1]:
        why = "managed settings name a program that gives keys, which cannot be switched off"
        mend = "trimtab terminal show reads the same files without running anything"
        return Finding("apiKeyHelper is managed", helper[0].path, why, mend, "error")
    for name in (*_ADDRESSES, *_KEYS):
        if name in block and (block[name][1].scope == "managed" or name == "CLAUDE_CONFIG_DIR"):
            why = "nothing may stand over this, so the request would leave this machine or write to another folder"
            mend = "trimtab terminal show reads the same files without running anything"
            return Finding(f"the env block sets {name}", block[name][1].path, why, mend, "error")
    return None


def _file_of(block: Mapping[str, Any], name: str) -> str:
    return str(block[name][1].path) if name in block else "environment"


def _copy(place: Place, home: Path) -> None:
    folder = home / ".claude"
    folder.mkdir(mode=0o700)
    if place.user.is_file():
        shutil.copyfile(place.user, folder / "settings.json")
    # What its first start did to these settings is done, and not done again.
    if place.is_marked:
        (home / ".claude.json").write_text(json.dumps({MARK: True}), "utf-8")
    if (place.folder / "agents").is_dir():
        shutil.copytree(place.folder / "agents", folder / "agents", ignore_dangling_symlinks=True)


def _given(layers: Layers, url: str) -> dict[str, Any]:
    """Give what --settings says: what the caller gave, and above it what keeps the run quiet and on this machine."""
    values: dict[str, Any] = {}
    for file in layers.of("flag"):
        values.update(file.values)
    block = values.get("env")
    env = dict(cast("dict[str, Any]", block)) if isinstance(block, dict) else {}
    held = layers.env()
    env |= {name: "" for name in (*_KEYS, *_ADDRESSES) if name in held}
    return {
        **values,
        "env": {**env, **_QUIET, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy"},
        "disableAllHooks": True,
        # Empty switches a helper off; null would not.
        "apiKeyHelper": "",
    }


def _env(place: Place, home: Path, url: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in place.env.items()
        if name not in {*_KEYS, *_ADDRESSES}
        and not (any(part in name.upper() for part in _SECRET) and "TOKENS" not in name.upper())
        and not name.startswith(("OTEL_", "CLAUDECODE"))
    }
    kept |= {"HOME": str(home), "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy", **_QUIET}
    return {"PATH": os.environ.get("PATH", ""), **kept}


def _run(command: list[str], folder: Path, env: Mapping[str, str], seconds: float) -> str:
    """Run to the end; gives the first line of what it complained of."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the terminal that the user asks about
            command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"it did not end within {seconds:g} s"
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else f"it left with {process.returncode}"


def _effort(body: Mapping[str, Any]) -> str | None:
    config = body.get("output_config")
    effort = cast("dict[str, Any]", config).get("effort") if isinstance(config, dict) else None
    return effort if isinstance(effort, str) else None


def _tokens(body: Mapping[str, Any]) -> int | None:
    most = body.get("max_tokens")
    return most if isinstance(most, int) else None

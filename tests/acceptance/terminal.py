"""The command line as a user has it: a subprocess in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """`folder` is where commands run; the home folder is inside it, so that nothing outside is touched."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        home = self.folder / "home"
        kept = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
        return {**kept, "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "examples")}

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trimtab", *arguments]
        env = {**self.env, **more.pop("env", {})}
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, start_new_session=True, **more,
        )  # fmt: skip

    def run(self, *arguments: str, seconds: float = 120, **more: Any) -> Said:
        process = self.popen(*arguments, **more)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            stop(process, signal.SIGKILL)
            raise
        return Said(process.returncode, out, err)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path


def stop(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> Said:
    os.killpg(process.pid, how)
    out, err = process.communicate(timeout=30)
    return Said(process.returncode, out, err)


def line_of(process: subprocess.Popen[str], pattern: str, stream: str = "stderr") -> re.Match[str]:
    """Read lines until one matches."""
    for line in getattr(process, stream):
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"the process ended and never said {pattern!r}")

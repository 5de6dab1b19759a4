"""A real systemd as the first process of a machine made of namespaces: what a unit says is done, and nothing outside is touched."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = next((p for p in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.access(p, os.X_OK)), None)
_BOOT = Path(__file__).with_name("real_systemd.sh")
_HIDDEN = ("/tmp", "/var/tmp", "/run")
_NEW = ("--fork", "--mount", "--pid", "--uts", "--cgroup", "--ipc", "--net", "--kill-child")


def driven(folder: Path, script: str, seconds: float = 120) -> str:
    """Run a shell script as a service of that machine, and give what it said; skips where no such machine can be made."""
    if PROGRAM is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a systemd of our own needs root, unshare and systemd")
    if hidden := next((f for f in _HIDDEN if Path(sys.prefix).resolve().is_relative_to(f)), None):
        pytest.skip(f"this checkout is in {hidden}, where a service has a folder of its own: run it from elsewhere")
    out = folder / "out"
    out.mkdir(parents=True)
    (out / "drive.sh").write_text(script, "utf-8")
    ours, theirs = pty.openpty()
    machine = subprocess.Popen(
        ["unshare", *_NEW, "sh", str(_BOOT), str(folder), PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        log = _until(out / "done", machine, ours, time.monotonic() + seconds)
    finally:
        machine.kill()
        machine.wait()
        os.close(ours)
    if not (out / "begun").exists():
        pytest.skip(f"no namespaces with a systemd of our own here: {log[-300:]}")
    said = (out / "said").read_text("utf-8") if (out / "said").exists() else ""
    assert (out / "done").exists(), f"{said}\n{log}"
    return said


def _until(done: Path, machine: subprocess.Popen[bytes], console: int, until: float) -> str:
    """Read the console until the script is through: a console that nobody reads holds systemd up."""
    log = b""
    while not done.exists() and machine.poll() is None and time.monotonic() < until:
        if select.select([console], [], [], 0.2)[0]:
            try:
                log += os.read(console, 65536)
            except OSError:
                break
    return log.decode("utf-8", "replace")

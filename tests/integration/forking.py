"""Workers made to be killed: one process that has imported everything forks a worker for each job it reads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Workers:
    """The process that forks workers: importing once makes a kill and a restart a matter of milliseconds.

    It runs `module`, which reads jobs (dataclasses) as JSON lines and answers each with an exit code.
    """

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._env = env

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=120)

    def do(self, job: Any) -> int:
        """Let a worker do a job and give its exit code; a killed one has -9."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def fork(life: Coroutine[Any, Any, None], kill_after: float | None) -> int:
    """Live in a fork, kill it when its time has come, and give its exit code (negative: the signal)."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(2, 1)
            asyncio.run(life)
            code = 0
        except BaseException as error:  # noqa: BLE001 - the child must never return into the parent's loop
            sys.stderr.write(f"worker: {error!r}\n")
            sys.stderr.flush()
        os._exit(code)
    life.close()
    deadline = time.monotonic() + (PATIENCE if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += PATIENCE
        time.sleep(0.001)

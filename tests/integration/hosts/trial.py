"""One rollout over the hosts of the bed, disturbed or not, and what must be true of it afterwards.

Used by the tests beside this file in short and by `bench/chaos/rollouts.py` at length.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.integration.hosts import service
from tests.integration.hosts.bed import Bed
from tests.integration.hosts.host import until
from tests.integration.hosts.left import Entry, tree, wrong_files, wrong_numbers
from tests.integration.hosts.machine import OLD
from tests.integration.hosts.operator import LOG, STOP

NAME = "sonnet"
STAGING, PRODUCTION = ("staging-1",), ("production-1", "production-2", "production-3")
# Two roles of three change, one in each file of the service.
NEW = {**OLD, "orchestrator": "claude-sonnet-4-6", "payment": "claude-sonnet-4-6"}
POLICY = """\
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
orchestrator = "haiku"
pricing = "haiku"
payment = "haiku"
[environments.staging]
[environments.production]
[rollouts.sonnet]
set = { orchestrator = "sonnet", payment = "sonnet" }
stages = [
  { environment = "staging", hold = "0s", gate = "health" },
  { environment = "production", hold = "0s", gate = "health" },
]
"""
GROUP = """\
[hosts.{name}]
addresses = {addresses}
unit = "charter.service"
prove = "curl -fsS http://127.0.0.1:8080/ask"
last = "curl -fsS http://127.0.0.1:8080/last"
health = [{{ http = "http://127.0.0.1:8080/health" }}]
timeout = "{timeout}"
{more}
[hosts.{name}.files.settings]
path = "/etc/charter/settings.json"
keys = {{ orchestrator = "roles.orchestrator.model", pricing = "roles.pricing.model" }}
[hosts.{name}.files.worker]
path = "/etc/charter/worker.env"
keys = {{ payment = "CHARTER_PAYMENT_MODEL" }}
"""


@dataclass
class Trial:
    """`bed` was reset; `folder` is empty and becomes the operator's. `ballast`: see `service.install`; `timeout`, `more`: of every group of hosts."""

    bed: Bed
    folder: Path
    more: str = ""
    policy: str = POLICY
    ballast: int = 0
    timeout: str = "8s"
    before: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups = [("staging", STAGING), ("production", PRODUCTION)]
        texts = [
            GROUP.format(name=name, addresses=json.dumps(hosts), more=self.more, timeout=self.timeout)
            for name, hosts in groups
        ]
        (self.folder / "trimtab.toml").write_text("".join([self.policy, *texts]))
        self.before = {name: tree(host) for name, host in self.bed.hosts.items()}

    @property
    def store(self) -> Path:
        return self.folder / "trimtab.db"

    @property
    def log(self) -> Path:
        return self.folder / "points.log"

    @property
    def points(self) -> list[str]:
        """Every point that operators have passed."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def start(self, *arguments: str, stop: str = "", log: str = "points.log") -> subprocess.Popen[str]:
        """Run `trimtab` as the operator; `stop`: "kill POINT" or "wait POINT" (see operator.py)."""
        if stop:
            for left in (self.log.with_suffix(".here"), self.log.with_suffix(".go")):
                left.unlink(missing_ok=True)
        program = [sys.executable, "-m", "tests.integration.hosts.operator", *arguments]
        told = ["env", f"{LOG}={self.folder / log}", f"{STOP}={stop}"]
        return self.bed.popen(*told, *program, cwd=self.folder)

    def trimtab(self, *arguments: str, stop: str = "", log: str = "points.log") -> subprocess.CompletedProcess[str]:
        return self.ended(self.start(*arguments, stop=stop, log=log))

    def ended(self, process: subprocess.Popen[str], seconds: float = 90) -> subprocess.CompletedProcess[str]:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def here(self) -> bool:
        """Whether an operator waits at its point."""
        return self.log.with_suffix(".here").exists()

    def waiting(self, point: str, *arguments: str) -> subprocess.Popen[str]:
        """Run `trimtab` until it waits at a point."""
        process = self.start(*arguments, stop=f"wait {point}")
        until(lambda: self.here or process.poll() is not None, point, 60)
        assert self.here, f"never came to {point}: {self.ended(process)}"
        return process

    def go_on(self) -> None:
        self.log.with_suffix(".go").touch()

    def rows(self, table: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]
        finally:
            connection.close()

    def maps(self) -> dict[str, str]:
        """Which map every host runs, as its service says itself: old, new, or what it answers."""
        known = {json.dumps(OLD, sort_keys=True): "old", json.dumps(NEW, sort_keys=True): "new"}
        said = {name: json.dumps(host.ask(), sort_keys=True) for name, host in self.bed.hosts.items()}
        return {name: known.get(answer, answer) for name, answer in said.items()}

    def unproved(self) -> list[str]:
        """Hosts whose newest line does not say that a map was proved there."""
        newest = {row["host"]: row["step"] for row in self.rows("host_change")}
        return [host for host, step in newest.items() if step not in {"changed", "restored"} and self._written(host)]

    def _written(self, host: str) -> bool:
        return any(row["host"] == host and row["step"] == "writing" for row in self.rows("host_change"))

    def torn(self) -> list[str]:
        """Files that are neither the old nor the new ones, at any moment."""
        return [
            f"{host.name}: {path} is half-written"
            for host in self.bed.hosts.values()
            for path in self.texts["old"]
            if host.path(path).read_bytes() not in {self.texts["old"][path], self.texts["new"][path]}
        ]

    @cached_property
    def texts(self) -> dict[str, dict[str, bytes]]:
        """The files as they must be, to the byte: by map, by real path."""
        return {
            word: {
                f"{service.RELEASE}/settings.json": service.settings_text(models, self.ballast).encode(),
                str(service.ENV): service.env_text(models).encode(),
            }
            for word, models in (("old", OLD), ("new", NEW))
        }

    def wrong(
        self, allowed: Mapping[str, Collection[str]], touched: Mapping[str, Collection[str]] | None = None
    ) -> list[str]:
        """What must not be: `allowed` is what each environment may run (one of them on all of its hosts).

        `touched`: paths that the test itself changed, by host.
        """
        maps = self.maps()
        found: list[str] = []
        for environment, hosts in (("staging", STAGING), ("production", PRODUCTION)):
            there = {maps[host] for host in hosts}
            if len(there) != 1 or not there <= set(allowed[environment]):
                runs = ", ".join(f"{host} {maps[host]}" for host in hosts)
                found.append(f"{environment} runs {runs}, not {' or '.join(allowed[environment])} on all")
        for name, host in self.bed.hosts.items():
            meant = self.texts.get(maps[name], {})
            found += wrong_files(host, self.before[name], meant, (touched or {}).get(name, ()))
        return found + self.wrong_log()

    def wrong_log(self) -> list[str]:
        """What is wrong with the audit log."""
        if not self.store.exists():
            return []
        moves, lines = self.rows("rollout"), self.rows("host_change")
        found = [*wrong_numbers("rollout", "name", moves), *wrong_numbers("host_change", "host", lines)]
        found += [f"host_change {host}: a change has no end" for host in self.unproved()]
        said = json.loads(self.trimtab("audit", "--json", log="audit.log").stdout or "[]")
        if len(said) != len(moves) + len(lines):
            found.append(f"`trimtab audit --json` has {len(said)} entries")
        return found

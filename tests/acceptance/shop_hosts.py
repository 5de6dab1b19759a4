"""Hosts that are folders, a policy that has them, and `trimtab` that reaches them: what tests of hosts begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.acceptance.terminal import Said, Terminal
from tests.fakes.hosts import NEW, OLD, Hosts, make_hosts

POLICY = f"""
[models]
haiku = "{OLD}"
sonnet = "{NEW}"
[roles]
default = "haiku"
orchestrator = "haiku"
payment = "haiku"
[environments.staging]
[environments.production]
"""
ROLLOUT = """
[rollouts.dearer]
set = { orchestrator = "sonnet" }
stages = [
  { environment = "staging", hold = "0s", gate = "health" },
  { environment = "production", weight = 30, hold = "0s", gate = "health" },
  { environment = "production", hold = "0s", gate = "health" },
]
"""
GROUP = """
[hosts.{name}]
environment = "{environment}"
addresses = {addresses}
prove = "/HOST/ask"
restart = "/HOST/restart"
health = [{{ command = "test ! -e /HOST/sick" }}]
timeout = "2s"
{more}
files.app = {{ path = "/HOST/etc/settings.json", kind = "json", keys = {{ orchestrator = "orchestrator", payment = "payment" }} }}
"""
PRODUCTION = ("p1", "p2", "p3")
EVERY = ("s1", *PRODUCTION)


@dataclass(frozen=True)
class Shop:
    """One terminal and four hosts: `s1` in staging, `p1` to `p3` in production."""

    terminal: Terminal
    hosts: Hosts

    @property
    def env(self) -> dict[str, str]:
        return {"TRIMTAB_SSH": str(self.hosts.program)}

    def run(self, *arguments: str) -> Said:
        return self.terminal.run(*arguments, env=self.env)

    def popen(self, *arguments: str) -> Any:
        return self.terminal.popen(*arguments, env=self.env)

    def running(self) -> dict[str, str]:
        """Which model the orchestrator of each host runs."""
        return {host: self.hosts.running(host)["orchestrator"] for host in EVERY}


def policy_text(more: str = "") -> str:
    groups = (("stage", "staging", ("s1",)), ("web", "production", PRODUCTION))
    told = [
        GROUP.format(name=name, environment=environment, addresses=[*addresses], more=more)
        for name, environment, addresses in groups
    ]
    return POLICY + ROLLOUT + "".join(told)


def open_shop(terminal: Terminal, more: str = "") -> Shop:
    terminal.write("trimtab.toml", policy_text(more))
    return Shop(terminal, make_hosts(terminal.folder / "hosts", *EVERY))

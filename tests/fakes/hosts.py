"""Hosts as folders: a program in the place of ssh runs what it is given on this machine, where `/HOST` is the folder of the address.

What runs there, `charter`, reads `settings.json` when it is restarted, and says by `ask` which model it runs. Faults are files:

    down            nothing answers, as if the host were gone     no-restart   the restart fails
    stubborn        it goes on with the model it runs             sick         its health check fails
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from trimtab.policy.rollout_spec import FileSpec, HealthSpec, HostGroup

OLD, NEW = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
ROLES = ("orchestrator", "payment")
SETTINGS = "/HOST/etc/settings.json"
_SSH = """\
#!/bin/sh
while [ "$1" != -- ]; do if [ "$1" = -O ]; then exit 0; fi; shift; done
folder={root}/$2
if [ -e "$folder/down" ]; then echo "ssh: connect to host $2 port 22: No route to host" >&2; exit 255; fi
exec sh -c "$(printf %s "$3" | sed "s#/HOST#$folder#g")"
"""
_RESTART = """\
#!/bin/sh
cd /HOST
if [ -e no-restart ]; then echo "charter.service: cannot start" >&2; exit 1; fi
echo restarted >>log
if [ ! -e stubborn ]; then cp etc/settings.json running; fi
"""
_ASK = """\
#!/bin/sh
cat /HOST/running 2>/dev/null || { echo "charter is not running" >&2; exit 1; }
"""


@dataclass(frozen=True)
class Hosts:
    """`program` is what TRIMTAB_SSH names."""

    root: Path
    program: Path

    def folder(self, address: str) -> Path:
        return self.root / address

    def fault(self, address: str, name: str, *, there: bool = True) -> None:
        path = self.folder(address) / name
        path.touch() if there else path.unlink(missing_ok=True)

    def configured(self, address: str) -> dict[str, str]:
        return json.loads((self.folder(address) / "etc/settings.json").read_text())

    def running(self, address: str) -> dict[str, str]:
        return json.loads((self.folder(address) / "running").read_text())

    def restarts(self, address: str) -> int:
        log = self.folder(address) / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def left_over(self, address: str) -> list[str]:
        return [path.name for path in (self.folder(address) / "etc").iterdir() if "-new-" in path.name]


def make_hosts(root: Path, *addresses: str) -> Hosts:
    root.mkdir(parents=True, exist_ok=True)
    program = root / "ssh"
    program.write_text(_SSH.replace("{root}", str(root)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    models = {role: OLD.partition(":")[2] for role in ROLES}
    for address in addresses:
        folder = root / address
        (folder / "etc").mkdir(parents=True)
        for path in ("etc/settings.json", "running"):
            (folder / path).write_text(json.dumps({**models, "secret": "s3cret"}, indent=2))
        (folder / "etc/settings.json").chmod(0o640)
        for name, text in (("restart", _RESTART), ("ask", _ASK)):
            (folder / name).write_text(text.replace("/HOST", str(folder)))
            (folder / name).chmod(0o755)
    return Hosts(root, program)


def group_of(name: str, environment: str, *addresses: str, **given: Any) -> HostGroup:
    """A group whose hosts are such folders."""
    files = (FileSpec("settings", SETTINGS, "json", {role: role for role in ROLES}),)
    usual: dict[str, Any] = {
        "files": files,
        "prove": "/HOST/ask",
        "restart": "/HOST/restart",
        "health": (HealthSpec(command="test ! -e /HOST/sick"),),
        "timeout": timedelta(seconds=2),
    }
    return HostGroup(name, environment, addresses, **{**usual, **given})

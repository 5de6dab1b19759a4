"""Real sshd processes on loopback, one for each of some hosts as folders (see hosts.py), with keys and config of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.hosts import Hosts

_SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
PermitRootLogin yes
SetEnv HOME={root}/{address}
AllowTcpForwarding yes
ForceCommand {folder}/enter {root}/{address}
"""
_ENTER = """\
#!/bin/sh
echo "what a .bashrc says"
# The command as it was sent, with the folder of this host in the place of /HOST.
exec /bin/sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s#/HOST#$1#g")"
"""
_CLIENT = """\
Host {address}
  HostName 127.0.0.1
  Port {port}
"""
_EVERY = """\
Host *
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking yes
"""


@dataclass
class Servers:
    """`config` is a user's ssh config, in which each host has its address as its name."""

    folder: Path
    config: Path
    ports: dict[str, int] = field(default_factory=dict[str, int])
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, subprocess.Popen[bytes]])

    @property
    def program(self) -> str:
        """What TRIMTAB_SSH names."""
        return f"ssh -F {self.config}"

    def start(self, address: str) -> None:
        log = (self.folder / f"{address}.log").open("ab")
        with log:
            command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / f"{address}.conf")]
            self.running[address] = subprocess.Popen(
                command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", self.ports[address])) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError((self.folder / f"{address}.log").read_text())

    def sessions(self, address: str) -> list[int]:
        """The processes that serve connections, and what runs in them."""
        return _children(self.running[address].pid)

    def kill(self, address: str) -> None:
        """Kill sshd with every session of it, as if the machine had gone; what ran in them goes on without a connection."""
        sshd = self.running.pop(address)
        for pid in [sshd.pid, *(pid for pid in _children(sshd.pid) if _is_sshd(pid))]:
            _kill(pid)
        sshd.wait()

    def stop(self) -> None:
        for address in [*self.running]:
            children = self.sessions(address)
            self.kill(address)
            for pid in children:
                _kill(pid)


@contextmanager
def servers(folder: Path, hosts: Hosts, *addresses: str) -> Iterator[Servers]:
    """Start an sshd for each address."""
    if not Path("/usr/sbin/sshd").exists() or not shutil.which("ssh"):
        pytest.skip("sshd is not installed: apt-get install openssh-server openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "enter").write_text(_ENTER)
    (folder / "enter").chmod(0o755)
    made = Servers(folder, folder / "config")
    known, client = "", ""
    for address in addresses:
        port = made.ports[address] = _free_port()
        text = _SSHD.format(port=port, folder=folder, root=hosts.root, address=address)
        (folder / f"{address}.conf").write_text(text)
        client += _CLIENT.format(address=address, port=port)
        known += f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}"
    (folder / "known").write_text(known)
    made.config.write_text(client + _EVERY.format(folder=folder))
    try:
        for address in addresses:
            made.start(address)
        yield made
    finally:
        made.stop()


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return line.getsockname()[1]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    own = [int(child) for child in tasks.read_text().split()] if tasks.exists() else []
    return [found for child in own for found in (child, *_children(child))]


def _is_sshd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "sshd"
    except OSError:
        return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

"""One host of the bed as the machine sees it: its files, its processes, its cable, and what is made to go wrong there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.hosts import service
from tests.integration.hosts.machine import PATH

# linux/fs.h
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10
# The programs that `step.sh` can stand in front of.
STEPS = tuple("readlink stat mkdir cat sha256sum cp touch chmod chown sync find ln mv rm flock curl".split())  # noqa: SIM905 - shorter


@dataclass
class Host:
    """`process` is that of `unshare`; `first` the host's process 1 as this machine numbers it."""

    name: str
    address: str
    namespace: str
    process: subprocess.Popen[str]
    first: int

    def path(self, inside: str) -> Path:
        """The host's file as this machine sees it, links of the host not followed."""
        return Path(f"/proc/{self.first}/root", inside.lstrip("/"))

    def do(self, *command: str, check: bool = True) -> str:
        """Run a command on the host itself, without ssh."""
        entered = ["nsenter", f"--target={self.first}", "--all", "--root", "--wd"]
        env = ["env", "-i", f"PATH={PATH}", "HOME=/root"]
        done = subprocess.run([*entered, *env, *command], capture_output=True, text=True, timeout=30, check=False)
        assert not check or done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self) -> dict[str, str]:
        """What the service there answers: role -> model; empty where it does not answer."""
        said = self.do("curl", "-sS", "--max-time", "5", "http://127.0.0.1:8080/ask", check=False)
        return json.loads(said or "{}")

    def processes(self) -> list[int]:
        """Everything that runs there but its supervisor."""
        own = namespace_of(self.first, "pid")
        return [pid for pid in running() if pid != self.first and namespace_of(pid, "pid") == own]

    def sessions(self) -> list[int]:
        """sshd's processes of who is logged in; the one that listens is not among them."""
        said = {pid: command_of(pid) for pid in self.processes()}
        return [pid for pid, command in said.items() if command.startswith("sshd: ") and "[listener]" not in command]

    def kill_sshd(self, *, for_good: bool = False, commands: bool = False) -> None:
        """Kill -9 all of sshd, or what it runs, too; the supervisor starts it again a moment later, or when the host is mended."""
        if for_good:
            self.fault("sshd")
        for pid in self.processes():
            if command_of(pid).startswith("sshd: ") or (commands and "hosts.machine" not in command_of(pid)):
                kill(pid)

    def restart(self) -> None:
        self.do("systemctl", "restart", "charter.service")

    def fault(self, name: str, what: str = "", *, when: str = "") -> None:
        """Let something go wrong there (see service.py, machine.py); `when`: only where the settings contain it."""
        self.path(f"/run/faults/{name}").write_text(f"{when}\n{what}")

    def mend(self) -> None:
        """End every fault; the cable is `join`'s."""
        for frozen in (service.SETTINGS, service.ENV):
            self.thaw(str(frozen))
        for name in STEPS:
            self.path(f"/opt/bin/{name}").unlink(missing_ok=True)
        steps = self.path("/run/faults/steps")
        if steps.exists():
            self.go_on()
            shutil.rmtree(steps)
        for fault in self.path("/run/faults").iterdir():
            fault.unlink()
        self.path("/var/ballast").unlink(missing_ok=True)

    def watch_steps(self, stop: str = "") -> None:
        """Log every program that commands of others run there from now on (`steps`); wait at `stop`, "mv 2" being the second `mv`."""
        steps = self.path("/run/faults/steps")
        steps.mkdir()
        if stop:
            (steps / f"stop-{stop.replace(' ', '-')}").touch()
        for name in STEPS:
            program = self.path(f"/opt/bin/{name}")
            shutil.copy(Path(__file__).with_name("step.sh"), program)
            program.chmod(0o755)

    @property
    def steps(self) -> list[str]:
        return self.path("/run/faults/steps/log").read_text().splitlines()

    @property
    def waits(self) -> bool:
        return self.path("/run/faults/steps/here").exists()

    def go_on(self) -> None:
        self.path("/run/faults/steps/go").touch()

    def freeze(self, inside: str) -> None:
        """Let nobody change a file, root not either: it is immutable, or, where this kernel has no such flag, its folder read-only."""
        if not self._flag(inside, FS_IMMUTABLE_FL):
            folder = str(Path(inside).parent)
            self.do("mount", "--bind", folder, folder)
            self.do("mount", "-o", "remount,ro,bind", folder)

    def thaw(self, inside: str) -> None:
        if self.path(inside).exists() and not self._flag(inside, 0):
            self.do("umount", str(Path(inside).parent), check=False)

    def _flag(self, inside: str, flag: int) -> bool:
        with self.path(inside).open("rb") as file:
            try:
                kept = struct.unpack("l", fcntl.ioctl(file, FS_IOC_GETFLAGS, bytes(8)))[0] & ~FS_IMMUTABLE_FL
                fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("l", kept | flag))
            except OSError as error:
                if error.errno not in {errno.ENOTTY, errno.EOPNOTSUPP}:
                    raise
                return False
        return True

    def fill(self, leave: int = 0) -> None:
        """Fill the host's disk but for so many bytes."""
        with self.path("/var/ballast").open("wb") as ballast:
            disk = os.fstatvfs(ballast.fileno())
            os.posix_fallocate(ballast.fileno(), 0, disk.f_bavail * disk.f_frsize - leave)

    def cut(self) -> None:
        """Pull the cable."""
        ip("-n", self.namespace, "link", "set", "eth0", "down")

    def join(self) -> None:
        ip("-n", self.namespace, "link", "set", "eth0", "up")

    def reset(self, models: Mapping[str, str], ballast: int = 0) -> None:
        """As it was at first, with these models and `ballast` bytes more in its settings."""
        self.mend()
        self.join()
        self.do("sh", "-c", "rm -rf /tmp/* /tmp/.[!.]* /run/trimtab* /root/.trimtab*", check=False)
        service.install(self.path("/"), models, ballast)
        self.restart()
        until(lambda: any("[listener]" in command_of(pid) for pid in self.processes()), f"{self.name}: sshd")

    def end(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            kill(self.first)
            self.process.wait(timeout=5)
        if self.process.stdout:
            self.process.stdout.close()


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def running() -> list[int]:
    return [int(found.name) for found in Path("/proc").iterdir() if found.name.isdecimal()]


def namespace_of(pid: int, kind: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def child_of(parent: int) -> int:
    return next(pid for pid in running() if parent_of(pid) == parent)


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def until(there: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Wait for something, looking often."""
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.002)
    return found

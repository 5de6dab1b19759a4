"""Hosts on one machine: a network namespace each, its own root folder and its own real sshd, and an operator who reaches them.

    operator  10.77.0.1    a namespace with a private home folder: .ssh/config, keys and known_hosts are made here
    bastion   10.77.0.9    the jump host of production-3
    staging-1, production-1, production-2, production-3

Nothing of this touches the machine's own network, sshd or home folder; traffic has no way out of the namespaces. Everything ends with
the process that made the bed, however that ends; names of namespaces whose process is gone are removed by the next bed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hosts import service
from tests.integration.hosts.machine import OLD, PATH

ROOT = Path(__file__).parents[3]
HOSTS = {"staging-1": "10.77.0.11", "production-1": "10.77.0.21", "production-2": "10.77.0.22", "production-3": "10.77.0.23"}
BASTION = ("bastion", "10.77.0.9")
OPERATOR, SECOND_OPERATOR = "10.77.0.1", "10.77.0.2"
SIZE = "48m"
PREFIX = "trimtab"
# linux/fs.h
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10
_SSH = """\
Host *
  User root
  IdentityFile {home}/.ssh/operator
  UserKnownHostsFile {home}/.ssh/known_hosts
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  ConnectTimeout 3
"""
_SSHD = """\
ListenAddress {address}
HostKey /etc/ssh/host_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
PrintMotd no
SetEnv PATH={path}
"""
_SYSTEMCTL = """\
#!/bin/sh
# Stands for systemd's: asks the supervisor of this host. Its answer is the exit code, then what is printed.
verb= unit= asked=
while [ $# -gt 0 ]; do
  case $1 in
    -p|--property) asked="$asked&property=$2"; shift ;;
    --property=*) asked="$asked&property=${1#*=}" ;;
    -p*) asked="$asked&property=${1#-p}" ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$1; else unit=$1; fi ;;
  esac
  shift
done
said=$(curl -sS --unix-socket /run/supervisor.sock "http://supervisor/$verb?unit=$unit$asked") || exit 1
code=${said%%
*}
text=${said#*
}
[ "$text" = "$code" ] || { [ "$code" = 0 ] && echo "$text"; [ "$code" = 0 ] || echo "$text" >&2; }
exit "$code"
"""
# Stands in front of a program of the host while a test watches its steps: says that it is about to run, and waits where it is told to,
# `cat` with the first bytes of what it copies already written.
_STEP = """\
#!/bin/sh
steps=/run/faults/steps name=${0##*/} number=0
[ ! -e "$steps/$name" ] || read -r number < "$steps/$name"
number=$((number + 1))
echo "$number" > "$steps/$name"
echo "$name $number: $*" >> "$steps/log"
if [ -e "$steps/stop-$name-$number" ]; then
  if [ "$name$#" = cat0 ]; then /usr/bin/dd bs=1 count=200 status=none; fi
  echo "$name $number: $*" > "$steps/here"
  until [ -e "$steps/go" ] || [ ! -e "$steps" ]; do /usr/bin/sleep 0.01; done
fi
[ ! -x "/usr/bin/$name" ] || exec "/usr/bin/$name" "$@"
exec "/bin/$name" "$@"
"""
STEPS = ("readlink", "stat", "mkdir", "cat", "sha256sum", "cp", "touch", "chmod", "chown", "sync", "find", "ln", "mv", "rm", "flock", "curl")
_PASSWD = """\
root:x:0:0:root:{home}:/bin/sh
charter:x:990:990::/srv/charter:/usr/sbin/nologin
sshd:x:991:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\ncharter:x:990:\nnogroup:x:65534:\n"
_AS_OPERATOR = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'


def missing() -> None:
    """Skip without root or iproute2, and only then; fail where there is no sshd."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces; run the tests as root")
    if not shutil.which("ip"):
        pytest.skip("iproute2 is not installed: `ip netns` makes the hosts of these tests")
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"root may not make namespaces here (CAP_SYS_ADMIN is missing): {tried.stderr.strip()}")
    lacking = [name for name in ("/usr/sbin/sshd", "ssh", "ssh-keygen", "curl") if not shutil.which(name)]
    if lacking:
        pytest.fail(f"{', '.join(lacking)}: not installed; `apt-get install openssh-server openssh-client curl`", pytrace=False)


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
        entered = ["nsenter", f"--target={self.first}", "--all", "--root", "--wd", "env", "-i", f"PATH={PATH}", "HOME=/root"]
        done = subprocess.run([*entered, *command], capture_output=True, text=True, timeout=30, check=False)
        assert not check or done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self) -> dict[str, str]:
        """What the service there answers: role -> model; empty where it does not answer."""
        return self._get("ask")

    def _get(self, what: str) -> dict[str, str]:
        return json.loads(self.do("curl", "-sS", "--max-time", "5", f"http://127.0.0.1:8080/{what}", check=False) or "{}")

    def processes(self) -> list[int]:
        """Everything that runs there but its supervisor."""
        own = os.readlink(f"/proc/{self.first}/ns/pid")
        return [pid for pid in running() if pid != self.first and namespace_of(pid, "pid") == own]

    def sessions(self) -> list[int]:
        """sshd's processes of who is logged in; the one that listens is not among them."""
        return [pid for pid in self.processes() if (said := command_of(pid)).startswith("sshd: ") and "[listener]" not in said]

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
            program.write_text(_STEP)
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


@dataclass
class Bed:
    folder: Path
    namespace: str
    hosts: dict[str, Host]
    bastion: Host

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def command(self, *arguments: str) -> list[str]:
        """The command as the operator gives it: in the operator's namespace, whose root has the private home folder."""
        entered = ["ip", "netns", "exec", self.namespace, "sh", "-c", _AS_OPERATOR, "sh", str(self.folder / "passwd")]
        return [*entered, *arguments]

    @property
    def env(self) -> dict[str, str]:
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")}
        paths = (ROOT / "src", ROOT, ROOT / "examples")
        return {**kept, "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}

    def run(self, *arguments: str, seconds: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=seconds, check=False,
            stdin=more.pop("stdin", subprocess.DEVNULL) if "input" not in more else None, **more,
        )  # fmt: skip

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), env=self.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, **more,
        )  # fmt: skip

    def operators(self) -> list[int]:
        """What the operator left running."""
        own = Path("/run/netns", self.namespace).stat().st_ino
        return [pid for pid in running() if namespace_of(pid, "net") == f"net:[{own}]"]

    def reset(self, models: Mapping[str, str] = OLD, ballast: int = 0) -> None:
        """Every host as at first, and nothing of the operator running any more."""
        self.send_home()
        ip("-n", self.namespace, "addr", "flush", "dev", "lan")
        ip("-n", self.namespace, "addr", "add", f"{OPERATOR}/24", "dev", "lan")
        self.join()
        for host in self.hosts.values():
            host.reset(models, ballast)

    def send_home(self) -> None:
        """Kill -9 all that the operator runs, as a power cut would."""
        for pid in self.operators():
            kill(pid)

    def vanish(self) -> None:
        """Cut the power of the operator's machine: no host hears that it is gone. Who comes next has another address."""
        self.cut()
        self.send_home()
        ip("-n", self.namespace, "addr", "flush", "dev", "lan")
        ip("-n", self.namespace, "addr", "add", f"{SECOND_OPERATOR}/24", "dev", "lan")
        self.join()

    def cut(self) -> None:
        """Cut the operator off from every host."""
        ip("-n", self.namespace, "link", "set", "lan", "down")

    def join(self) -> None:
        ip("-n", self.namespace, "link", "set", "lan", "up")


@contextmanager
def made() -> Iterator[Bed]:
    """Make the hosts, each ready and its service answering."""
    remove_stale()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-hosts-{os.getpid()}-"))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        own = f"{PREFIX}-{os.getpid()}-operator"
        _namespace(own, undo)
        ip("-n", own, "link", "add", "lan", "type", "bridge")
        ip("-n", own, "addr", "add", f"{OPERATOR}/24", "dev", "lan")
        ip("-n", own, "link", "set", "lan", "up")
        _operator(folder)
        started = [_start(folder, own, name, address, undo) for name, address in [*HOSTS.items(), BASTION]]
        for host in started:
            assert host.process.stdout is not None
            said = host.process.stdout.readline()
            assert said == "ready\n", f"{host.name} did not start: {said}{host.process.stdout.read()}"
            host.first = child_of(host.process.pid)
        *hosts, bastion = started
        bed = Bed(folder, own, {host.name: host for host in hosts}, bastion)
        undo.callback(bed.send_home)
        yield bed


def remove_stale() -> None:
    """Remove what processes left behind that were killed before they could clean up."""
    for name in [line.split()[0] for line in ip("netns", "list").splitlines() if line.startswith(f"{PREFIX}-")]:
        if gone(name.split("-")[1]):
            ip("netns", "delete", name)
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}-hosts-*"):
        if gone(left.name.split("-")[2]):
            shutil.rmtree(left, ignore_errors=True)


def gone(pid: str) -> bool:
    return pid.isdecimal() and not Path("/proc", pid).exists()


def _namespace(name: str, undo: ExitStack) -> None:
    ip("netns", "add", name)
    undo.callback(ip, "netns", "delete", name)
    ip("-n", name, "link", "set", "lo", "up")


def _operator(folder: Path) -> None:
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    _key(home / ".ssh/operator")
    # ssh takes the home folder from here, whatever $HOME says.
    (folder / "passwd").write_text(_PASSWD.format(home=home))
    config = [f"Host {name}\n  HostName {address}\n" for name, address in [*HOSTS.items(), BASTION]]
    jump = "Host production-3\n  ProxyJump bastion\n"
    (home / ".ssh/config").write_text("".join([*config, jump, _SSH.format(home=home)]))


def _key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def _start(folder: Path, operator: str, name: str, address: str, undo: ExitStack) -> Host:
    space = f"{PREFIX}-{os.getpid()}-{name}"
    _namespace(space, undo)
    ip("-n", operator, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
    ip("-n", operator, "link", "set", name, "master", "lan", "up")
    ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
    ip("-n", space, "link", "set", "eth0", "up")
    seed, root = folder / name / "seed", folder / name / "root"
    root.mkdir(parents=True)
    _seed(seed, folder, name, address)
    entered = ["ip", "netns", "exec", space, "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    inside = [sys.executable, "-m", "tests.integration.hosts.machine", str(root), str(seed), address, name, SIZE]
    process = subprocess.Popen(
        [*entered, *inside], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    host = Host(name, address, space, process, 0)
    undo.callback(host.end)
    return host


def _seed(seed: Path, folder: Path, name: str, address: str) -> None:
    """Write what is on the host before it is started."""
    for part in ("etc/ssh", "root/.ssh", "opt/bin"):
        (seed / part).mkdir(parents=True)
    public = _key(seed / "etc/ssh/host_key")
    home = folder / "home/.ssh"
    with (home / "known_hosts").open("a") as known:
        known.write(f"{address} {public}")
    shutil.copy(home / "operator.pub", seed / "root/.ssh/authorized_keys")
    for part in (".", "root", "root/.ssh"):
        (seed / part).chmod(0o755 if part == "." else 0o700)
    (seed / "etc/ssh/sshd_config").write_text(_SSHD.format(address=address, path=PATH))
    (seed / "etc/passwd").write_text(_PASSWD.format(home="/root"))
    (seed / "etc/group").write_text(_GROUP)
    (seed / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (seed / "opt/bin/systemctl").write_text(_SYSTEMCTL)
    (seed / "opt/bin/systemctl").chmod(0o755)


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def running() -> list[int]:
    return [int(found.name) for found in Path("/proc").iterdir() if found.name.isdecimal()]


def namespace_of(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
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

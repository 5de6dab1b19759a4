"""Hosts on one machine: a network namespace each, its own root folder and its own real sshd, and an operator who reaches them.

    operator  10.77.0.1    a namespace with a private home folder: .ssh/config, keys and known_hosts are made here
    bastion   10.77.0.9    the jump host of production-3
    staging-1, production-1, production-2, production-3

Nothing of this touches the machine's own network, sshd or home folder; traffic has no way out of the namespaces. Everything ends with
the process that made the bed, however that ends; names of namespaces whose process is gone are removed by the next bed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.hosts.host import Host, child_of, ip, kill, namespace_of, running
from tests.integration.hosts.machine import OLD, PATH

ROOT = Path(__file__).parents[3]
HOSTS = {
    "staging-1": "10.77.0.11",
    "production-1": "10.77.0.21",
    "production-2": "10.77.0.22",
    "production-3": "10.77.0.23",
}
BASTION = ("bastion", "10.77.0.9")
OPERATOR, SECOND_OPERATOR = "10.77.0.1", "10.77.0.2"
SIZE = "48m"
PREFIX = "trimtab"
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
        hint = "apt-get install openssh-server openssh-client curl"
        pytest.fail(f"not installed: {', '.join(lacking)}\nhint: {hint}", pytrace=False)


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

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def popen(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), env=self.env, cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
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
            # Another bed may be at it at the same time.
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
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
    shutil.copy(Path(__file__).with_name("systemctl.sh"), seed / "opt/bin/systemctl")
    (seed / "opt/bin/systemctl").chmod(0o755)

"""The first process of a host of the bed: its own root folder, a real sshd, and a small supervisor standing for systemd.

Runs as process 1 of its own process, mount, network and host name namespaces, so that whatever it started ends with it.
It ends when its standard input does, however the test run ended. The only thing on this host that is not real, apart from the
supervisor, is the model behind `charter.service` (see service.py).
"""

from __future__ import annotations

import encodings.idna  # what is imported late cannot be found any more, once the root folder is another
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from urllib.parse import parse_qs, urlsplit

from tests.integration.hosts import service

__all__ = ["encodings", "main"]

SOCKET = "/run/supervisor.sock"
UNIT = "charter.service"
OLD = dict.fromkeys(("orchestrator", "pricing", "payment"), "claude-haiku-4-5")
SSHD = ("/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config")
PATH = "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What commands there need of the machine's own: libraries, and names of commands that are links (awk).
SHARED_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "nsswitch.conf", "localtime")
DEVICES = ("null", "zero", "random", "urandom", "tty")
FOLDERS = ("dev", "etc", "home", "opt", "proc", "root", "run/sshd", "run/faults", "srv", "tmp", "var/log", "var/lib")
LINES = {"stdin": "0", "stdout": "1", "stderr": "2"}
WAIT = 10.0


def enter(root: Path, seed: Path, size: str) -> None:
    """Build a root folder in memory, with the programs of this machine in it (read only), and make it the only one there is."""
    mount("-t", "tmpfs", "-o", f"size={size},mode=755", "trimtab-host", str(root))
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        own = Path("/", name)
        if own.is_symlink():
            (root / name).symlink_to(own.readlink())
        elif own.is_dir():
            (root / name).mkdir()
            mount("--rbind", str(own), str(root / name))
            mount("-o", "remount,ro,bind", str(root / name))
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    (root / "root").chmod(0o700)
    (root / "tmp").chmod(0o1777)
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", str(root / "dev" / name))
    mount("-t", "proc", "proc", str(root / "proc"))
    (root / "dev/fd").symlink_to("/proc/self/fd")
    for name, number in LINES.items():
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    for name in SHARED_ETC:
        copy(Path("/etc", name), root / "etc" / name)
    shutil.copytree(seed, root, symlinks=True, dirs_exist_ok=True)
    os.chroot(root)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(PATH=PATH, HOME="/root", LANG="C.UTF-8")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy2(source, target)


@dataclass
class Supervisor:
    """Keeps sshd and the service alive; `systemctl` on the host talks to it."""

    address: str
    running: dict[str, int] = field(default_factory=dict[str, int])
    restarts: int = 0
    next_sshd: float = 0.0

    def run(self) -> None:
        """Until the test run is gone."""
        self.start("sshd", lambda: os.execv(SSHD[0], SSHD))
        self.start(UNIT, service.serve)
        wait_for(lambda: answers(self.address, 22), "sshd")
        wait_for(lambda: answers(service.HOST, service.PORT), UNIT)
        with Server(SOCKET, asked(self)) as server, selectors.DefaultSelector() as ready:
            ready.register(server, selectors.EVENT_READ)
            ready.register(sys.stdin, selectors.EVENT_READ)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while True:
                for key, _ in ready.select(timeout=0.05):
                    if key.fileobj is sys.stdin:
                        return
                    server.handle_request()
                self.look_after()

    def start(self, name: str, work: Callable[[], None]) -> None:
        sys.stdout.flush()
        child = os.fork()
        if child:
            self.running[name] = child
            return
        try:
            os.setsid()
            redirect(Path("/var/log", f"{name}.log"))
            work()
        finally:
            os._exit(1)

    def look_after(self) -> None:
        """Bury the dead, orphans among them, and start sshd again a moment after it was killed, as systemd does."""
        for dead in iter(buried, 0):
            name = next((name for name, pid in self.running.items() if pid == dead), None)
            if name:
                del self.running[name]
                self.next_sshd = time.monotonic() + 0.3
        if "sshd" not in self.running and time.monotonic() > self.next_sshd and not (service.FAULTS / "sshd").exists():
            self.start("sshd", lambda: os.execv(SSHD[0], SSHD))

    def stop(self) -> None:
        pid = self.running.pop(UNIT, 0)
        if pid:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)

    def restart(self) -> str:
        """Give what went wrong, or nothing. As with `Type=notify`: over once the service listens."""
        if service.fault("refused") is not None:
            return "Failed to restart charter.service: Connection timed out"
        self.stop()
        self.restarts += 1
        if service.fault("restart") is not None:
            return "Job for charter.service failed because the control process exited with error code."
        while service.fault("slow") is not None:
            time.sleep(0.05)
        self.start(UNIT, service.serve)
        wait_for(lambda: answers(service.HOST, service.PORT) or self.ended(), UNIT)
        if UNIT in self.running:
            return ""
        return "Job for charter.service failed because the control process exited with error code."

    def ended(self) -> bool:
        self.look_after()
        return UNIT not in self.running

    def shown(self) -> dict[str, str]:
        alive = UNIT in self.running
        return {
            "Id": UNIT,
            "Names": UNIT,
            "Type": "notify",
            "LoadState": "loaded",
            "ActiveState": "active" if alive else "failed",
            "SubState": "running" if alive else "failed",
            "MainPID": str(self.running.get(UNIT, 0)),
            "NRestarts": str(self.restarts),
            "LimitNOFILE": "65536",
            "LimitNOFILESoft": "1024",
            "MemoryMax": "2147483648",
            "MemoryHigh": "infinity",
            "TasksMax": "512",
            "FragmentPath": f"/etc/systemd/system/{UNIT}",
        }


def asked(supervisor: Supervisor) -> type[BaseHTTPRequestHandler]:
    """What the host's `systemctl` asks, one request at a time: /VERB?unit=U&property=P..."""

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            said = parse_qs(url.query)
            unit = said.get("unit", [""])[0]
            if unit.removesuffix(".service") + ".service" != UNIT:
                self.answer(5, f"Unit {unit} not found.")
            elif url.path == "/restart":
                wrong = supervisor.restart()
                self.answer(1 if wrong else 0, wrong)
            elif url.path == "/show":
                shown = supervisor.shown()
                names = [name for given in said.get("property", []) for name in given.split(",")] or list(shown)
                self.answer(0, "\n".join(f"{name}={shown[name]}" for name in names if name in shown))
            elif url.path == "/is-active":
                state = supervisor.shown()["ActiveState"]
                self.answer(0 if state == "active" else 3, state)
            else:
                self.answer(1, f"Unknown command verb {url.path[1:]}.")

        def answer(self, code: int, text: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{code}\n{text}\n".encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so in the standard library
            pass

        def address_string(self) -> str:
            return "unix"

    return Asked


class Server(UnixStreamServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody who asked is gone."""


def buried() -> int:
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


def redirect(log: Path) -> None:
    kept = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(kept, 1)
    os.dup2(kept, 2)
    os.closerange(3, 256)


def answers(address: str, port: int) -> bool:
    with socket.socket() as line:
        line.settimeout(1)
        return line.connect_ex((address, port)) == 0


def wait_for(there: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WAIT
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.01)


def main() -> None:
    root, seed, address, name, size = sys.argv[1:]
    socket.sethostname(name)
    enter(Path(root), Path(seed), size)
    service.install(Path("/"), OLD)
    Supervisor(address).run()


if __name__ == "__main__":
    main()

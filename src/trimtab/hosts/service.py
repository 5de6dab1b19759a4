"""The systemd unit of a worker: limits for the size of the host, a way to stop, and as little of the host as it needs. Pure.

What each setting does is in systemd.exec(5), systemd.service(5), systemd.kill(5) and systemd.resource-control(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from trimtab.hosts.limits import SUGGESTED_FILES, Host
from trimtab.hosts.service_words import command_line, lone_file, lone_path, path_list, sayable

DEFAULT_NAME = "trimtab-worker"
# Measured: a worker of the charter example with 60 runs and 32 calls under way: 145 MB, 47 descriptors, 5 threads.
WORKER_BYTES = 150 * 2**20
# Below this what is left for the system, or for a terminal that a tool starts, is too little.
SMALL_BYTES = 600 * 2**20
_MEGABYTE = 2**20
_MAX_SHARE, _HIGH_SHARE = 0.75, 0.65
_FEWEST_TASKS, _MOST_TASKS = 512, 4096
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_EVERYBODYS = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - what PrivateTmp= hides, nothing is made there


@dataclass(frozen=True, slots=True)
class Worker:
    """What a unit starts, and what that needs of the host. Every path is absolute, with its links followed.

    command:  the program and its arguments.
    folder:   where it runs: the policy's.
    writes:   the folders that it may write; they must exist when it starts.
    program:  the folders of Python and of the packages it imports.
    user:     whom it runs as; None: root, or in a unit of a user that user.
    env_file: what holds keys, read by systemd itself.
    own:      whether it is a unit of a user (`systemctl --user`), which can have no file systems of its own.
    made_by:  the command that makes this unit again.
    at_once:  model calls that may be under way at once.
    """

    command: Sequence[str]
    folder: Path
    writes: Sequence[Path]
    program: Sequence[Path]
    environment: str
    made_by: str
    at_once: int
    user: str | None = None
    env_file: Path | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A line of a unit: `why` is empty where the key says it all."""

    section: str
    key: str
    value: str
    why: str = ""


def unit_settings(worker: Worker, host: Host) -> list[Setting]:
    """Choose every setting of the unit. Raises UsageError for a path that no unit file can name."""
    service = [
        *_start(worker),
        *_stop_and_restart(),
        *_limits(worker, host),
        *(_walls(worker) if not worker.own else ()),
        *_rights(worker),
    ]
    return [*_unit(worker), *(Setting("Service", *given) for given in service), *_install(worker)]


def unit_text(worker: Worker, settings: Iterable[Setting]) -> str:
    """Write the unit file; a line that is explained has the reason above it."""
    lines = ["# Made by: " + sayable(worker.made_by)]
    edit = "systemctl --user edit" if worker.own else "systemctl edit"
    lines += [f"# Changes of your own belong in a drop-in ({edit}), which that command leaves alone."]
    for section, listed in groupby(settings, key=lambda setting: setting.section):
        lines += ["", f"[{section}]"]
        for setting in listed:
            lines += [f"# {sayable(setting.why)}"] if setting.why else []
            lines.append(f"{setting.key}={setting.value}")
    return "\n".join(lines) + "\n"


def memory_of(host: Host) -> int | None:
    """Give the bytes there are for everybody: what the host has, or what is left to the container that we are in."""
    return min((amount for amount in (host.ram, host.cgroup.memory) if amount is not None), default=None)


def _unit(worker: Worker) -> Iterator[Setting]:
    yield Setting(
        "Unit", "Description", f"trimtab worker, environment {sayable(worker.environment).replace('%', '%%')}"
    )
    if not worker.own:
        yield Setting("Unit", "Wants", "network-online.target")
        yield Setting("Unit", "After", "network-online.target")
    why = "10 starts that failed within 15 minutes: a person looks before more is spent; then systemctl reset-failed"
    yield Setting("Unit", "StartLimitIntervalSec", "15min", why)
    yield Setting("Unit", "StartLimitBurst", "10")


def _start(worker: Worker) -> Iterator[tuple[str, ...]]:
    yield "Type", "exec"
    if worker.user:
        yield "User", worker.user
    yield "WorkingDirectory", lone_path(worker.folder)
    if worker.env_file:
        yield "EnvironmentFile", lone_file(worker.env_file), "keys stand there and nowhere here"
    yield "ExecStart", command_line(worker.command)


def _stop_and_restart() -> Iterator[tuple[str, ...]]:
    yield "KillSignal", "SIGTERM", "stops it cleanly: writes under way are waited for, what is unfinished goes on later"
    yield "KillMode", "mixed", "what a tool started is not told to stop while the worker waits for it"
    yield "TimeoutStopSec", "120"
    yield "Restart", "on-failure"
    yield "RestartSec", "15"
    yield "RestartPreventExitStatus", "2", "a wrong policy or command: starting again changes nothing"


def _limits(worker: Worker, host: Host) -> Iterator[tuple[str, ...]]:
    files, whole = min(SUGGESTED_FILES, host.nr_open), memory_of(host)
    why = f"{worker.at_once} model calls at once, the store, and what the tools open; this host allows {host.nr_open}"
    yield "LimitNOFILE", f"{files}", why
    if whole is None:
        yield "MemoryMax", f"{_MAX_SHARE:.0%}", "of what the host has, which is not known here"
        yield "MemoryHigh", f"{_HIGH_SHARE:.0%}"
        yield "TasksMax", f"{_MOST_TASKS}"
    else:
        most, high = int(whole * _MAX_SHARE) // _MEGABYTE, int(whole * _HIGH_SHARE) // _MEGABYTE
        tasks = max(_FEWEST_TASKS, min(_MOST_TASKS, most))
        worker_mb = WORKER_BYTES // _MEGABYTE
        why = f"{_MAX_SHARE:.0%} of {whole // _MEGABYTE} MB, the rest is the system's; a worker takes some {worker_mb} MB, its tools more"
        yield "MemoryMax", f"{most}M", why
        yield "MemoryHigh", f"{high}M", "from here on it is slowed down and its memory taken back"
        yield "TasksMax", f"{tasks}", f"processes and threads: one a MB, from {_FEWEST_TASKS} to {_MOST_TASKS}"
    yield "OOMPolicy", "continue", "a tool's process that is killed fails its call, not every run"


def _walls(worker: Worker) -> Iterator[tuple[str, ...]]:
    """Give what needs file systems of its own, which only the system's manager may make."""
    used = [worker.folder, *worker.program, *worker.writes]
    in_tmp = [path for path in used if _under(path, _EVERYBODYS)]
    writes = [*worker.writes, *(_EVERYBODYS if in_tmp else ())]
    yield "ProtectSystem", "strict", "all is read-only but what ReadWritePaths names"
    yield "ReadWritePaths", path_list(_outermost(writes))
    # The program's own files stay as they are, also where they lie beside the store.
    if kept := [path for path in worker.program if _under(path.parent, worker.writes)]:
        yield "ReadOnlyPaths", path_list(_outermost(kept))
    if in_home := [path for path in used if _under(path, _HOMES)]:
        yield "ProtectHome", "read-only", f"not hidden: {sayable(str(in_home[0]))} is used"
    else:
        yield "ProtectHome", "yes"
    if in_tmp:
        yield "PrivateTmp", "no", f"{sayable(str(in_tmp[0]))} is used"
    else:
        yield "PrivateTmp", "yes"
    for key in ("PrivateDevices", "ProtectClock", "ProtectHostname", "ProtectControlGroups", "ProtectKernelTunables"):
        yield key, "yes"
    yield "ProtectKernelModules", "yes"
    yield "ProtectKernelLogs", "yes"
    yield "ProtectProc", "invisible"
    yield "RemoveIPC", "yes"
    yield "CapabilityBoundingSet", ""
    yield "AmbientCapabilities", ""


def _rights(worker: Worker) -> Iterator[tuple[str, ...]]:
    yield "UMask", "0077", "the store has requests and answers in it"
    yield "NoNewPrivileges", "yes"
    yield "LockPersonality", "yes"
    yield "RestrictNamespaces", "yes"
    yield "RestrictRealtime", "yes"
    yield "RestrictSUIDSGID", "yes"
    yield "RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"
    yield "SystemCallArchitectures", "native"
    yield "SystemCallFilter", "@system-service"
    if not worker.own:
        yield "SystemCallFilter", "~@privileged"
    yield "SystemCallErrorNumber", "EPERM"


def _install(worker: Worker) -> Iterator[Setting]:
    yield Setting("Install", "WantedBy", "default.target" if worker.own else "multi-user.target")


def _under(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    listed = sorted(dict.fromkeys(paths))
    return [path for path in listed if not any(path != other and path.is_relative_to(other) for other in listed)]

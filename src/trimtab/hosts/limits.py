"""Limits on file descriptors, processes and memory: of this process, its cgroup, shells and service units.

On 64-bit Linux fs.nr_open cannot be above 2147483584, so `ulimit -n 2147483646`, which a widely copied error message asks for, can
never be set: a shell says "Operation not permitted" and goes on with the old limit, systemd sets the nearest it may and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from trimtab.core.finding import Finding
from trimtab.hosts.cgroup import Cgroup, cgroup_of
from trimtab.hosts.text import bounded_text, numbered, rc_files
from trimtab.hosts.unit import Setting, Unit, find_units

SUGGESTED_FILES = 65536
# Measured on Claude Code 2.1: about 205 MB, 13 descriptors and 9 threads a process; it does not start with 0.5 GB of addresses.
TERMINAL_BYTES = 205 * 2**20
_FEWEST_FILES, _FEWEST_PROCESSES, _FEWEST_ADDRESSES = 256, 128, 2 * 2**30
_LARGEST_NR_OPEN = 2147483584
_DEFAULT_NR_OPEN = 1048576
_SIZES = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([BKMGTPE]?)")
_ULIMIT = re.compile(r"\bulimit\s+(?:-[HS]\s+)*-([HS]*n[HS]*)\s+['\"]?(\w+)")
_SHELL = 'the shell says "Operation not permitted" and goes on with the old limit'
_UNLIMITED = frozenset({"unlimited", "infinity", "-1"})

# Soft and hard limit by what is limited (NOFILE, NPROC, AS); None: no limit.
Limits: TypeAlias = Mapping[str, tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True)
class Host:
    """What the kernel of a host allows and has: `nr_open` descriptors a process, `ram` bytes, and what a cgroup leaves of it."""

    nr_open: int
    ram: int | None
    cgroup: Cgroup


def limits_findings(
    root: Path = Path("/"),
    home: Path | None = None,
    units: Sequence[str] = ("trimtab*",),
    own: Limits | None = None,
) -> list[Finding]:
    """Look at the limits of this process, of shells and of service units; changes nothing.

    `root` is where /proc, /sys and /etc are looked for, `units` names services, `own` stands for the limits of this process.
    """
    host = host_of(root)
    limits = own_limits() if own is None else own
    found = [*_of_process(limits, host), *_of_shells(root, home, limits, host), *_of_logins(root, host)]
    for unit in find_units(root, home, units):
        found += _of_unit(unit, host)
    return found


def host_of(root: Path = Path("/")) -> Host:
    """Read what the kernel of a host allows and has; `root` is where its /proc and /sys are looked for."""
    return Host(_number(root / "proc/sys/fs/nr_open") or _DEFAULT_NR_OPEN, _ram(root), cgroup_of(root))


def own_limits() -> Limits:
    """Read the limits of this process."""
    import resource

    kinds = {"NOFILE": resource.RLIMIT_NOFILE, "NPROC": resource.RLIMIT_NPROC, "AS": resource.RLIMIT_AS}
    read = {name: resource.getrlimit(kind) for name, kind in kinds.items()}
    infinite = resource.RLIM_INFINITY
    return {n: (None if s == infinite else s, None if h == infinite else h) for n, (s, h) in read.items()}


def _of_process(limits: Limits, host: Host) -> Iterator[Finding]:
    files, processes, addresses = (limits.get(name, (None, None))[0] for name in ("NOFILE", "NPROC", "AS"))
    where = "this process"
    if files is not None and files < _FEWEST_FILES:
        why = "a worker needs one for each request that is under way, and the store some more"
        yield Finding(f"{files} open files at most", where, why, f"ulimit -n {SUGGESTED_FILES}")
    if processes is not None and processes < _FEWEST_PROCESSES:
        why = "each terminal needs 9 threads, and this counts all processes and threads of the user"
        yield Finding(f"{processes} processes and threads at most", where, why, "ulimit -u 4096")
    if addresses is not None and addresses < _FEWEST_ADDRESSES:
        why = "the terminal does not start: it sets aside far more addresses than it uses memory"
        text = f"{_size(addresses)} of addresses at most"
        yield Finding(text, where, why, "ulimit -v unlimited; limit memory by a cgroup", "error")
    memory, tasks = host.cgroup.memory, host.cgroup.tasks
    if memory is not None and memory < 2 * TERMINAL_BYTES:
        why = f"one terminal takes about {_size(TERMINAL_BYTES)}: the kernel kills what goes beyond"
        mend = "give the container or service at least 1 GB (docker --memory, MemoryMax)"
        yield Finding(f"{_size(memory)} of memory at most", host.cgroup.memory_from, why, mend)
    if tasks is not None and tasks < _FEWEST_PROCESSES:
        why = "a process that cannot start a thread dies in ways that do not name this limit"
        mend = "raise it (docker --pids-limit, TasksMax=4096)"
        yield Finding(f"{tasks} processes and threads at most", host.cgroup.tasks_from, why, mend)


def _of_shells(root: Path, home: Path | None, limits: Limits, host: Host) -> Iterator[Finding]:
    hard = limits.get("NOFILE", (None, None))[1]
    for file in rc_files(home, root):
        for number, line in numbered(file):
            for match in _ULIMIT.finditer(line):
                asked = None if match[2] in _UNLIMITED else int(match[2]) if match[2].isdigit() else -1
                where, mend = f"{file}:{number}", f"write `ulimit -n {SUGGESTED_FILES}` there, or take the line out"
                told = f"`ulimit -{match[1]} {match[2]}`"
                if asked is None or asked > host.nr_open:
                    yield Finding(f"{told} can never be set", where, _never(asked, host, _SHELL), mend)
                elif hard is not None and asked > hard:
                    why = "above the hard limit: only root may, anybody else keeps the old limit"
                    mend = f"raise the hard limit in /etc/security/limits.conf first, or write `ulimit -n {hard}`"
                    yield Finding(f"{told} is above the hard limit {hard}", where, why, mend, "note")
                elif 0 <= asked < _FEWEST_FILES:
                    yield Finding(f"{told} is low", where, "every program of the shell gets it", mend)


def _of_logins(root: Path, host: Host) -> Iterator[Finding]:
    folder = root / "etc/security"
    for file in (folder / "limits.conf", *sorted((folder / "limits.d").glob("*.conf"))[:100]):
        for number, line in numbered(file):
            words = line.partition("#")[0].split()
            if len(words) != 4 or words[2] != "nofile":  # noqa: PLR2004 - who, kind, what, value
                continue
            asked = None if words[3] in _UNLIMITED else int(words[3]) if words[3].isdigit() else -1
            if asked is None or asked > host.nr_open:
                why = _never(asked, host, "pam_limits fails, and with it may their logins")
                mend = f"write {words[0]} {words[1]} nofile {SUGGESTED_FILES} there"
                what = f"nofile {words[3]} for {words[0]} can never be set"
                yield Finding(what, f"{file}:{number}", why, mend, "error")


def _of_unit(unit: Unit, host: Host) -> Iterator[Finding]:
    for key, fewest, suggested in (
        ("LimitNOFILE", _FEWEST_FILES, f"{SUGGESTED_FILES}"),
        ("LimitNPROC", _FEWEST_PROCESSES, "4096"),
        ("TasksMax", _FEWEST_PROCESSES, "4096"),
        ("MemoryMax", 2 * TERMINAL_BYTES, "2G"),
        ("MemoryHigh", 2 * TERMINAL_BYTES, "2G"),
    ):
        if (setting := unit.service.get(key)) is not None:
            yield from _of_setting(unit, key, setting, host, (fewest, suggested))
    if unit.file.is_file() and "MemoryMax" not in unit.service and "MemoryHigh" not in unit.service:
        why = "a leak, or too many terminals at once, takes the memory of the whole host"
        mend = f"{unit.edit}: under [Service] MemoryMax=75%"
        yield Finding(f"{unit.name} has no limit on memory", str(unit.file), why, mend, "note")


def _of_setting(unit: Unit, key: str, setting: Setting, host: Host, bounds: tuple[int, str]) -> Iterator[Finding]:
    fewest, suggested = bounds
    where, told = f"{setting.file}:{setting.line}", f"{unit.name}: {key}={setting.value}"
    mend = f"{unit.edit}: under [Service] {key}={suggested}"
    soft, _, hard = setting.value.partition(":") if key.startswith("Limit") else (setting.value, "", "")
    amounts = [_amount(part, key, host) for part in (soft, hard or soft)]
    whole = host.ram if key.startswith("Memory") else None
    if "bad" in amounts:
        why = "systemd says so in its log, and goes on as if the line were not there"
        yield Finding(f"{told} is no value", where, why, mend)
        return
    numbers = [amount if isinstance(amount, int) else None for amount in amounts]
    if key == "LimitNOFILE" and (above := next((n for n in numbers if n is None or n > host.nr_open), 0)) != 0:
        yield Finding(
            f"{told} can never be set",
            where,
            _never(above, host, "systemd sets the nearest it may, and says nothing"),
            mend,
        )
    elif numbers[0] is not None and numbers[1] is not None and numbers[0] > numbers[1]:
        yield Finding(f"{told}: the soft limit is above the hard one", where, "systemd refuses the pair", mend)
    elif numbers[0] is not None and numbers[0] < fewest:
        why = f"too low for work: a terminal takes {_size(TERMINAL_BYTES)}, 13 descriptors, 9 threads"
        yield Finding(f"{told} is low", where, why, mend)
    elif whole is not None and numbers[0] is not None and numbers[0] > whole:
        why = f"the host has {_size(whole)}: the limit is never reached, the host runs out of memory first"
        yield Finding(f"{told} is more than the host has", where, why, mend.replace(suggested, "75%"))


def _never(asked: int | None, host: Host, then: str) -> str:
    above = f"the kernel refuses what is above fs.nr_open = {host.nr_open}, even to root"
    ever = f", and no 64-bit Linux lets that be above {_LARGEST_NR_OPEN}"
    return f"{above}{ever if asked is None or asked > _LARGEST_NR_OPEN else ''}; {then}"


def _amount(text: str, key: str, host: Host) -> int | str | None:
    """Read a value as systemd does: None is no limit, `bad` is no value."""
    if text == "infinity":
        return None
    if text.endswith("%") and not key.startswith("Limit"):
        whole = host.ram if key.startswith("Memory") else None
        share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
        if share is None or not 0 <= float(share[1]) <= 100:  # noqa: PLR2004 - percent
            return "bad"
        return int(whole * float(share[1]) / 100) if whole is not None else None
    match = _AMOUNT.fullmatch(text)
    if match is None or (match[2] and not key.startswith("Memory")) or ("." in match[1] and not match[2]):
        return "bad"
    return int(float(match[1]) * _SIZES[match[2]]) if "." in match[1] else int(match[1]) * _SIZES[match[2]]


def _ram(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", bounded_text(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 2**10 if match else None


def _number(file: Path) -> int | None:
    text = bounded_text(file).strip()
    return int(text) if text.isdecimal() else None


def _size(count: int) -> str:
    return f"{count / 2**30:.4g} GB" if count >= 2**30 else f"{count / 2**20:.4g} MB"

"""What goes wrong on the way of a rollout: when, where, what; and what must be true however it ended."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.integration.hosts import service
from tests.integration.hosts.host import Host, until
from tests.integration.hosts.trial import NAME, Trial

START = ("rollout", "start", NAME, "--by", "ann", "--yes", "-w")
RESUME = ("rollout", "resume", NAME, "--by", "ben", "--yes", "-w")
ABORT = ("rollout", "abort", NAME, "--by", "ben", "--yes")
UNDO = ("rollout", "undo", NAME, "--by", "ben", "--yes")
NEW_MODEL, OTHER_MODEL = "claude-sonnet-4-6", "claude-opus-4-8"
OLD_EVERYWHERE = {"staging": ("old",), "production": ("old",)}
NEW_EVERYWHERE = {"staging": ("new",), "production": ("new",)}
ALL_KILLED = "sshd and all that it runs is killed"
LOCKED = (f"{service.RELEASE}/.settings.json", f"{service.ENV.parent}/.{service.ENV.name}")

# Each on one host. "with the new map": only while its settings name the new model, so that going back helps.
FAULTS: dict[str, Callable[[Host], None]] = {
    "sshd is killed": lambda host: host.kill_sshd(),
    "sshd is killed for good": lambda host: host.kill_sshd(for_good=True),
    ALL_KILLED: lambda host: host.kill_sshd(commands=True),
    "the cable is pulled": lambda host: host.cut(),
    "the disk is full": lambda host: host.fill(),
    "the disk is nearly full": lambda host: host.fill(leave=8 << 10),
    "a file is immutable": lambda host: host.freeze(str(service.ENV)),
    "the restart fails": lambda host: host.fault("restart"),
    "the restart fails with the new map": lambda host: host.fault("restart", when=NEW_MODEL),
    "the restart is refused": lambda host: host.fault("refused"),
    "the restart hangs with the new map": lambda host: host.fault("slow", when=NEW_MODEL),
    "another model answers": lambda host: host.fault("model", OTHER_MODEL),
    "another model answers with the new map": lambda host: host.fault("model", OTHER_MODEL, when=NEW_MODEL),
    "no answer comes with the new map": lambda host: host.fault("hang", when=NEW_MODEL),
    "it is not healthy": lambda host: host.fault("health"),
    "it is not healthy with the new map": lambda host: host.fault("health", when=NEW_MODEL),
}


@dataclass
class Ended:
    """How a disturbed rollout ended. `code`: of the command that was disturbed (-9: it was killed).

    alone: whether all was on one proved map without another command. wrong: what must not be.
    """

    code: int
    alone: bool = False
    wrong: list[str] = field(default_factory=list[str])


def disturbed(trial: Trial, host: Host, point: str, hit: Callable[[Host], None], *command: str) -> Ended:
    """Start a rollout (or give a command), let something go wrong on a host once a point is reached, and see how that ends.

    `point`: of the operator (see operator.py), or `HOST: PROGRAM N`, the N-th call of a program there; "": before anything.
    """
    there, _, step = point.rpartition(": ")
    if there:
        host.watch_steps(step)
    if not point:
        hit(host)
    process = trial.start(*(command or START), stop="" if there or not point else f"wait {point}")
    if point:
        until(lambda: process.poll() is not None or (host.waits if there else trial.here), point, 60)
        if process.poll() is not None:
            said = trial.ended(process)
            return Ended(said.returncode, wrong=[f"never came to {point}: {said.stdout}{said.stderr}"])
        hit(host)
        host.go_on() if there else trial.go_on()
    said = trial.ended(process)
    found = Ended(said.returncode, wrong=[*strange(said.returncode, said.stdout + said.stderr)])
    rest = [name for name in trial.bed.hosts if name != host.name]
    # Where all was killed that it ran, nobody took the name of the lock's last holder away; it says nothing once the lock is free.
    nameless = {host.name: [f"{kept}.trimtab/holder" for kept in LOCKED] if hit is FAULTS[ALL_KILLED] else []}
    maps = trial.maps()
    if said.returncode == 0 and not command:
        found.alone = True
        host.mend()
        found.wrong += trial.wrong(NEW_EVERYWHERE, nameless)
        return found
    found.wrong += [f"{name} runs {maps[name]} after a failure of {host.name}" for name in rest if maps[name] != "old"]
    found.wrong += trial.torn()
    host.mend()
    host.join()
    found.alone = trial.maps() == dict.fromkeys(trial.bed.hosts, "old") and not trial.unproved()
    if not found.alone:
        said = until(lambda: (done := trial.trimtab(*ABORT)).returncode == 0 and done, "that it is taken back", 60)
        found.wrong += strange(said.returncode, said.stdout + said.stderr)
    found.wrong += trial.wrong(OLD_EVERYWHERE, nameless)
    return found


def frozen(trial: Trial, point: str, *other: str) -> Ended:
    """Let the operator's process sleep at a point (the lid of a laptop) until another has recovered, and then wake up."""
    process = trial.waiting(point, *START)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        said = until(
            lambda: (done := trial.trimtab(*other, log="other.log")).returncode == 0 and done, "the lock is free", 90
        )
        found = Ended(0, alone=True, wrong=[*strange(said.returncode, said.stdout + said.stderr)])
        trial.go_on()
    finally:
        os.kill(process.pid, signal.SIGCONT)
    said = trial.ended(process)
    found.code = said.returncode
    found.wrong += strange(said.returncode, said.stdout + said.stderr)
    found.wrong += trial.wrong(NEW_EVERYWHERE if other == RESUME else OLD_EVERYWHERE)
    return found


def killed(trial: Trial, point: str, *recover: str, power: bool = False, command: tuple[str, ...] = START) -> Ended:
    """Kill the operator's process at a point, and let another recover. `power`: the machine of the operator goes, and says no goodbye."""
    if power:
        process = trial.waiting(point, *command)
        trial.bed.vanish()
    else:
        process = trial.start(*command, stop=f"kill {point}")
    said = trial.ended(process)
    found = Ended(said.returncode, wrong=trial.torn())
    if said.returncode != -9:
        found.wrong.append(f"was not killed at {point}: {said.stdout}{said.stderr}")
    if not trial.store.exists() or not trial.rows("rollout"):
        # It had not begun: whoever comes next begins.
        recover = START
    said = trial.trimtab(*recover)
    found.alone = said.returncode == 0
    if power and not found.alone:
        # The lock is free when nothing was heard for half a minute.
        said = until(lambda: (again := trial.trimtab(*recover)).returncode == 0 and again, "the lock is free", 45)
    found.wrong += strange(said.returncode, said.stdout + said.stderr)
    if said.returncode:
        found.wrong.append(f"killed at {point}, {recover[1]} left with {said.returncode}: {said.stdout}{said.stderr}")
    found.wrong += trial.wrong(NEW_EVERYWHERE if recover in {START, RESUME} else OLD_EVERYWHERE)
    return found


def strange(code: int, said: str) -> Iterator[str]:
    """An exit code that is none of ours, or an exception nobody expected."""
    if code not in {0, 1}:
        yield f"left with {code}: {said[-600:]}"
    if "Traceback" in said or ("hint: " not in said and code):
        yield f"an error that helps nobody: {said[-600:]}"


def programs(steps: list[str]) -> list[str]:
    """The calls of programs on a host that a rollout made there, each a point."""
    return [re.match(r"\S+ \d+", step)[0] for step in steps]  # type: ignore[index]

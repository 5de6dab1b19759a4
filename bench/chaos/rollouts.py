"""Rollouts over real sshd on hosts that are network namespaces, with every fault at every step. Needs root, iproute2 and sshd.

    python bench/chaos/rollouts.py [--kind NAME] [--every N] [--jobs N]

One undisturbed rollout (staging 1, production 3) and its undo tell the steps: every line that is written down, every command that
is sent to a host, every program that runs on one. At each: the operator's process is killed, or its machine loses its power, and
another recovers; or something goes wrong on the host. What is left is asked of the services and read from the hosts' disks.
Exits with 1 where a host is not on one proved map, a file is torn or left behind, or the audit log has a hole.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from table import print_table

from tests.integration.hosts.bed import Bed, made  # isort: skip - table.py puts it on the path
from tests.integration.hosts.faults import (  # isort: skip
    ABORT,
    ALL_KILLED,
    FAULTS,
    RESUME,
    START,
    UNDO,
    Ended,
    disturbed,
    frozen,
    killed,
    programs,
)
from tests.integration.hosts.trial import Trial  # isort: skip

HOST = "production-2"
LARGE = 1 << 20
# What can go wrong while a program runs on a host; the other faults are of what happens between two commands.
MIDWAY = ("sshd is killed", ALL_KILLED, "the disk is full")
HEADS = (
    "what goes wrong", "trials", "on one proved map", "torn files", "left-over files", "holes in the log",
    "needed a second command", "other trouble", "seconds a trial",
)  # fmt: skip
SHOWN = 20


@dataclass(frozen=True)
class Plan:
    """What an undisturbed rollout and its undo pass: the operator's points, and programs on one host."""

    points: Sequence[str]
    undo_points: Sequence[str]
    programs: Sequence[str]
    undo_programs: Sequence[str]

    def noted(self, points: Sequence[str]) -> list[str]:
        """The lines about one host."""
        return [point for point in points if point.startswith(HOST) and point.endswith("noted")]


@dataclass(frozen=True)
class Job:
    kind: str
    what: str
    point: str


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kind", choices=KINDS, action="append")
    asked.add_argument("--every", type=int, default=1, help="every N-th trial of each kind only")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="beds at once")
    given = asked.parse_args()
    if os.geteuid() != 0:
        sys.exit("only root may make network namespaces")
    with made() as bed:
        plan = undisturbed(bed)
    jobs = [job for kind in given.kind or KINDS for job in [*KINDS[kind](plan)][:: given.every]]
    steps = f"{len(plan.points)} + {len(plan.undo_points)} points, {len(plan.programs)} + {len(plan.undo_programs)} programs on {HOST}"
    print(f"{steps}: {len(jobs)} trials", file=sys.stderr)
    found: list[tuple[Job, Ended, float]] = []
    with ProcessPoolExecutor(given.jobs, initializer=lay_bed) as beds:
        for job, ended, seconds in beds.map(run, jobs):
            found.append((job, ended, seconds))
            word = "fine" if not ended.wrong else f"WRONG {ended.wrong[0][:300]}"
            print(f"{job.kind}, {job.what}, {job.point or 'before'}: {word}, {seconds:.0f} s", file=sys.stderr)
    named = list(dict.fromkeys(f"{job.kind}: {job.what}" for job, _, _ in found))
    rows = [row(name, [entry for entry in found if f"{entry[0].kind}: {entry[0].what}" == name]) for name in named]
    print_table(HEADS, [*rows, row("all", found)])
    wrong = [f"{job.kind}, {job.what}, {job.point}: {said}" for job, ended, _ in found for said in ended.wrong]
    for said in wrong[:SHOWN]:
        print(f"- {said[:600]}")
    return 1 if wrong else 0


def undisturbed(bed: Bed) -> Plan:
    with TemporaryDirectory() as folder:
        bed.reset(ballast=LARGE)
        trial = Trial(bed, Path(folder), ballast=LARGE)
        bed.hosts[HOST].watch_steps()
        assert trial.trimtab(*START).returncode == 0
        there = programs(bed.hosts[HOST].steps)
        bed.hosts[HOST].mend()
        bed.hosts[HOST].watch_steps()
        assert trial.trimtab(*UNDO, log="undo.log").returncode == 0
        back = programs(bed.hosts[HOST].steps)
        return Plan(trial.points, (trial.folder / "undo.log").read_text().splitlines(), there, back)


def killing(plan: Plan) -> Iterator[Job]:
    for point in plan.points[1:]:
        yield Job("killed", "the operator, resumed", point)
        yield Job("killed", "the operator, aborted", point)


def undoing(plan: Plan) -> Iterator[Job]:
    for point in plan.undo_points[1:]:
        yield Job("undo killed", "the operator, undone again", point)


def losing_power(plan: Plan) -> Iterator[Job]:
    for point in plan.noted(plan.points):
        yield Job("power", "the operator's machine, resumed", point)


def sleeping(plan: Plan) -> Iterator[Job]:
    for point in plan.noted(plan.points):
        yield Job("asleep", "the operator, resumed", point)
        yield Job("asleep", "the operator, aborted", point)


def between(plan: Plan) -> Iterator[Job]:
    """Every fault of a host before anything, and at every line that is written about it."""
    for what in FAULTS:
        for point in ("", *plan.noted(plan.points)):
            yield Job("between", what, point)


def midway(plan: Plan) -> Iterator[Job]:
    for what in MIDWAY:
        for program in plan.programs:
            yield Job("midway", what, f"{HOST}: {program}")


def back_between(plan: Plan) -> Iterator[Job]:
    for what in FAULTS:
        for point in ("", *plan.noted(plan.undo_points)):
            yield Job("back, between", what, point)


def back_midway(plan: Plan) -> Iterator[Job]:
    for what in MIDWAY:
        for program in plan.undo_programs:
            yield Job("back, midway", what, f"{HOST}: {program}")


KINDS: dict[str, Callable[[Plan], Iterator[Job]]] = {
    "killed": killing,
    "undo killed": undoing,
    "power": losing_power,
    "asleep": sleeping,
    "between": between,
    "midway": midway,
    "back, between": back_between,
    "back, midway": back_midway,
}
_OWN: dict[str, object] = {}


def lay_bed() -> None:
    """Each process has a bed of its own, which ends with it."""
    stack = ExitStack()
    _OWN["bed"] = stack.enter_context(made())
    _OWN["stack"] = stack


def run(job: Job) -> tuple[Job, Ended, float]:
    bed = _OWN["bed"]
    assert isinstance(bed, Bed)
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        bed.reset(ballast=LARGE)
        trial = Trial(bed, Path(folder), ballast=LARGE)
        try:
            ended = _trial(trial, job)
        except Exception as error:  # noqa: BLE001 - a trial that breaks is told with the others
            ended = Ended(-1, wrong=[f"{type(error).__name__}: {error}"])
    return job, ended, time.monotonic() - began


def _trial(trial: Trial, job: Job) -> Ended:
    match job.kind:
        case "killed":
            return killed(trial, job.point, *(RESUME if job.what.endswith("resumed") else ABORT))
        case "undo killed":
            assert trial.trimtab(*START).returncode == 0
            return killed(trial, job.point, *UNDO, command=UNDO)
        case "asleep":
            return frozen(trial, job.point, *(RESUME if job.what.endswith("resumed") else ABORT))
        case "power":
            return killed(trial, job.point, *RESUME, power=True)
        case "back, between" | "back, midway":
            assert trial.trimtab(*START).returncode == 0
            return disturbed(trial, trial.bed.hosts[HOST], job.point, FAULTS[job.what], *UNDO)
        case _:
            return disturbed(trial, trial.bed.hosts[HOST], job.point, FAULTS[job.what])


def row(name: str, found: Sequence[tuple[Job, Ended, float]]) -> tuple[object, ...]:
    wrong = [said for _, ended, _ in found for said in ended.wrong]
    torn = [said for said in wrong if "half-written" in said or "neither as it was" in said]
    left = [said for said in wrong if "left behind" in said]
    holes = [said for said in wrong if said.startswith(("host_change", "rollout ", "`trimtab audit"))]
    maps = [said for said in wrong if " runs " in said]
    other = len(wrong) - len(torn) - len(left) - len(holes) - len(maps)
    one_map = sum(not any(" runs " in said for said in ended.wrong) for _, ended, _ in found)
    again = sum(not ended.alone for _, ended, _ in found)
    seconds = sum(spent for _, _, spent in found) / max(len(found), 1)
    return (name, len(found), one_map, len(torn), len(left), len(holes), again, other, seconds)


if __name__ == "__main__":
    sys.exit(main())

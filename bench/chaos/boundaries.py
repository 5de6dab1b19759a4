"""Kill -9 at every boundary of every step and inside every write of the charter example, every moment of every scenario.

    python bench/chaos/boundaries.py [--scenario NAME] [--every N] [--keep DIR]

At each moment: a worker process is killed there, the next one at another moment, the third finishes. What is left is held
against an undisturbed run: standings, both ledgers, the company's whole world, the letters. Exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from table import print_table

from tests.integration.charter_chaos import (  # isort: skip - table.py puts it on the path
    SCENARIOS,
    Scenario,
    Tally,
    Workers,
    workers_of,
    moments,
    second_kill,
    trial,
    undisturbed,
)

HEADS = ("scenario", "points", "kills", "lives", "lost", "doubled", "unknown", "letters resent", "wrong", "seconds")
SHOWN = 20


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--scenario", choices=SCENARIOS, action="append")
    asked.add_argument("--every", type=int, default=1, help="every N-th moment only")
    asked.add_argument("--keep", type=Path, help="keep what failed trials left there")
    given = asked.parse_args()
    total = Tally()
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory() as folder, workers_of(Path(folder)) as workers:
        for name in given.scenario or SCENARIOS:
            found = every_moment(
                workers, Path(folder) / name.replace(" ", "-"), SCENARIOS[name], given.every, given.keep
            )
            rows.append(row(name, found))
            total.add(found)
            print(f"{name}: {found.points} points, {len(found.wrong)} wrong, {found.seconds:.0f} s", file=sys.stderr)
    print_table(HEADS, [*rows, row("all", total)])
    for wrong in total.wrong[:SHOWN]:
        print(f"- {wrong[:400]}")
    return 0 if total.fine else 1


def every_moment(workers: Workers, folder: Path, scenario: Scenario, every: int, keep: Path | None) -> Tally:
    began = time.monotonic()
    wanted = undisturbed(workers, folder / "undisturbed", scenario)
    points = moments(folder / "undisturbed")
    total = Tally()
    for place in range(0, len(points), every):
        left = folder / str(place)
        tally = trial(workers, left, scenario, [points[place], second_kill(points, place)], wanted)
        if keep is not None and not tally.fine:
            shutil.copytree(left, keep / scenario.name.replace(" ", "-") / str(place), dirs_exist_ok=True)
        shutil.rmtree(left)
        total.add(tally)
    total.seconds = time.monotonic() - began
    return total


def row(name: str, tally: Tally) -> tuple[object, ...]:
    counted = (tally.points, tally.kills, tally.lives, tally.lost, tally.doubled, tally.unknown, tally.resent)
    return (name, *counted, len(tally.wrong), tally.seconds)


if __name__ == "__main__":
    sys.exit(main())

"""Every request of the charter example while the model API fails 20 % of the time and workers are killed at random.

    python bench/chaos/trouble.py [--seeds N] [--kills N]

The simulator answers over real HTTP with 429, 529, dropped connections and garbage, 5 % each (trouble.toml). Exits with 1 where a
run is lost, an effect doubled, a ledger wrong, or a run ends in no named state.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from table import print_table

from tests.integration.charter_chaos import ALL, Api, Storm, storm, undisturbed, workers_of  # isort: skip - table.py puts it on the path

PROFILE = str(Path(__file__).with_name("trouble.toml"))
HEADS = (
    *(
        "seed",
        "runs",
        "kills",
        "lives",
        "lost",
        "doubled",
        "unknown",
        "letters resent",
        "model calls",
        "failed",
        "retries",
    ),
    *("stands as undisturbed", "wrong", "seconds"),
)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=20)
    asked.add_argument("--kills", type=int, default=12)
    asked.add_argument("--keep", type=Path, help="keep what failed seeds left there")
    given = asked.parse_args()
    fine, rows, told = True, [], []
    with TemporaryDirectory() as folder, workers_of(Path(folder)) as workers:
        wanted = undisturbed(workers, Path(folder) / "undisturbed", ALL)
        for seed in range(given.seeds):
            began = time.monotonic()
            left = Path(folder) / str(seed)
            with Api(PROFILE, seed) as api:
                found = storm(workers, left, api, seed=seed, kills=given.kills, longest=1.5, wanted=wanted)
            fine = fine and found.tally.fine
            told += [f"seed {seed}: {wrong}" for wrong in found.tally.wrong]
            rows.append(row(seed, found, time.monotonic() - began))
            if given.keep is not None and not found.tally.fine:
                shutil.copytree(left, given.keep / str(seed), dirs_exist_ok=True)
            shutil.rmtree(left)
    print_table(HEADS, rows)
    print(*(f"- {wrong[:400]}" for wrong in told[:20]), sep="\n")
    return 0 if fine else 1


def row(seed: int, found: Storm, seconds: float) -> tuple[object, ...]:
    tally, calls = found.tally, found.calls
    counted = (tally.kills, tally.lives, tally.lost, tally.doubled, tally.unknown, tally.resent)
    asked = (calls.total(), calls.total() - calls[""], found.retries, found.as_undisturbed)
    return (str(seed), found.statuses.total(), *counted, *asked, len(tally.wrong), seconds)


if __name__ == "__main__":
    sys.exit(main())

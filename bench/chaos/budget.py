"""One dollar cap, shared by 100 runs, 16 at a time, their worker killed five times and restarted: does anything pass it?

python bench/chaos/budget.py --rounds 5
"""

from __future__ import annotations

import argparse
import sys
import time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.budget_chaos import Chaos, play, workers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--cap", type=Decimal, default=Decimal("0.35"), help="dollars a day")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    missed = 0
    with workers() as do:
        for seed in range(given.seed, given.seed + given.rounds):
            began = time.perf_counter()
            with TemporaryDirectory() as folder:
                chaos = Chaos(do, Path(folder), given.runs, given.at_once, given.cap)
                try:
                    figures = play(chaos, seed=seed, kills=given.kills, longest=0.3)
                except AssertionError as error:
                    print(f"round {seed}: MISSED: {error}")
                    missed += 1
                    continue
            print(f"round {seed}, {time.perf_counter() - began:.1f} s: never a cent over, nothing paid twice")
            for name, figure in figures.items():
                print(f"  {name:<50} {figure}")
    print(f"{given.rounds - missed} of {given.rounds} rounds held")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

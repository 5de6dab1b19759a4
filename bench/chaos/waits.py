"""An approval after twenty days, a restart and a kill; approving twice, too early, too late, by text, or both at once.

    python bench/chaos/waits.py [--rounds N]

Runs tests/integration/test_long_waits.py N times: two people deciding at the same moment is a matter of chance. Exits with 1 where
one fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from table import ROOT, print_table


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=10)
    given = asked.parse_args()
    rows, fine = [], True
    for number in range(1, given.rounds + 1):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/integration/test_long_waits.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        fine = fine and done.returncode == 0
        rows.append((str(number), "held" if done.returncode == 0 else "broken", time.monotonic() - began))
        if done.returncode:
            print(done.stdout, file=sys.stderr)
    print_table(("round", "bars", "seconds"), rows)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

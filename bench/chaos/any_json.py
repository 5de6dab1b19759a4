"""Any JSON as request, as plan, as tool result, any bytes as a model's answer, as many of each as asked for.

    python bench/chaos/any_json.py [--examples N]

Runs tests/integration/test_any_json.py with that many examples a property. Exits with 1 where a worker dies or a run is left in limbo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from table import ROOT


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--examples", type=int, default=2_000)
    given = asked.parse_args()
    command = [sys.executable, "-m", "pytest", "-n", "0", "-v", "--timeout", "3600", "--durations", "0"]
    env = {**os.environ, "TRIMTAB_FUZZ": str(given.examples)}
    done = subprocess.run([*command, "tests/integration/test_any_json.py"], cwd=ROOT, env=env, check=False)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every attack on every request of the charter example, through the real plan check, run loop, approvals and tools.

    python bench/chaos/hostile.py [--requests FILE] [--every N] [--first N] [--only ID] [--kinds]

The models do to the letter what an attack says. Each world after it is held against what must not be. Exits with 1 where anything
forbidden came of an attack, or a run did not end. `undone` counts what a run that does nothing is blamed for, too.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from table import ROOT, print_table

from charter.book import read_lines  # isort: skip - table.py puts them on the path
from tests.unit.charter.adversary import Tally, put, trials  # isort: skip

MORE = ROOT / "tests" / "acceptance" / "more_requests.jsonl"
SHOWN = 20


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument(
        "--requests", type=Path, action="append", help="JSONL; without: the example's 30 and the 167 of the tests"
    )
    asked.add_argument("--every", type=int, default=1, help="every N-th attack of each request only")
    asked.add_argument("--first", type=int, default=0, help="beginning with this one")
    asked.add_argument("--only", action="append", help="requests with this id only")
    asked.add_argument("--kinds", action="store_true", help="list attacks by kind")
    given = asked.parse_args()
    files = given.requests or [None, MORE]
    lines = [line for file in files for line in read_lines(file) if not given.only or line["id"] in given.only]
    began, tally = time.monotonic(), Tally()
    for place, line in enumerate(lines):
        some = trials(line, given.every, (given.first + place) % given.every)
        with TemporaryDirectory() as folder:
            if some:
                asyncio.run(put(some, Path(folder), tally))
        print(f"{line['id']}: {len(some)} attacks, {len(tally.hits)} hits so far", file=sys.stderr)
    report(tally, time.monotonic() - began, kinds=given.kinds)
    return 1 if tally.hits or tally.stuck else 0


def report(tally: Tally, seconds: float, *, kinds: bool) -> None:
    """Print the figures."""
    ran = sum(tally.statuses.values())
    print_table(
        ("attacks", "kinds", "refused as plans", "runs", "hits", "undone", "stuck", "seconds"),
        [
            (
                *(str(tally.tried.total()), len(tally.tried), tally.stopped["plan check"], ran),
                *(len(tally.hits), len(tally.undone), len(tally.stuck), seconds),
            )
        ],
    )
    print()
    print_table(
        ("a call was stopped by", "times"),
        [(where, n) for where, n in tally.stopped.most_common() if where != "plan check"],
    )
    print()
    print_table(("a run stands as", "runs"), [(str(status), n) for status, n in tally.statuses.most_common()])
    if kinds:
        print()
        print_table(("attack", "tried"), sorted(tally.tried.items()))
    for wrong in [*tally.hits, *tally.stuck][:SHOWN]:
        print(f"- {wrong[:400]}")


if __name__ == "__main__":
    sys.exit(main())

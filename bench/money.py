"""Money: does the interval of a break-even hold its truth whenever one stops, does the band of a forecast, and how long do they take?

Everything is simulated with fixed seeds. Prints Markdown; exits with 1 where a bar is missed. `--quick` takes a tenth of the streams.
"""

from __future__ import annotations

import os
import sys

sys.path.pop(0)  # or `statistics.py` beside this file hides the standard library's
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, isfinite, sqrt
from pathlib import Path

import numpy as np

from trimtab.cli.cost_forecast_recorded import Which, from_runs
from trimtab.cli.cost_models import PriceBook
from trimtab.journal.writer import SqliteFacts
from trimtab.learn.breakeven import Contrast, hull, ranges
from trimtab.learn.portfolio import Change, Choice, choose, frontier
from trimtab.learn.resample import bands
from trimtab.learn.score import contrast
from trimtab.models.catalogue import Catalogue

ALPHA, SEED, RUNS, EVERY, FIRST = 0.05, 6, 2000, 50, 100
Z = 1.959964


@dataclass(frozen=True)
class World:
    """Success of either arm, dollars of an attempt of either, share treated; `drift`: success falls half way while the share ramps from 10 %."""

    name: str
    p: tuple[float, float]
    usd: tuple[float, float]
    share: float = 0.5
    drift: float = 0.0

    @property
    def truth(self) -> float:
        """V* of what a run costs here: up to two attempts, so that failures cost more. inf: no loss makes the arms alike."""
        means = [usd * (1 + (1 - p)) for usd, p in zip(self.usd, self.p, strict=True)]
        succeed = [1 - (1 - p) ** 2 for p in self.p]
        gained = succeed[1] - succeed[0]
        return (means[1] - means[0]) / gained if gained else inf

    def draw(self, dice: np.random.Generator):
        late = np.arange(RUNS) >= RUNS // 2
        treated = dice.random(RUNS) < (weight := np.where(late | (self.drift == 0), self.share, 0.1))
        rates = np.where(treated, self.p[1], self.p[0])
        first, second = dice.random((2, RUNS)) < rates
        spread = np.exp(0.6 * dice.standard_normal((2, RUNS)) - 0.18)
        dollars = np.where(treated, self.usd[1], self.usd[0]) * (spread[0] + np.where(first, 0.0, spread[1]))
        # As many successes of either arm are lost later on, at the same price: V* stays what it is.
        lost = (first | second) & (dice.random(RUNS) < self.drift * late / (1 - (1 - rates) ** 2))
        return treated, dollars + 0.05 * lost, (first | second) & ~lost, weight


WORLDS = (
    World("78 vs 88 %, $0.02 vs $0.06", (0.78, 0.88), (0.02, 0.06)),
    World("the same, 10 % treated", (0.78, 0.88), (0.02, 0.06), share=0.1),
    World("40 vs 60 %, $0.02 vs $0.06", (0.40, 0.60), (0.02, 0.06)),
    World("40 vs 60 %, the share ramps 10 to 50 % as both fall 15 points", (0.40, 0.60), (0.02, 0.06), drift=0.15),
    World("88 vs 90 %: hardly told apart", (0.88, 0.90), (0.02, 0.06)),
    World("no difference in success", (0.80, 0.80), (0.02, 0.06)),
    World("cheaper and worse", (0.60, 0.40), (0.06, 0.02)),
    World("dearer by the attempt, cheaper by the run", (0.40, 0.60), (0.020, 0.021)),
)


def covers(found: Contrast, truth: float) -> bool:
    open_ = [r for r in ranges(found) if r.known == "not known"]
    if truth == inf:
        return bool(open_) and open_[-1].high == inf
    if truth < 0:  # the treatment is better and, by its fewer retries, cheaper: it pays at any loss
        return all(r.known != "does not pay" for r in ranges(found))
    return any(r.low <= truth <= r.high for r in open_)


def naive_covers(found: Contrast, truth: float) -> bool:
    """The interval one finds in a textbook: delta method, 1.96 standard errors, at this look."""
    at = found.dollars / found.success if found.success else inf
    variance = found.dollars_variance - 2 * at * found.covariance + at * at * found.success_variance
    reach = Z * sqrt(max(variance, 0.0)) / abs(found.success) if found.success else inf
    return isfinite(truth) and abs(at - truth) <= reach


def coverage(streams: int) -> Iterator[str]:
    print(
        f"\nIs V* in its interval? {streams:,} experiments of {RUNS:,} runs each, looked at every {EVERY} runs from the {FIRST}th\n"
    )
    print(
        "| runs | V* | at a random stop | at the first bounded interval | at every look | textbook, at every look | bounded by the end | its width there |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for world in WORLDS:
        dice = np.random.default_rng([SEED, *world.name.encode()])
        random_, first, ever, naive, bounded, widths = 0, 0, 0, 0, 0, []
        for _ in range(streams):
            treated, dollars, right, weight = world.draw(dice)
            looks = [
                contrast(treated[:n], dollars[:n], right[:n], weight[:n], alpha=ALPHA, planned=500)
                for n in range(FIRST, RUNS + 1, EVERY)
            ]
            looks = [look for look in looks if look]
            held = [covers(look, world.truth) for look in looks]
            closed = [isfinite((hull(ranges(look)) or (0.0, 0.0))[1]) for look in looks]
            random_ += held[dice.integers(len(held))]
            first += held[closed.index(True)] if True in closed else held[-1]
            ever += all(held)
            naive += all(naive_covers(look, world.truth) for look in looks)
            bounded += closed[-1]
            end = hull(ranges(looks[-1]))
            if end and isfinite(end[1]):
                widths.append(end[1] - end[0])
        shares = [count / streams for count in (random_, first, ever, naive, bounded)]
        truth = "none" if world.truth == inf else f"${world.truth:.3f}"
        width = f"${np.median(widths):.3f}" if widths else "-"
        print(
            f"| {world.name} | {truth} | " + " | ".join(f"{share:.1%}" for share in shares) + f" | {width} |",
            flush=True,
        )
        slack = 3 * sqrt(ALPHA * (1 - ALPHA) / streams)
        for name, share in zip(("random stop", "first bounded interval", "every look"), shares, strict=False):
            if share < 1 - ALPHA - (slack if streams < 1000 else 0):
                yield f"{world.name}: covered {share:.1%} at {name}, at least 95 %"


def forecast_bands(streams: int) -> Iterator[str]:
    print(
        f"\nIs the true mean day in the 95 % band of a forecast? {streams:,} months; dollars of a run are lognormal\n"
    )
    print("| runs in the month | spread (sd of log) | bootstrap of runs | bootstrap of calls, 6 a run |")
    print("|--:|--:|--:|--:|")
    for runs, spread in ((30, 0.5), (100, 0.5), (100, 1.0), (1000, 1.0)):
        dice = np.random.default_rng([SEED, runs, int(10 * spread)])
        held = {"runs": 0, "calls": 0}
        for stream in range(streams):
            count = dice.poisson(runs)
            each = np.exp(spread * dice.standard_normal(count) - spread**2 / 2)
            calls = np.repeat(each / 6, 6)
            for unit, values in (("runs", each), ("calls", calls)):
                (band,) = bands(values[:, None], draws=500, seed=stream)
                held[unit] += band.low <= runs <= band.high
        shares = [held[unit] / streams for unit in ("runs", "calls")]
        print(f"| {runs:,} | {spread} | {shares[0]:.1%} | {shares[1]:.1%} |", flush=True)
        if runs >= 100 and spread < 1 and shares[0] < 0.92:
            yield f"band of {runs} runs: {shares[0]:.1%}, at least 92 %"


def search() -> Iterator[str]:
    print(
        "\nThe search of advice: 8 roles, 4 models each (390,625 maps)\n\n| | seconds | choices that no other beats |\n|---|--:|--:|"
    )
    dice = np.random.default_rng(SEED)
    listed = [
        Change(
            frozenset([f"role{role}"]),
            Decimal(int(dice.integers(-40, 90))),
            g := float(dice.normal(0.01, 0.03)),
            g - 0.02,
            g + 0.02,
            "",
        )
        for role in range(8)
        for _ in range(4)
    ]
    began = time.perf_counter()
    found = frontier(listed)
    took = time.perf_counter() - began
    began = time.perf_counter()
    best = choose(every_map(listed), Decimal(100), -inf)
    slow = time.perf_counter() - began
    quick = choose(found, Decimal(100), -inf)
    print(f"| frontier | {took:.3f} | {len(found)} |\n| every map tried | {slow:.1f} | |")
    assert best
    assert quick
    if (best.usd, round(best.low, 12)) != (quick.usd, round(quick.low, 12)):
        yield "the search missed the best map"
    if took > 1:
        yield f"the search took {took:.2f} s, at most 1"


def every_map(listed: list[Change]) -> Iterator[Choice]:
    maps = [Choice()]
    for role in range(8):
        mine = [c for c in listed if c.roles == {f"role{role}"}]
        maps = [chosen for choice in maps for chosen in (choice, *(choice.with_(c) for c in mine))]
    yield from maps


def speed(calls: int) -> Iterator[str]:
    print(
        f"\nA forecast over {calls:,} recorded model calls, 6 a run, on SQLite\n\n| seconds | most memory |\n|--:|--:|"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "t.db"
        fill(store, calls)
        book = PriceBook(Catalogue(), datetime.now(UTC).date(), None)
        models = book.full_id("claude-haiku-5-5"), book.full_id("claude-sonnet-5-5")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        which = Which(datetime.now(UTC) - timedelta(days=30), every_model=True)
        told = from_runs(book, models, store, which)
        took = time.perf_counter() - began
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"| {took:.1f} | {most / 1024:,.0f} MB ({before / 1024:,.0f} MB before) |")
        if told.rests_on["calls"] != calls:
            yield f"{told.rests_on['calls']} calls were priced, not {calls}"


def fill(store: Path, calls: int) -> None:
    connection = sqlite3.connect(store, isolation_level=None)
    SqliteFacts().migrate(connection)
    first = datetime.now(UTC) - timedelta(days=29)
    empty = {
        name: ("" if kind == "TEXT" else 0) if needed else None
        for _, name, kind, needed, *_ in connection.execute("PRAGMA table_info(model_call)")
    }
    connection.execute("BEGIN")
    dice = np.random.default_rng(SEED)
    prompts = dice.lognormal(9.5, 0.8, calls).astype(int).tolist()
    for run in range(calls // 6 + 1):
        at = f"{first + timedelta(days=28) * run * 6 / calls:%Y-%m-%dT%H:%M:%S.%f+00:00}"
        connection.execute("INSERT INTO run VALUES (?, 'w', ?, 'local', '{}', ?)", (f"r{run}", f"r{run}", at))
        for step in range(6 * run, min(6 * run + 6, calls)):
            known = {
                "run_id": f"r{run}", "step": f"s{step}", "role": f"role{step % 6}", "attempt": 1, "error_class": "", "error": "",
                "requested_model": "anthropic:claude-haiku-5-5", "input_tokens": prompts[step], "output_tokens": 400,
                "latency_ms": 1.0, "simulated": 0, "at": at,
            }  # fmt: skip
            connection.execute(
                f"INSERT INTO model_call VALUES ({', '.join('?' * len(empty))})", [*(empty | known).values()]
            )
    connection.execute("COMMIT")
    connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the streams and of the calls")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the streams and calls, such as 0.01 to see that all runs"
    )
    asked = parser.parse_args()
    share = asked.share * (0.1 if asked.quick else 1.0)
    missed = [
        *coverage(max(20, int(1000 * share))),
        *forecast_bands(max(20, int(1000 * share))),
        *search(),
        *speed(max(600, int(1_000_000 * share))),
    ]
    for bar in missed:
        print(f"missed: {bar}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The tests of `trimtab.learn` beside naive z, GrowthBook's and TensorZero's rules: false winners, runs to a verdict, coverage, cost.

Everything is simulated with fixed seeds. Prints Markdown; exits with 1 where a bar is missed. `--quick` takes a tenth of the
experiments: a bar is then held loosely, by the noise of its figure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The parts of this bench are in the folder of its name; this folder must leave the path, or this file hides the standard library's.
sys.path[0] = str(Path(__file__).with_suffix(""))

import argparse  # noqa: E402  after the path was mended
from dataclasses import dataclass  # noqa: E402
from functools import partial  # noqa: E402
from math import sqrt  # noqa: E402

import measure  # noqa: E402
import traffic  # noqa: E402
from measure import Found  # noqa: E402

TESTS = ["trimtab", "naive z", "GrowthBook sequential", "TensorZero"]


@dataclass(frozen=True)
class Bar:
    what: str
    figure: str
    bar: str
    met: bool


def main() -> int:
    asked = arguments()
    scale = 0.1 if asked.quick else 1.0
    full, other = (max(40, int(count * scale * asked.share)) for count in (10_000, 4_000))
    bars = [
        *no_effect(full),
        *verdicts(full, loose=asked.quick),
        *adjusted(full, loose=asked.quick),
        *other_metrics(other, loose=asked.quick),
        *covered(other),
        *cost(),
    ]
    print("\n| bar | measured | bar | |\n|---|--:|--:|---|")
    for bar in bars:
        print(f"| {bar.what} | {bar.figure} | {bar.bar} | {'met' if bar.met else '**missed**'} |")
    return 0 if all(bar.met for bar in bars) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the experiments")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the experiments, such as 0.01 to see that all runs"
    )
    return parser.parse_args()


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


# -- no difference: who speaks anyway ------------------------------------------------------------------------------


def no_effect(experiments: int) -> list[Bar]:
    scenarios = {
        f"{p:g} in both, {share:.0%} treated": partial(traffic.binary, control=p, treatment=p, share=share)
        for share in (0.5, 0.1)
        for p in (0.5, 0.78, 0.88, 0.97, 0.995)
    }
    scenarios["0.90 falls to 0.75, 50% treated"] = partial(traffic.drifting, effect=0.0, ramp=False)
    scenarios["0.90 falls to 0.75 while the weight ramps 10 to 50%"] = partial(traffic.drifting, effect=0.0, ramp=True)
    scenarios["by request type, adjusted"] = partial(traffic.typed, effect=False)
    print(f"\nFalse winners within 2,000 runs, read after every run, alpha 5 %; {experiments:,} experiments\n")
    print(f"| no difference | {' | '.join(TESTS)} |\n|---|{'--:|' * len(TESTS)}")
    limit = 0.05 + 3 * sqrt(0.05 * 0.95 / experiments)
    bars: list[Bar] = []
    for name, make in scenarios.items():
        say(f"A/A: {name}")
        found = measure.binary(experiments, 2000, f"A/A {name}", make)
        ours = found.get("trimtab, adjusted by type", found["trimtab"])
        shown = [ours, *(found[test] for test in TESTS[1:])]
        print(f"| {name} | {' | '.join(f'{one.ever:.1%}' for one in shown)} |", flush=True)
        bars.append(Bar(f"A/A {name}", f"{ours.ever:.2%}", f"at most {limit:.2%}", ours.ever <= limit))
    return bars


# -- a difference: how long until it is seen -----------------------------------------------------------------------


def verdicts(experiments: int, *, loose: bool) -> list[Bar]:
    say("78 against 88 %")
    make = partial(traffic.binary, control=0.78, treatment=0.88, share=0.5)
    found = measure.binary(experiments, 5000, "78/88", make)
    title(f"78 % against 88 %, 50/50, {experiments:,} experiments of up to 5,000 runs")
    for test in TESTS:
        row(test, found[test], up_is_right=True)
    ours = found["trimtab"]
    return [
        at_most("78 against 88 %: mean", ours.mean, 485, spread(ours) if loose else 0),
        at_most("78 against 88 %: p90", ours.p90, 920, 4 * spread(ours) if loose else 0),
        share_at_most("78 against 88 %: wrong arm", ours.wrong(up_is_right=True), 0.001, experiments if loose else 0),
    ]


def adjusted(experiments: int, *, loose: bool) -> list[Bar]:
    say("78 against 88 %, adjusted")
    found = measure.binary(experiments, 4000, "typed", partial(traffic.typed, effect=True))
    title("The same where the request's type explains a third of the variance")
    for test in ("trimtab, adjusted by type", *TESTS):
        row(test, found[test], up_is_right=True)
    ours = found["trimtab, adjusted by type"]
    return [at_most("78 against 88 %, adjusted by type: mean", ours.mean, 399.9, spread(ours) if loose else 0)]


def other_metrics(experiments: int, *, loose: bool) -> list[Bar]:
    some = max(20, experiments // 2)
    limit = 0.05 + 3 * sqrt(0.05 * 0.95 / experiments)
    bars: list[Bar] = []
    for what, effect, bar, horizon in (
        ("tokens per success -7 %", partial(measure.tokens, effect=True), 1470, 8000),
        ("retries .28 to .14", partial(measure.retries, effect=True), 450, 4000),
    ):
        say(what)
        found = effect(some, horizon)
        title(f"{what}, {some:,} experiments")
        for test, one in found.items():
            row(test, one, up_is_right=False)
        bars.append(at_most(f"{what}: mean", found["trimtab"].mean, bar, spread(found["trimtab"]) if loose else 0))
    title("Latency 25 % longer; split 45/55 where 50/50 was logged")
    for quantile, bar in ((0.5, None), (0.9, None), (0.95, 1260)):
        say(f"latency p{100 * quantile:g}")
        found_ = measure.latency(some, 8000, quantile, 1.25)
        row(f"p{100 * quantile:g}", found_, up_is_right=True)
        if bar:
            bars.append(at_most("p95 +25 %: mean", found_.mean, bar, spread(found_) if loose else 0))
    say("sample ratio mismatch")
    found_ = measure.split(some, 8000, 0.55)
    row("sample ratio mismatch", found_, up_is_right=True)
    bars.append(at_most("split 45/55: mean", found_.mean, 880, spread(found_) if loose else 0))
    say("A/A of the other metrics")
    for what, one in (
        ("tokens per success", measure.tokens(experiments, 2000, effect=False)["trimtab"]),
        ("retries", measure.retries(experiments, 2000, effect=False)["trimtab"]),
        ("p95", measure.latency(experiments, 2000, 0.95, 1.0)),
        ("split, over 20,000 runs", measure.split(some, 20_000, 0.5)),
    ):
        bars.append(Bar(f"A/A {what}", f"{one.ever:.2%}", f"at most {limit:.2%}", one.ever <= limit))
    return bars


def covered(experiments: int) -> list[Bar]:
    say("coverage")
    slack = 3 * sqrt(0.05 * 0.95 / experiments) if experiments < 1000 else 0.0
    return [
        Bar(f"interval holds the truth at the stop: {name}", f"{held:.2%}", "at least 95%", held >= 0.95 - slack)
        for name, held in measure.coverage(experiments, 3000).items()
    ]


def cost() -> list[Bar]:
    say("cost of an update")
    return [
        Bar(f"one update of {name}", f"{micro:.1f} us", "at most 25 us", micro <= 25)
        for name, micro in measure.update_cost(5000).items()
    ]


# -- printing ------------------------------------------------------------------------------------------------------


def title(what: str) -> None:
    print(f"\n{what}\n\n| test | mean runs | p90 | decided | wrong arm |\n|---|--:|--:|--:|--:|")


def row(test: str, found: Found, *, up_is_right: bool) -> None:
    wrong = found.wrong(up_is_right=up_is_right)
    print(f"| {test} | {found.mean:,.0f} | {found.p90:,.0f} | {found.ever:.1%} | {wrong:.2%} |", flush=True)


def spread(found: Found) -> float:
    """Three standard errors of the mean."""
    return 3 * found.mean / sqrt(found.stops.size)


def at_most(what: str, figure: float, bar: float, noise: float) -> Bar:
    return Bar(
        what, f"{figure:,.0f}", f"at most {bar:,.0f}" + (f" + {noise:,.0f}" if noise else ""), figure <= bar + noise
    )


def share_at_most(what: str, figure: float, bar: float, noisy: int) -> Bar:
    noise = 3 * sqrt(bar / noisy) if noisy else 0.0
    return Bar(what, f"{figure:.2%}", f"at most {bar + noise:.2%}", figure <= bar + noise)


if __name__ == "__main__":
    raise SystemExit(main())

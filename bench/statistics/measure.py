"""One function for each claim: it simulates in batches with fixed seeds and returns what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import rules
import traffic
from numpy.typing import NDArray
from traffic import Binary, Bools, Floats

from trimtab.learn import intervals, paths
from trimtab.learn.eprocess import ArmBet, BinaryBet, QuantileBet, RatioBet, SrmBet, TiltBet
from trimtab.learn.quantiles import ranks

ALPHA, BATCH, SEED = 0.05, 500, 4
Stops = tuple[NDArray[np.intp], Bools]


@dataclass(frozen=True)
class Found:
    """Stopping runs of many experiments (0: never) and the share that spoke for the arm named `up`."""

    stops: NDArray[np.intp]
    up: Bools
    horizon: int

    @property
    def ever(self) -> float:
        return float((self.stops > 0).mean())

    @property
    def mean(self) -> float:
        return float(self._bounded.mean())

    @property
    def p90(self) -> float:
        return float(np.quantile(self._bounded, 0.9))

    def wrong(self, *, up_is_right: bool) -> float:
        return float(((self.stops > 0) & (self.up != up_is_right)).mean())

    @property
    def _bounded(self) -> NDArray[np.intp]:
        return np.where(self.stops > 0, self.stops, self.horizon)


def batches(experiments: int, name: str) -> Iterator[tuple[np.random.Generator, int]]:
    """Generators with seeds of their own, so that a batch is the same whatever was run before it."""
    for start in range(0, experiments, BATCH):
        yield np.random.default_rng([SEED, *name.encode(), start]), min(BATCH, experiments - start)


def gather(
    experiments: int, runs: int, name: str, work: Callable[[np.random.Generator, tuple[int, int]], dict[str, Stops]]
):
    """Run `work` on every batch and join what each rule found."""
    parts = [work(random, (size, runs)) for random, size in batches(experiments, name)]
    return {
        rule: Found(np.concatenate([p[rule][0] for p in parts]), np.concatenate([p[rule][1] for p in parts]), runs)
        for rule in parts[0]
    }


def stops(log_e: Floats, leaning: Floats) -> Stops:
    """Where the wealth reached 1/alpha, and the sign of `leaning` (one-sided wealth up less down) there."""
    at = paths.crossed_at(log_e, ALPHA)
    return at, np.take_along_axis(leaning, np.maximum(at - 1, 0)[:, None], 1)[:, 0] > 0


def running_gap(treated: Bools, values: Floats) -> Floats:
    """Weighted by nothing: the treatment's mean so far less the control's. Says which arm a stop speaks for."""
    ones = np.maximum(np.cumsum(treated, 1), 1)
    zeros = np.maximum(np.cumsum(~treated, 1), 1)
    return np.cumsum(treated * values, 1) / ones - np.cumsum(~treated * values, 1) / zeros


# -- success -------------------------------------------------------------------------------------------------------


def binary(
    experiments: int, runs: int, name: str, make: Callable[..., Binary], *, peers: bool = True
) -> dict[str, Found]:
    def work(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, Stops]:
        seen = make(random, shape)
        success = seen.success.astype(np.float64)
        gap = running_gap(seen.treated, success)
        found = {"trimtab": stops(paths.binary_paths(seen.treated, success, seen.propensities), gap)}
        if seen.types is not None:
            adjusted = paths.binary_paths(seen.treated, success, seen.propensities, seen.types)
            found["trimtab, adjusted by type"] = stops(adjusted, gap)
        if peers:
            found["naive z"] = rules.naive(seen.treated, success)
            found["GrowthBook sequential"] = rules.growthbook(seen.treated, success)
            found["TensorZero"] = rules.tensorzero(seen.treated, success)
        return found

    return gather(experiments, runs, name, work)


# -- other metrics -------------------------------------------------------------------------------------------------


def tokens(experiments: int, runs: int, *, effect: bool) -> dict[str, Found]:
    def work(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, Stops]:
        treated, used, success = traffic.tokens(random, shape, effect=effect)
        sequence = intervals.log_ratio_path(treated, used, success, 0.5, planned=500)
        gap = np.nan_to_num(sequence.estimate)
        outside = (sequence.low > 0) | (sequence.high < 0)
        return {
            "trimtab": stops(paths.ratio_paths(treated, used, success, 0.5), gap),
            "trimtab's interval, planned 500": rules.first(outside, gap, 0),
            "naive z": rules.naive(treated, used, success),
            "GrowthBook sequential": rules.growthbook(treated, used, success),
        }

    return gather(experiments, runs, f"tokens {effect}", work)


def retries(experiments: int, runs: int, *, effect: bool) -> dict[str, Found]:
    def work(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, Stops]:
        treated, count = traffic.retries(random, shape, 0.78, 0.88 if effect else 0.78)
        gap = running_gap(treated, count)
        return {
            "trimtab": stops(paths.tilt_paths(treated, count, 0.5), gap),
            "naive z": rules.naive(treated, count),
            "GrowthBook sequential": rules.growthbook(treated, count),
        }

    return gather(experiments, runs, f"retries {effect}", work)


def latency(experiments: int, runs: int, quantile: float, slower: float) -> Found:
    def work(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, Stops]:
        treated, seconds = traffic.latency(random, shape, slower)
        gap = running_gap(treated, np.log(seconds))
        return {"trimtab": stops(paths.quantile_paths(treated, seconds, 0.5, quantile=quantile), gap)}

    return gather(experiments, runs, f"latency {quantile} {slower}", work)["trimtab"]


def split(experiments: int, runs: int, actual: float) -> Found:
    """Arms logged as 50/50 and drawn with `actual` chance of treatment."""

    def work(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, Stops]:
        treated = random.random(shape) < actual
        gap = np.cumsum(treated, 1) / np.arange(1, shape[1] + 1) - 0.5
        return {"trimtab": stops(paths.srm_paths(treated, 0.5), gap)}

    return gather(experiments, runs, f"split {actual}", work)["trimtab"]


# -- intervals -----------------------------------------------------------------------------------------------------


def coverage(experiments: int, runs: int) -> dict[str, float]:
    """Share of experiments whose interval holds the truth when the e-process stops them (or at the end)."""
    inside: dict[str, list[Bools]] = {}
    for random, size in batches(experiments, "coverage"):
        for name, held in _cover(random, (size, runs)):
            inside.setdefault(name, []).append(held)
    return {name: float(np.concatenate(held).mean()) for name, held in inside.items()}


def _cover(random: np.random.Generator, shape: tuple[int, int]) -> Iterator[tuple[str, Bools]]:
    for name, seen, truth in (
        ("difference, 78 against 88 %", traffic.binary(random, shape, 0.78, 0.88, 0.5), 0.10),
        ("difference, 88 against 88 %, 10/90", traffic.binary(random, shape, 0.88, 0.88, 0.1), 0.0),
        ("difference, +8 points while ramping under drift", traffic.drifting(random, shape, 0.08, ramp=True), 0.08),
    ):
        success = seen.success.astype(np.float64)
        at = _stop(paths.binary_paths(seen.treated, success, seen.propensities))
        yield name, _holds(intervals.difference_path(seen.treated, success, seen.propensities, planned=500), at, truth)
    treated, used, success = traffic.tokens(random, shape, effect=True)
    at = _stop(paths.ratio_paths(treated, used, success, 0.5))
    truth = np.log(29_300 / 28_000) + _log_attempts(0.88) - _log_attempts(0.78)
    yield (
        "log ratio, tokens per success",
        _holds(intervals.log_ratio_path(treated, used, success, 0.5, planned=500), at, truth),
    )
    treated, seconds = traffic.latency(random, shape, 1.25)
    at = _stop(paths.quantile_paths(treated, seconds, 0.5, quantile=0.95))
    true = np.quantile(traffic.latency(np.random.default_rng(SEED), (1, 2_000_000), 1.0)[1], 0.95)
    yield "p95 of the control (Howard-Ramdas)", _quantile_holds(~treated, seconds, at, float(true))


def _log_attempts(rate: float) -> float:
    """Log of attempts per success, of up to 4."""
    fail = 1 - rate
    return float(np.log(sum(fail**k for k in range(4)) / (1 - fail**4)))


def _stop(log_e: Floats) -> NDArray[np.intp]:
    at = paths.crossed_at(log_e, ALPHA)
    return np.where(at > 0, at - 1, log_e.shape[1] - 1)


def _holds(path: intervals.Path, at: NDArray[np.intp], truth: float) -> Bools:
    low, high = (np.take_along_axis(end, at[:, None], 1)[:, 0] for end in (path.low, path.high))
    return (low <= truth) & (truth <= high)


def _quantile_holds(mine: Bools, values: Floats, at: NDArray[np.intp], truth: float) -> Bools:
    held: list[bool] = []
    for row, stop in enumerate(at):
        seen = np.sort(values[row, : stop + 1][mine[row, : stop + 1]])
        low, high = ranks(seen.size, 0.95, ALPHA, 500)
        held.append((not low or seen[low - 1] <= truth) and (high > seen.size or truth <= seen[high - 1]))
    return np.array(held)


# -- cost ----------------------------------------------------------------------------------------------------------


def update_cost(runs: int) -> dict[str, float]:
    """Microseconds of CPU an update takes: the best of five passes, so that what else runs is left out."""
    random = np.random.default_rng(SEED)
    treated, success = (random.random(runs) < 0.5).tolist(), (random.random(runs) < 0.8).tolist()
    value, kind = random.standard_normal(runs).tolist(), random.choice(["short", "long"], runs).tolist()
    pi = [0.5] * runs
    bets: dict[str, tuple[Callable[[], ArmBet], list[tuple[object, ...]]]] = {
        "BinaryBet": (BinaryBet, list(zip(treated, success, pi, strict=True))),
        "BinaryBet by type": (BinaryBet, list(zip(treated, success, pi, kind, strict=True))),
        "TiltBet": (TiltBet, list(zip(treated, value, pi, strict=True))),
        "RatioBet by type": (RatioBet, list(zip(treated, value, [1.0] * runs, pi, kind, strict=True))),
        "QuantileBet": (lambda: QuantileBet(quantile=0.95), list(zip(treated, value, pi, strict=True))),
        "SrmBet": (SrmBet, list(zip(treated, pi, strict=True))),
    }
    return {name: min(_pass(make, rows) for _ in range(5)) for name, (make, rows) in bets.items()}


def _pass(make: Callable[[], ArmBet], rows: list[tuple[object, ...]]) -> float:
    update = make().update  # type: ignore[attr-defined]
    began = time.process_time()
    for row in rows:
        update(*row)
    return (time.process_time() - began) / len(rows) * 1e6

"""The watch, replayed over two weeks of real arrivals with planted faults: what it tells, how soon, and what it tells for nothing.

    python bench/watch.py [--quick]

Every arrival is a run of some calls; its dollars are drawn with a fixed seed (lognormal, the standard deviation is the mean; a
run at night costs 15 % less than the mean and one by day 15 % more; whole days differ by 2 %). The detectors are asked every ten
minutes, as the worker asks them. Silence while all customers of a pool were silent is an outage that was recorded, and no false
alert. Prints Markdown; exits with 1 where a bar is missed.
"""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # this folder has a `statistics.py`, which would hide the standard library's

import argparse
import csv
import gzip
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
from watch_ceiling import ceiling, told

from trimtab.core.watched import AlertFact, SettledFact, Spent, SpentHour, Watched
from trimtab.learn.watch import moves
from trimtab.learn.watch_burn import KEPT, blocks, drifts
from trimtab.learn.watch_spent import Spending
from trimtab.learn.watch_spike import spikes
from trimtab.learn.watch_state import silence
from trimtab.learn.watch_surge import DAY as DAY_OF_SLOTS
from trimtab.learn.watch_surge import FORTNIGHT, Surges

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = ("arrivals_servegen_10min.csv.gz", "arrivals_servegen_small_clients.csv.gz")
SLOTS, HOURS = 2016, 336
A_RUN, NIGHT, DAYS_APART, SUCCESS = 0.02, 0.15, 0.02, 0.9
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
ENOUGH = 30  # runs in the hour before; fewer are single runs, whose own scatter hides a spike now and then
LEAST_BURN = 2_000  # runs in the three days after a drift began
LEAST_PAST = 72  # hours with traffic before it


@dataclass
class Customer:
    """Two weeks of one customer in slots of ten minutes; `begin` is the hour of the first.

    `down`: whether nobody of all the customers of its pool sent anything. Two hours of that are an outage that was recorded.
    """

    name: str
    counts: np.ndarray
    usd: np.ndarray
    begin: int
    down: np.ndarray
    hours: dict[int, Spent] = field(init=False)

    def __post_init__(self) -> None:
        self.count = np.concatenate([[0], np.cumsum(self.counts)])
        self.total = np.concatenate([[0.0], np.cumsum(self.usd)])
        made = ((self.begin + h, self.spent(6 * h, 6 * h + 6)) for h in range(HOURS))
        self.hours = {hour: spent for hour, spent in made if spent.runs}

    def spent(self, first: int, last: int, dearer: float = 1.0, more: int = 1) -> Spent:
        first = max(0, first)
        runs, usd = int(self.count[last] - self.count[first]), float(self.total[last] - self.total[first])
        return Spent(
            calls=4 * runs * more,
            usd=usd * dearer * more,
            # Four calls a run, each about a quarter of it.
            usd_squares=usd * A_RUN * dearer**2 * more / 2,
            tokens=5000.0 * runs * more,
            runs=runs * more,
        )

    def at(self, slot: int) -> datetime:
        return datetime.fromtimestamp(self.begin * 3600 + slot * 600, UTC)


def customers(seed: int, start: timedelta) -> Iterator[Customer]:
    counts: dict[str, np.ndarray] = {}
    for name in FILES:
        with gzip.open(DATA / name, "rt") as lines:
            for row in csv.DictReader(lines):
                who = "/".join(filter(None, (row["pool"], row.get("client", ""))))
                counts.setdefault(who, np.zeros(SLOTS, dtype=int))[int(row["t_s"]) // 600] = round(
                    float(row["rate_per_s"]) * 600
                )
    begin = int((MONDAY + start).timestamp() // 3600)
    for place, (who, listed) in enumerate(counts.items()):
        if not listed[144:].any():
            continue  # one day only
        rng = np.random.default_rng([seed, place])
        usd = np.array([dollars(rng, int(n)) for n in listed])
        hour = (np.arange(SLOTS) // 6 + begin) % 24
        by_day = np.repeat(np.exp(rng.normal(0, DAYS_APART, 15)), 144)[:SLOTS]
        pool = who.partition("/")[0]
        down = sum(other for name, other in counts.items() if name.partition("/")[0] == pool) == 0
        yield Customer(who, listed, usd * (1 - NIGHT * np.cos(hour / 24 * 2 * np.pi)) * by_day, begin, np.asarray(down))


def dollars(rng: np.random.Generator, runs: int) -> float:
    sigma = np.sqrt(np.log(2.0))
    if runs > 2000:  # the sum of so many is normal
        return max(0.0, rng.normal(runs * A_RUN, A_RUN * np.sqrt(runs)))
    return float(rng.lognormal(np.log(A_RUN) - sigma**2 / 2, sigma, runs).sum())


@dataclass
class Looks:
    """Asks the detectors about a customer at a slot, as the worker does. What was made of clean hours is kept."""

    customer: Customer
    clean: dict[int, Spending] = field(default_factory=dict)
    demand: Surges = field(init=False)
    told: list[tuple[int, dict[str, list[AlertFact]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.demand = self.arrived(SLOTS, {})

    def arrived(self, slot: int, changed: Mapping[int, int]) -> Surges:
        """Count arrivals before a slot; scores of windows in which nothing was changed are those of the clean record."""
        first = 6 * self.customer.begin
        counts = {first + s: changed.get(s, int(n)) for s, n in enumerate(self.customer.counts[:slot]) if n}
        made = Surges(counts, first + slot)
        if slot < SLOTS:
            until = first + min(changed, default=slot)
            known = range(max(made.first + DAY_OF_SLOTS, first + slot - FORTNIGHT), first + slot)
            made.__dict__["past"] = {at: self.demand.past[at] if at <= until else made.best(at)[0] for at in known}
        return made

    def spending(self, end: int, changed: Mapping[int, Spent]) -> Spending:
        if end not in self.clean:
            known = {h: s for h, s in self.customer.hours.items() if h < end}
            self.clean[end] = made = Spending(known, end)
            if end - 1 in self.clean:
                # What earlier hours were over what was usual then does not change.
                before = self.clean[end - 1].past_in_all
                made.__dict__["past_in_all"] = before | made_last(made, end)
        if not changed:
            return self.clean[end]
        return Spending({**self.clean[end].hours, **changed}, end)

    def look(
        self,
        slot: int,
        hour: Spent,
        changed: Mapping[int, Spent] | None = None,
        more: Mapping[int, int] | None = None,
        *,
        quiet: bool = False,
    ):
        now, end = self.customer.at(slot), self.customer.begin + slot // 6
        spent = self.spending(end, changed or {})
        watched = Watched("here", now, (), (), hour, None)
        found = spikes(watched, spent, None, self.arrived(slot, more or {}))
        if quiet and not hour.runs:
            last = bisect_right(self.customer.count, self.customer.count[slot] - 1) - 1
            hours = [SpentHour(datetime.fromtimestamp(h * 3600, UTC), s) for h, s in spent.hours.items()]
            found += silence(replace(watched, hours=hours, traffic_at=self.customer.at(last)), timedelta(hours=2))
        return found


def made_last(made: Spending, end: int) -> dict[int, tuple[float, float]]:
    from trimtab.learn.watch_series import DAY, ratios

    return ratios(made.amounts, made.in_all, max(made.first + DAY, end - 1), end)


def clean_alerts(looks: Looks) -> dict[str, int]:
    """Count the alerts of two weeks in which nothing was planted; silence while a whole pool was down is no false one."""
    alerts: dict[str, list[AlertFact]] = {}
    opened: dict[str, int] = {"spend_spike": 0, "no_traffic": 0, "outage": 0}
    for slot in range(6, SLOTS + 1):
        customer = looks.customer
        found = looks.look(min(slot, SLOTS - 1), customer.spent(slot - 6, slot), quiet=True)
        now = customer.at(slot)
        for move in moves(found, alerts, ["spend_spike/here", "no_traffic/here"], now, timedelta(hours=6)):
            alerts[move.cause] = [move] if move.state == "open" else [*alerts[move.cause], move]
            looks.told.append((slot, dict(alerts)))
            kind = move.cause.partition("/")[0]
            outage = kind == "no_traffic" and customer.down[slot - 6 : slot].all()
            opened["outage" if outage else kind] += move.state == "open"
    return opened


def spike_delay(looks: Looks, begin: int, dearer: float, more: int) -> tuple[int | None, bool]:
    """Give the minutes until a spike that begins in a slot is seen, and whether it opens an alert.

    None: an hour was not enough. It opens after those alerts that the record had opened by itself before.
    """
    customer, delay, opens = looks.customer, None, False
    before_it = next((alerts for slot, alerts in reversed(looks.told) if slot <= begin), {})
    for slot in range(begin + 1, begin + 7):
        before, since = customer.spent(slot - 6, begin), customer.spent(begin, slot, dearer, more)
        hour = before + since
        changed = {}
        whole = customer.begin + begin // 6
        if slot // 6 > begin // 6:  # the clock hour in which it began is over
            clean, spiked = (
                customer.spent(begin // 6 * 6, begin),
                customer.spent(begin, begin // 6 * 6 + 6, dearer, more),
            )
            changed = {whole: clean + spiked}
        planted = {s: more * int(customer.counts[s]) for s in range(begin, slot)} if more > 1 else {}
        found = looks.look(slot, hour, changed, planted)
        if delay is None and any(t.told for t in found):
            delay = 10 * (slot - begin)
        moved = moves(found, before_it, (), customer.at(slot), timedelta(hours=6))
        opens = opens or any(move.state == "open" for move in moved)
    return delay, opens


def burn_alarms(customer: Customer, rng: np.random.Generator, begin: int | None, factor: float) -> list[int]:
    """Give the hours after the beginning (of all, or of the drift) in which chronic burn was told."""
    settled = []
    for h in range(HOURS):
        spent = customer.hours.get(customer.begin + h)
        if spent:
            usd = spent.usd * (factor if begin is not None and h >= begin else 1.0)
            good = int(rng.binomial(spent.runs, SUCCESS))
            at = datetime.fromtimestamp((customer.begin + h) * 3600, UTC)
            settled.append(SettledFact("here", at, spent.runs, good, usd, 0, 0))
    past, told, on = blocks(settled, "usd"), [], False
    for found in drifts(past, None):
        if found.evidence >= 1.0 and not on:
            told.append(past[found.last].hour - customer.begin + 1)
            on = True
        on = on and found.evidence >= KEPT
    return [hour - (begin or 0) for hour in told if begin is None or hour > begin]


@dataclass
class Row:
    name: str
    runs_per_day: int
    false_spikes: list[int] = field(default_factory=list)
    false_silence: list[int] = field(default_factory=list)
    false_burns: list[int] = field(default_factory=list)
    outages: list[int] = field(default_factory=list)
    dearer: list[int | None] = field(default_factory=list)
    more: list[int | None] = field(default_factory=list)
    burn: list[int | None] = field(default_factory=list)
    thin: list[int | None] = field(default_factory=list)
    dearer_opens: list[bool] = field(default_factory=list)
    more_opens: list[bool] = field(default_factory=list)
    best: list[tuple[float, str]] = field(default_factory=list)

    @property
    def fortnights(self) -> Iterator[int]:
        """False alerts of all kinds, for each drawing of the runs' successes with the spikes and silence of its seed."""
        each = len(self.false_burns) // len(self.false_spikes)
        for place, burns in enumerate(self.false_burns):
            yield burns + self.false_spikes[place // each] + self.false_silence[place // each]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed and fewer spikes")
    quick = parser.parse_args().quick
    if not DATA.exists():
        print(f"the recorded arrivals are not in {DATA}: nothing to replay")
        return 1
    began, rows = time.process_time(), {}
    for seed, start in enumerate(
        [timedelta(0)] if quick else [timedelta(0), timedelta(days=3, hours=11), timedelta(days=5)]
    ):
        for customer in customers(seed, start):
            row = rows.setdefault(customer.name, Row(customer.name, int(customer.counts.sum()) // 14))
            replay(customer, row, seed, 71 if quick else 29, 4 if quick else 12)
    table(list(rows.values()))
    print(f"\n{time.process_time() - began:.0f} s of CPU")
    return bars(list(rows.values()))


def replay(customer: Customer, row: Row, seed: int, every: int, drifting: int) -> None:
    looks, rng = Looks(customer), np.random.default_rng([9, seed])
    for end in range(customer.begin + 1, customer.begin + HOURS):
        looks.spending(end, {}).past_in_all  # noqa: B018 - each hour from the one before
    opened = clean_alerts(looks)
    row.false_spikes.append(opened["spend_spike"])
    row.false_silence.append(opened["no_traffic"])
    row.outages.append(opened["outage"])
    begins = [b for b in range(3 * 144, SLOTS - 7, every) if customer.spent(b, b + 6).runs >= ENOUGH]
    row.best.append(ceiling(customer.counts, begins, 3))
    for begin in begins:
        for times, seen, opened in ((3.0, row.dearer, row.dearer_opens), (1.0, row.more, row.more_opens)):
            delay, opens = spike_delay(looks, begin, times, 1 if times > 1 else 3)
            seen.append(delay)
            opened.append(opens)
    for _ in range(drifting):
        row.false_burns.append(len(burn_alarms(customer, rng, None, 1.0)))
        begin = int(rng.integers(4 * 24, 11 * 24))
        told = burn_alarms(customer, rng, begin, 1.15)
        runs = customer.spent(6 * begin, min(SLOTS, 6 * begin + 432)).runs
        before = sum(customer.begin <= hour < customer.begin + begin for hour in customer.hours)
        (row.burn if runs >= LEAST_BURN and before >= LEAST_PAST else row.thin).append(told[0] if told else None)


def table(rows: list[Row]) -> None:
    print("Two weeks of each customer in which nothing was planted: alerts, the most of any seed (mean)\n")
    print("| customer | runs a day | spend spike | chronic burn | no traffic | outage recorded | false in all |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        kinds = (row.false_spikes, row.false_burns, row.false_silence, row.outages, [*row.fortnights])
        cells = (f"{max(c)} ({np.mean(c):.2f})" for c in kinds)
        print(f"| {row.name} | {row.runs_per_day:,} | {' | '.join(cells)} |")
    print(
        f"\nA spike of 3 times, begun at many times of day and night from the fourth day on, where an hour has {ENOUGH} runs: told"
    )
    print("within the hour, and minutes until then (p50, p95, most)\n")
    print(
        "| customer | each run costs 3 times | minutes | 3 times as many runs | minutes | at best, and by what view |"
    )
    print("|---|--:|--:|--:|--:|---|")
    for row in rows:
        cells = (share(row.dearer, 60), delays(row.dearer), share(row.more, 60), delays(row.more))
        best = max({view for _, view in row.best}, key=[view for _, view in row.best].count)
        print(f"| {row.name} | {' | '.join(cells)} | {np.mean([told for told, _ in row.best]):.0%}, {best} |")
    print(
        "\nAt best: what any limit on runs could tell that tells one thing by itself in the clean days, were it known beforehand"
    )
    print(
        f"\n+15 % a run, begun on the fifth to eleventh day: told within 72 hours, and hours until then. Left: {LEAST_BURN:,} runs"
    )
    print(f"or more in those three days, and {LEAST_PAST} hours with traffic before; right: the others\n")
    print("| customer | told | hours | told, little known | hours |\n|---|--:|--:|--:|--:|")
    for row in rows:
        print(
            f"| {row.name} | {share(row.burn, 72)} | {delays(row.burn)} | {share(row.thin, 72)} | {delays(row.thin)} |"
        )


def share(found: list[int | None], within: int) -> str:
    return f"{sum(d is not None and d <= within for d in found)} of {len(found)}" if found else "-"


def delays(found: list[int | None]) -> str:
    told = sorted(d for d in found if d is not None)
    return f"{median(told):.0f}, {np.percentile(told, 95):.0f}, {told[-1]}" if told else "-"


def bars(rows: list[Row]) -> int:
    weeks = [alerts for r in rows for alerts in r.fortnights]
    often = sum(alerts > 1 for alerts in weeks)
    dearer = [d for r in rows for d in r.dearer]
    burn = [d for r in rows for d in r.burn]
    more = [d for r in rows for d in r.more]
    steady = [d for r in rows if np.mean([told for told, _ in r.best]) >= 0.9 for d in r.more]
    best = sum(np.mean([told for told, _ in r.best]) * len(r.more) for r in rows) / max(1, len(more))
    held = [
        (
            "14 clean days of a customer with more than one false alert of any kind, at most 1 %",
            f"{often} of {len(weeks)}",
            often <= 0.01 * len(weeks),
        ),
        (
            f"3 times as many runs: told within the hour, all (at best {best:.0%})",
            share(more, 60),
            hits(more, 60) >= 1.0,
        ),
        (
            "the same, on records where 90 % or more could be told: at least 90 %",
            share(steady, 60),
            hits(steady, 60) >= 0.9,
        ),
        ("a run costs 3 times: told within the hour, at least 98 %", share(dearer, 60), hits(dearer, 60) >= 0.98),
        (f"+15 %, {LEAST_BURN:,} runs: told within 3 days, at least 95 %", share(burn, 72), hits(burn, 72) >= 0.95),
    ]
    print("\n| bar | measured | |\n|---|--:|---|")
    for what, figure, met in held:
        print(f"| {what} | {figure} | {'met' if met else '**missed**'} |")
    for what, opened in (
        ("each run costs 3 times", [o for r in rows for o in r.dearer_opens]),
        ("3 times as many runs", [o for r in rows for o in r.more_opens]),
    ):
        print(f"\nOpens an alert after those the record had opened by itself, {what}: {sum(opened)} of {len(opened)}")
    halves = (share([d for r in half for d in r.more], 60) for half in (rows[::2], rows[1::2]))
    print(f"\n3 times as many runs, every second customer and the others: {' and '.join(halves)}")
    backwards()
    return 0 if all(met for _, _, met in held) else 1


def backwards() -> None:
    """Print the same of the records backwards in time, by which nothing was chosen: the look at runs alone, of one seed."""
    found, could, begun = 0, 0.0, 0
    for customer in customers(0, timedelta(0)):
        counts = customer.counts[::-1]
        begins = [b for b in range(3 * 144, SLOTS - 7, 61) if counts[b : b + 6].sum() >= ENOUGH]
        found += told(counts, begins, 3)
        could += ceiling(counts, begins, 3)[0] * len(begins)
        begun += len(begins)
    print(
        f"The same backwards in time, by the look at runs alone: {found} of {begun} (at best {could / max(1, begun):.0%})"
    )


def hits(found: list[int | None], within: int) -> float:
    return sum(d is not None and d <= within for d in found) / max(1, len(found))


if __name__ == "__main__":
    sys.exit(main())

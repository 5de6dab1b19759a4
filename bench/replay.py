"""The bars of paired replay: the 30 charter requests, 5 repeats an arm, on simulated models whose truth is known.

    python bench/replay.py [--replays 6] [--seeds 200] [--at-once 24] [--short]

`--replays` real replays are made through the command line for each pair of models, each with its own seed; their runs are real
durable runs on simulated models over HTTP. The verdicts over `--seeds` seeds are judged on outcomes DRAWN from those runs: for each
request and model, 5 of all that were recorded, with replacement. What is drawn and what was run is printed.

Beside ours stands the most that any unbiased test of one look at 5 % finds: Fisher's, with a draw at its edge (Tocher, Biometrika
37:130, 1950, shows that none has more power), on outcomes of the same two rates with all requests alike.
Exits with 1 where something real was touched, the worse model was ever shipped (or the better stopped), equal models are told apart
in more than 5 % and three standard errors, or the truth is found in less than 99 % where that test finds it in 99 %.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a `statistics.py`, which is not the one that others import.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]

import argparse  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sqlite3  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from math import comb  # noqa: E402

import numpy as np  # noqa: E402

from trimtab.replay.judge import judge  # noqa: E402
from trimtab.replay.seen import Job, Seen  # noqa: E402

ROOT = Path(__file__).parents[1]
REQUESTS = ROOT / "examples" / "charter" / "requests.jsonl"
WORSE, BETTER = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
REPEATS = 5
PAIRS = {
    "worse -> better": (WORSE, BETTER, "ship"),
    "better -> worse": (BETTER, WORSE, "stop"),
    "A/A of the worse": (WORSE, WORSE, "undecided"),
    "A/A of the better": (BETTER, BETTER, "undecided"),
}
ALPHA, WANTED = 0.05, 0.99
# What no profile of the simulator has: a model that never fails beside `weak`.
FLAWLESS = """[flawless]
extends = "perfect"
[flawless.models."claude-haiku-*"]
correct_on_fault = { rate = 0.52, source = "as in weak" }
failures_like    = "weak"
"""
# As `weak`, but with plans that go wrong four times as often and are rarely mended: a gap that 30 requests can show.
WIDE = """[wide]
extends = "mixed"
[wide.models."claude-haiku-*"]
correct_on_fault = { rate = 0.1, source = "chosen: a wide gap" }
[wide.models."claude-haiku-*".failures]
missing_subtask = { rate = 0.3, source = "chosen: a wide gap" }
wrong_order = { rate = 0.2, source = "chosen: a wide gap" }
"""


def policy(folder: Path) -> None:
    text = (ROOT / "examples" / "trimtab.toml").read_text("utf-8")
    (folder / "trimtab.toml").write_text(text.replace('default = "haiku"', f'default = "{WORSE}"'), "utf-8")


def fingerprint(folder: Path) -> str:
    """The example's real store: every file of its companies."""
    found = hashlib.sha256()
    for path in sorted((folder / "companies").glob("*")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def touched(folder: Path) -> tuple[int, int]:
    with sqlite3.connect(f"file:{folder / 'companies' / 'harbour.sqlite'}?mode=ro", uri=True) as db:
        return tuple(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("calls", "effects"))


def real(folder: Path, profile: str, seed: int, at_once: int, repeats: int) -> dict:
    command = [
        sys.executable, "-m", "trimtab", "replay", "--set", f"default={BETTER}", "--over", str(REQUESTS), "--all",
        "--repeats", str(repeats), "--simulate", profile, "--seed", str(seed), "--at-once", str(at_once), "--json",
        "--dir", str(folder / f"replay-{Path(profile).stem}-{seed}"),
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT / "examples")}
    said = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def drawn(pools: dict[str, dict[str, list[bool]]], arms: tuple[str, str], seed: int, *, these: bool) -> tuple[str, int]:
    """Draw the outcomes of one replay and judge it as `trimtab replay` does: after each request until it is decided, or at the end."""
    chance = random.Random(seed)
    requests = sorted(pools[arms[0]])
    chance.shuffle(requests)
    names = ["control", "candidate", *requests]
    blocks: list[list[Seen]] = []
    for place, request in enumerate(requests):
        blocks.append(
            [
                Seen(
                    job=Job(place, arm, n, ""),
                    run_id="",
                    status="",
                    success=chance.choice(pools[arms[arm]][request]),
                    missed="",
                    notes=(),
                    cost=None,
                    tokens=0,
                    latency_s=0.0,
                    mismatches=0,
                    simulated=True,
                )
                for arm in (0, 1)
                for n in range(REPEATS)
            ]
        )
        if these and place + 1 < len(requests):
            continue
        verdict = judge(names, blocks, ALPHA, these=these).verdict.verdict
        if verdict != "undecided":
            break
    return verdict, len(blocks)


def most(worse: float, better: float) -> float:
    """How often the most powerful unbiased test of one look says which model is better, of all runs of 30 requests."""
    runs = 30 * REPEATS
    right = np.array([[comb(runs, n) * p**n * (1 - p) ** (runs - n) for n in range(runs + 1)] for p in (worse, better)])
    ways = [float(comb(runs, n)) for n in range(runs + 1)]
    found = 0.0
    for both in range(2 * runs + 1):
        counts = range(min(both, runs), max(0, both - runs) - 1, -1)
        dealt = np.array([ways[n] * ways[both - n] for n in counts])
        left = ALPHA / 2
        # From the largest count of the better model down, until half of alpha is used up.
        for n, chance in zip(counts, dealt / dealt.sum(), strict=True):
            found += min(left / chance, 1.0) * right[0, both - n] * right[1, n]
            left = max(left - chance, 0.0)
    return float(found)


def pools_of(reports: list[dict]) -> dict[str, dict[str, list[bool]]]:
    pools: dict[str, dict[str, list[bool]]] = {WORSE: {}, BETTER: {}}
    for report in reports:
        for line in report["outcomes"]:
            for model, arm in ((WORSE, "control"), (BETTER, "candidate")):
                pools[model].setdefault(line["request"], []).extend(line[arm])
    return pools


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--replays", type=int, default=6)
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--at-once", type=int, default=24)
    options.add_argument("--short", action="store_true", help="one real replay of each pair with 2 repeats, 50 seeds")
    options.add_argument("--keep", metavar="NAME", help="write the recorded outcomes to NAME-PROFILE.json")
    given = options.parse_args()
    if given.short:
        given.replays, given.seeds = 1, 50
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy(folder)
        (folder / "flawless.toml").write_text(FLAWLESS, "utf-8")
        (folder / "wide.toml").write_text(WIDE, "utf-8")
        profiles = ("mixed", str(folder / "flawless.toml"), str(folder / "wide.toml"))
        missed = [bar for profile in profiles for bar in measure(folder, profile, given)]
    print("\n".join(["", *(f"missed: {bar}" for bar in missed)]) if missed else "\nevery bar is met")
    return 1 if missed else 0


def measure(folder: Path, profile: str, given: argparse.Namespace) -> list[str]:
    reports: list[dict] = []
    first = ""
    began = time.monotonic()
    for seed in range(given.replays):
        reports.append(real(folder, profile, seed, given.at_once, 2 if given.short else REPEATS))
        first = first or fingerprint(folder)
    seconds = time.monotonic() - began
    runs = sum(report["runs"] for report in reports)
    same = fingerprint(folder) == first
    print(f"\n## profile {Path(profile).stem}: control {WORSE}, candidate {BETTER}")
    print(f"{given.replays} real replays, {runs} durable runs in {seconds:.0f} s ({runs / seconds:.1f} a second)")
    print(f"real effects: calls, effects in the example's store {touched(folder)}; its files byte-identical: {same}")
    for report in reports:
        arms = report["arms"]
        print(
            f"  seed {report['seed']}: {arms['control']['succeeded']} and {arms['candidate']['succeeded']} of "
            f"{arms['control']['runs']} right; {report['verdict']}, p of these requests {report['p_value_these_requests']:.2g}, "
            f"of requests like them {report['p_value_like_these']:.2g}"
        )
    pools = pools_of(reports)
    if given.keep:
        Path(f"{given.keep}-{Path(profile).stem}.json").write_text(json.dumps(pools), "utf-8")
    missed = [] if same and touched(folder) == (0, 0) else [f"{Path(profile).stem}: something real was touched"]
    rates = [float(np.mean([right for found in pools[model].values() for right in found])) for model in (WORSE, BETTER)]
    ceiling = most(*rates)
    print(f"success: {rates[0]:.1%} and {rates[1]:.1%}; the best unbiased test of one look finds that in {ceiling:.1%}")
    print(f"verdicts over {given.seeds} seeds, outcomes drawn from the runs above (not run anew):")
    for these, label in (
        (False, "requests like these (the default)"),
        (True, "these requests as if there were no others (--these)"),
    ):
        print(f" {label}")
        for what, (control, candidate, truth) in PAIRS.items():
            found = [drawn(pools, (control, candidate), seed, these=these) for seed in range(given.seeds)]
            counted = Counter(verdict for verdict, _ in found)
            shares = ", ".join(f"{word} {counted[word] / len(found):.1%}" for word in ("ship", "stop", "undecided"))
            print(f"  {what:18} {shares}; requests looked at, mean {sum(n for _, n in found) / len(found):.1f} of 30")
            missed += [f"{Path(profile).stem}, {label}, {what}: {bar}" for bar in below(counted, truth, ceiling)]
    return missed


def below(counted: Counter[str], truth: str, ceiling: float) -> list[str]:
    seeds = counted.total()
    if truth == "undecided":
        noise = 3 * (ALPHA * (1 - ALPHA) / seeds) ** 0.5
        wrong = 1 - counted[truth] / seeds
        return [f"told apart in {wrong:.1%}"] if wrong > ALPHA + noise else []
    missed = [f"{word} {counted[word]} times" for word in ("ship", "stop") if word != truth and counted[word]]
    if ceiling >= WANTED > counted[truth] / seeds:
        missed.append(f"{truth} in {counted[truth] / seeds:.1%}")
    return missed


if __name__ == "__main__":
    sys.exit(main())

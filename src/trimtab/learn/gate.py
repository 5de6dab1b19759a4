"""What the runs of one stage say about going on: pass, hold or fail. Pure: runs, limits and a time in, a word and its reason out.

fail  at any time when harm is shown: the goal is worse, a guardrail is beyond its limit, most runs fail or hang, or an alarm rings.
pass  when the hold is over and the goal and every guardrail are SHOWN to hold; each for itself (an intersection-union test: Berger,
      Technometrics 24, 1982), so that no level is shared among them.
hold  otherwise, and what is missing is said. No traffic is no evidence.

alpha of a wrong fail is `FAIL` over the life of a rollout, shared equally by its stages, in each between goal and guardrails as verdicts
share it (`decide.share`). A gate's chance of a wrong pass is `gate_asked.pass_level`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, exp, inf, isfinite, lgamma, log, sqrt
from typing import Literal, TypeAlias

from trimtab.core.values import Json
from trimtab.learn import gate_words as words
from trimtab.learn.decide import Shares, share
from trimtab.learn.gate_asked import Asked, asked, pass_level
from trimtab.learn.gate_effect import FEWEST, Effect, effect, multiplier
from trimtab.learn.gate_history import broken, broken_below, stuck_after
from trimtab.learn.gate_runs import Line, StageRuns
from trimtab.learn.metrics import Cohort, Outcome, Pending
from trimtab.policy.assign import TREATMENT
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec

Word: TypeAlias = Literal["pass", "hold", "fail"]
FAIL = 0.02  # half is the goal's: a change that is better otherwise and equal in it is ended in at most 1 % of rollouts
_BROKEN = 1000.0  # e-value; a sound map is far from it, so it takes nothing from FAIL
_MIXED = (
    1000.0  # e-value against "the arms got their shares": chance or a fault of the assignment, nothing passes on it
)
_FEW_BLOCKS = (
    2.0  # the variance of drift is known from some eight blocks: the square of Student's quantile over the normal one
)
_MOST_TIMES, _STEP = 1000.0, 0.02


@dataclass(frozen=True, slots=True)
class Gated:
    """The word, one sentence why, what would decide it ("": it is decided), and the figures as JSON."""

    word: Word
    reason: str
    missing: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Now:
    """What a look knows besides the runs with an outcome.

    `held`: since when the hold counts (None: it has not begun). `drawn`: runs of the old and of the new map that were accepted.
    `behind`: runs that ended and wait for a pending one before them.
    """

    now: datetime
    entered: datetime
    held: datetime | None
    pending: Sequence[Pending] = ()
    drawn: tuple[int, int] = (0, 0)
    alarms: Sequence[str] = ()
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One metric as it stands. `broken`: harm is shown; `holds`: it is shown to hold. `before`: so many runs it is compared with.

    So many times as many runs would show that it holds: `stays`, if what was seen stays so, `alike`, if the maps are alike (None: no
    number would).
    """

    asked: Asked
    effect: Effect | None = None
    low: float = -inf
    high: float = inf
    limit: float = 0.0
    e_value: float | None = None
    needed: float | None = None
    broken: bool = False
    holds: bool = False
    stays: float | None = None
    alike: float | None = None
    unknown: int = 0
    before: int = 0


@dataclass(slots=True)
class StageGate:
    """The gate of one stage (counted from 0), which takes in runs as they come.

    `history`: runs of its environment on the old map before it, the oldest first; one of `every` so many.
    """

    spec: RolloutSpec
    place: int
    history: Sequence[Outcome] = ()
    every: int = 1
    runs: StageRuns = field(init=False)

    def __post_init__(self) -> None:
        self.runs = StageRuns.of(asked(self.spec, self.place), self.stage.weight, self.history)

    @property
    def stage(self) -> StageSpec:
        """What the policy says of it."""
        return self.spec.stages[self.place]

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take in runs in the order of their assignment."""
        self.runs.add(outcomes)

    def look(self, seen: Now) -> Gated:
        """Say what the runs so far come to."""
        rows = [self._row(line, seen) for line in self.runs.lines]
        hangs = self._hanging(seen)
        evidence = self._evidence(rows, seen, hangs)
        if harm := [*seen.alarms, *self._broken(hangs), *(words.harm(r, self._level) for r in rows if r.broken)]:
            return Gated("fail", "; ".join(harm), "", evidence)
        told = "; ".join(words.figures(row, self._level) for row in rows if row.effect)
        if missing := self._missing(rows, seen):
            return Gated("hold", told or "no figures yet", missing, evidence)
        return Gated("pass", told or f"held for {words.span(self.stage.hold)}", "", evidence)

    # -- harm ------------------------------------------------------------------------------------------------------

    @property
    def _shares(self) -> Shares:
        return share(FAIL / len(self.spec.stages), len(self.runs.lines) - 1)

    @property
    def _level(self) -> float:
        return pass_level(self.spec, self.place)

    def _hanging(self, seen: Now) -> int:
        """Count the runs that hang on the new map, and not because all do: those beside them on the old one would hang as often."""
        after = stuck_after(self.runs.latencies) if seen.pending else None
        if after is None:
            return 0
        arms = [p.arm for p in seen.pending if seen.now - (p.due - self.spec.deadline) > after]
        hangs, weight = arms.count(TREATMENT), min(self.stage.weight, 1.0)
        return hangs if (len(arms) - hangs) * weight < hangs * (1 - weight) / 2 or not self.runs.beside else 0

    def _broken(self, hangs: int) -> list[str]:
        below = broken_below(*self.runs.usual)
        # Runs beside tell a broken map from a broken environment: there the bets see to what failed.
        failed = 0 if self.runs.beside else self.runs.runs[1] - self.runs.good
        if broken(self.runs.good, failed + hangs, below) < _BROKEN:
            return []
        return [words.broken(self.runs.good, self.runs.runs[1], hangs, self.runs.usual)]

    def _compared(self, line: Line) -> Effect | None:
        drift = 0.0 if line.past is None else line.past.drift(line.arms[1].runs / self.every)
        return effect(line.asked, *line.arms, drift)

    def _harms(self, line: Line, found: Effect, alpha: float) -> bool:
        """Whether the interval shows harm: where nothing can be bet on, as of every comparison with before."""
        one, times = line.asked, multiplier(alpha, line.arms[1].runs, FEWEST)
        harm = -found.room(one.as_effect(one.harm, found.control))
        if harm < times * sqrt(found.noise + found.noise_before + _FEW_BLOCKS * found.drift):
            return False
        # What fell just before the stage began did not fall because of it.
        since = line.past and effect(one, line.past.recent, line.arms[1])
        return since is None or -since.room(one.as_effect(one.harm, since.control)) >= harm / 2

    def _row(self, line: Line, seen: Now) -> Row:
        one, treated = line.asked, line.arms[1].runs
        found = None if line.unknown or (line.past is None and not self.runs.beside) else self._compared(line)
        alpha = self._shares.goal if one.is_goal else self._shares.guardrail
        e_value, needed = (None, None) if line.bet is None else (line.bet.e_value, 1 / alpha)
        if found is None:
            is_harm = e_value is not None and needed is not None and not line.unknown and e_value >= needed
            return Row(one, None, e_value=e_value, needed=needed, broken=is_harm, unknown=line.unknown)
        begin = self.runs.begin(None if seen.held is None else seen.held + self.stage.hold)
        times = multiplier(self._level, treated, max(FEWEST, begin))
        limit, reach = one.as_effect(one.shown, found.control), times * found.spread
        enough = min(arm.runs for arm in line.arms) >= FEWEST
        low, high = found.ends(reach) if enough else (-inf, inf)
        if needed is None:
            is_harm = enough and not self.runs.too_little and self._harms(line, found, alpha)
        else:
            is_harm = e_value is not None and e_value >= needed
        room = found.room(limit)
        holds = enough and room >= reach
        stays, alike = (
            None if holds else _more_runs(found, there, treated, self.runs, times)
            for there in (room, found.even(limit))
        )
        before = 0 if self.runs.beside else line.arms[0].runs
        return Row(one, found, low, high, limit, e_value, needed, is_harm, holds, stays, alike, line.unknown, before)

    # -- what is missing -------------------------------------------------------------------------------------------

    def _missing(self, rows: Sequence[Row], seen: Now) -> str:
        """Say what stands between this and a pass ("": nothing)."""
        counted = sum(self.runs.runs) if self.runs.beside else self.runs.runs[1]
        until = None if seen.held is None else seen.held + self.stage.hold
        hold = "" if until and seen.now >= until else words.hold(self.stage.hold, until)
        if self.stage.gate == "health":
            return hold
        parts = [hold] if hold else []
        if not self.runs.runs[1]:
            parts.append(words.no_traffic(self.stage, seen))
        elif mixed := _mixed(seen.drawn, self.stage.weight):
            parts.append(words.mixed(seen.drawn, self.stage.weight, mixed))
        elif self.runs.too_little:
            parts.append(words.too_little(self.stage, self.runs.too_little))
        elif open_ := [row for row in rows if not row.holds]:
            rate = counted / max((seen.now - seen.entered).total_seconds(), 1.0)
            fewest = min(self.runs.runs) if self.runs.beside else self.runs.runs[1]
            pace = words.Pace(counted, self.runs.runs[1], rate, seen.now, FEWEST - fewest)
            parts.append(words.not_shown(open_, pace, self._level, self.stage.environment))
        parts += [words.behind(seen.behind)] if seen.behind and parts else []
        return "; ".join(parts)

    def _evidence(self, rows: Sequence[Row], seen: Now, hangs: int) -> Mapping[str, Json]:
        shares = self._shares
        return {
            "comparison": "side by side" if self.runs.beside else "with before",
            "runs": {
                "control": self.runs.runs[0] if self.runs.beside else len(self.history),
                "treatment": self.runs.runs[1],
                "pending": len(seen.pending),
                "behind": seen.behind,
                "hanging": hangs,
            },
            "alpha": {
                "fail": FAIL,
                "fail_here": {"goal": shares.goal, "each_guardrail": shares.guardrail},
                "pass": self._level,
            },
            "alarms": list(seen.alarms),
            "metrics": {row.asked.metric.name: words.as_json(row) for row in rows},
        }


def gate(
    cohort: Cohort,
    spec: RolloutSpec,
    place: int,
    *,
    entered: datetime,
    now: datetime,
    held: datetime | None = None,
    baseline: Sequence[Outcome] = (),
    alarms: Sequence[str] = (),
) -> Gated:
    """Ask the gate of a stage (`place` counts from 0) about the runs of exactly that stage.

    `held`: since when its hold counts (None: since it was entered). `baseline`: runs of the environment on the old map before the
    stage, the oldest first; a stage with all of the traffic is compared with them. `alarms`: each ends the rollout.
    """
    stage = StageGate(spec, place, baseline)
    stage.add(cohort.counted)
    return stage.look(Now(now, entered, held or entered, cohort.pending, drawn(cohort), alarms, cohort.behind))


def drawn(cohort: Cohort) -> tuple[int, int]:
    """Count the runs that were put on the old and on the new map, whether they have an outcome or not."""
    treated = sum(arm == TREATMENT for arm, _ in cohort.drawn)
    return len(cohort.drawn) - treated, treated


def _mixed(drawn: tuple[int, int], weight: float) -> float:
    """Give the e-value against "each run had the stage's weight as its chance" where it is an alarm, else 0.

    The Beta-binomial e-process of `SrmBet`, in its closed form for one weight (Lindon, Malek, NeurIPS 2022).
    """
    if not 0.0 < weight < 1.0:
        return 0.0
    control, treated = drawn
    a, b = 80.0 * weight, 80.0 * (1 - weight)
    log_e = lgamma(a + treated) + lgamma(b + control) - lgamma(80.0 + treated + control)
    log_e += lgamma(80.0) - lgamma(a) - lgamma(b) - treated * log(weight) - control * log(1 - weight)
    return min(2.0 ** min(log_e / log(2), 1000.0), 1e300) if log_e >= log(_MIXED) else 0.0


def _more_runs(found: Effect, room: float, treated: int, runs: StageRuns, times: float) -> float | None:
    """Say how many times as many runs would show that the limit holds, if all stays as it is; None: no number would."""
    if room <= 0:
        return None

    def shown(factor: float) -> bool:
        before = found.noise_before / (factor if runs.beside else 1.0)
        grown = (times**2 + log(factor)) * (found.noise / factor + before + found.drift)
        return isfinite(grown) and room**2 >= grown

    # Whole powers of a factor, of which none is wanted more exactly than by 2 %; more runs never show less.
    least, most = 0, ceil(log(_MOST_TIMES) / _STEP)
    if not shown(exp(most * _STEP)):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if shown(exp(middle * _STEP)) else (middle + 1, most)
    return max(exp(most * _STEP), FEWEST / treated)

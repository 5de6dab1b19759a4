"""What advice is made of: the map as it is, what its traffic costs on each model, and what experiments measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from trimtab.cli.advice import Where
from trimtab.cli.cost_advise_spent import Spent
from trimtab.cli.cost_models import PriceBook
from trimtab.cli.experiment_found import find, measured_now
from trimtab.cli.policy_rollouts import Map, map_of
from trimtab.core.errors import UsageError
from trimtab.core.measures import RunMeasure
from trimtab.journal.reader import Journal
from trimtab.learn import intervals
from trimtab.learn.advise import Effect, read
from trimtab.learn.forecast import DAYS_A_MONTH
from trimtab.learn.intervals import Interval
from trimtab.learn.portfolio import Change, Choice, by_estimate, choose, frontier
from trimtab.policy.problems import dotted
from trimtab.policy.resolve import has_model
from trimtab.policy.spec import DEFAULT_ENVIRONMENT, DEFAULT_ROLE, Policy

PLANNED = 500
NOTHING_KNOWN = Interval(float("nan"), float("-inf"), float("inf"), 0.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What advice was asked for. `cap` dollars a month; `floor` share of runs; `over` is the span as it was written."""

    cap: Decimal
    floor: Decimal | None
    since: datetime
    over: str
    experiment: str | None
    environment: str | None
    alpha: float
    where: Where


@dataclass(frozen=True, slots=True)
class Unknown:
    """A change whose effect on success was not measured: what it would add in dollars a month (None: no price), and what measures it."""

    role: str
    before: str
    after: str
    usd: Decimal | None
    command: str


@dataclass(frozen=True, slots=True)
class Advised:
    """The map as it is, the choices there are, and the one that is advised (None: none fits).

    table:    the table of the policy that is for this environment.
    usd:      dollars a month of the map as it is. success: of its runs.
    measured: every change that could be made. choices: sets of them; each costs more than the one before and is known to gain more.
    hopeful:  the choice that would fit if estimates were the truth, where none is known to.
    """

    asked: Asked
    environment: str
    table: str
    current: Mapping[str, str]
    runs_a_month: float
    usd: Decimal
    success: Interval
    measured: Sequence[Change]
    choices: Sequence[Choice]
    chosen: Choice | None
    hopeful: Choice | None
    unknown: Sequence[Unknown]
    warnings: Sequence[str]


def find_advice(book: PriceBook, store: Path, asked: Asked) -> Advised:
    """Find the best choice. Raises UsageError where there is no policy, no traffic to price, or it has no price."""
    policy = book.policy
    if policy is None:
        raise UsageError("there is no policy here: which model plays each role now?", hint="--policy trimtab.toml")
    environment = _environment(store, asked)
    effects, warnings = _effects_of(store, asked, environment)
    spent = Spent.read(
        book, store, asked.since, environment, {m for e in effects for m in (*e.before.values(), *e.after.values())}
    )
    # One that has gone from the application may still have runs.
    staffed = [role for role in spent.roles if has_model(policy, environment, role)]
    # Where there is none, the policy says what it lacks.
    there = map_of(policy, environment, store, staffed or spent.roles)
    current = {role: there.now.choices[role].model for role in staffed}
    usd = sum((_priced(spent, role, model) for role, model in current.items()), Decimal(0))
    usable, left = _usable(policy, effects, current)
    changes, more = _changes(policy, spent, usable)
    success = _success(store, asked, environment, current)
    choices = frontier(changes)
    most, least = asked.cap - usd, float("-inf") if asked.floor is None else float(asked.floor) - success.low
    chosen = choose(choices, most, least)
    hopeful = None
    if chosen is None and asked.floor is not None:
        hopeful = choose(frontier(changes, by_estimate), most, float(asked.floor) - success.estimate, by_estimate)
    return Advised(
        asked,
        environment,
        # Under [roles] a change would reach every environment, and none that has a table of its own.
        dotted(("environments", environment, "roles")) if policy.environments else "roles",
        current,
        spent.runs / float(spent.days) * DAYS_A_MONTH,
        usd,
        success,
        changes,
        choices,
        chosen,
        hopeful,
        sorted(
            _unknown(policy, asked, environment, spent, current, usable),
            key=lambda u: (u.usd is None, u.usd or Decimal(0)),
        ),
        [*warnings, *left, *more, *spent.warnings, *_against(spent, usable), *_moved(there), *_gone(spent, current)],
    )


# -- what was measured ---------------------------------------------------------------------------------------------


def _effects_of(store: Path, asked: Asked, environment: str) -> tuple[list[Effect], list[str]]:
    """Read the effects, the newest experiment last, and what is to be known of them."""
    with Journal(store) as journal:
        moves = sorted(journal.experiments(), key=lambda move: move.at)
    names = [asked.experiment] if asked.experiment else [move.name for move in moves]
    effects: dict[object, Effect] = {}
    warnings: list[str] = []
    for name in names:
        found = find(name, store)
        # Half of alpha is for the success as it is, half is shared by the experiments whose effects are added up.
        measured = measured_now(found, asked.alpha / 2 / len(names))
        with Journal(store) as journal:
            runs = journal.measures(experiment=name)
        told = read(measured, runs, sorted({role for run in runs for role in run.roles}))
        warnings += told.notes
        if told.effects and found.spec.environment != environment:
            warnings.append(f"experiment {name!r} was measured in {found.spec.environment}, not in {environment}")
        for effect in told.effects:
            change = (tuple(effect.before.items()), tuple(effect.after.items()))
            if change in effects:
                both = f"{effects[change].experiment!r} and {name!r}"
                warnings.append(f"experiments {both} measured the same change: the newer one counts")
            effects[change] = effect
    return list(effects.values()), warnings


def _usable(policy: Policy, effects: Sequence[Effect], current: Mapping[str, str]) -> tuple[list[Effect], list[str]]:
    found = [(effect, effect.from_(current)) for effect in effects]
    left = [
        f"experiment {effect.experiment!r}: {_in_words(policy, effect.before, effect.after)}: the policy has neither now, or the role was not asked"
        for effect, seen in found
        if seen is None
    ]
    return [seen for _, seen in found if seen], left


def _changes(policy: Policy, spent: Spent, effects: Iterable[Effect]) -> tuple[list[Change], list[str]]:
    changes, warnings = list[Change](), list[str]()
    for effect in effects:
        usd, text = spent.added(effect), _in_words(policy, effect.before, effect.after)
        if usd is None:
            warnings.append(f"{text}: left out, a price it needs is not known")
            continue
        success = effect.success
        models = tuple(effect.after.items())
        changes.append(Change(frozenset(effect.after), usd, success.estimate, success.low, success.high, text, models))
    return changes, warnings


def _against(spent: Spent, effects: Iterable[Effect]) -> Iterator[str]:
    """Say where the dollars that an experiment measured are not those that recorded tokens come to."""
    for effect in effects:
        usd = spent.added(effect)
        if usd is None or effect.dollars is None:
            continue
        a_run = float(usd) / (spent.runs / float(spent.days) * DAYS_A_MONTH)
        if a_run not in effect.dollars:
            roles = " and ".join(effect.after)
            yield (
                f"{roles}: the same tokens come to ${a_run:+.4f} a run, experiment {effect.experiment!r} measured "
                f"${effect.dollars.low:+.4f} to ${effect.dollars.high:+.4f}: the models use other tokens, and the cap was held with the same"
            )


def _unknown(
    policy: Policy, asked: Asked, environment: str, spent: Spent, current: Mapping[str, str], usable: Sequence[Effect]
) -> Iterator[Unknown]:
    there = () if environment == DEFAULT_ENVIRONMENT else ("--environment", environment)
    measured = {(role, model) for effect in usable if len(effect.after) == 1 for role, model in effect.after.items()}
    candidates = {*spent.models, *policy.models.values()}
    for role, before in current.items():
        for model in sorted(candidates - {before}):
            if (role, model) in measured:
                continue
            now, then = spent.monthly(role, before), spent.monthly(role, model)
            usd = None if now is None or then is None else then - now
            name = _alias(policy, model)
            command = asked.where.command("replay", "--set", f"{role}={name}", "--over", asked.over, *there)
            yield Unknown(role, before, model, usd, command)


# -- what it is now ------------------------------------------------------------------------------------------------


def _gone(spent: Spent, current: Mapping[str, str]) -> list[str]:
    gone = ", ".join(role for role in spent.roles if role not in current)
    return [f"the policy gives {gone} no model now: what was spent on that is left out"] if gone else []


def _moved(there: Map) -> Iterator[str]:
    """Say where a rollout decides what all new runs, or a part of them, get, and the file says otherwise."""
    for moved in there.rollouts:
        brought = [role for role in there.file.choices if moved.roles & {role, DEFAULT_ROLE}]
        if moved.reaches is None or all(there.reached.choices[r] == there.file.choices[r] for r in brought):
            continue
        name, share = moved.fact.name, moved.reaches.weight
        if share < 1:
            yield f"rollout {name!r} reaches {share * 100:.4g} % of the new runs: all that is said here is said of the others"
        else:
            yield f"rollout {name!r} is in force: {', '.join(brought)} as it brought it, which the file does not say"


def _success(store: Path, asked: Asked, environment: str, current: Mapping[str, str]) -> Interval:
    with Journal(store) as journal:
        runs = journal.measures(since=asked.since, environment=environment)
    right = [float(run.success) for run in runs if run.settled is not None and _is_on(run, current)]
    if not right:
        return NOTHING_KNOWN
    told = intervals.mean(np.array(right), alpha=asked.alpha / 2, planned=PLANNED)
    if len(set(right)) > 1:
        return told
    # Runs that all ended alike have no spread, and are no proof that all will: one of each kind is imagined, as in `measure`.
    wider = intervals.mean(np.array([0.0, 1.0, *right]), alpha=asked.alpha / 2, planned=PLANNED)
    return replace(told, low=min(told.low, wider.low), high=max(told.high, wider.high))


def _is_on(run: RunMeasure, current: Mapping[str, str]) -> bool:
    return all(run.roles.get(role, model) == model for role, model in current.items())


def _environment(store: Path, asked: Asked) -> str:
    if asked.environment:
        return asked.environment
    if asked.experiment:
        return find(asked.experiment, store).spec.environment
    with Journal(store) as journal:
        found = [name for name in journal.environments() if journal.runs_since(asked.since, name)[0]]
    if len(found) != 1:
        said = f"runs of {', '.join(found)}" if found else "no run in this time"
        raise UsageError(f"{str(store)!r} has {said}: whose roles?", hint="--environment NAME")
    return found[0]


def _priced(spent: Spent, role: str, model: str) -> Decimal:
    usd = spent.monthly(role, model)
    if usd is None:
        text = f"{role} is on {model!r}, whose price is not known: a cap cannot be held"
        raise UsageError(text, hint="trimtab models check")
    return usd


def _alias(policy: Policy, model: str) -> str:
    return next((name for name, id_ in sorted(policy.models.items()) if id_ == model), model)


def _in_words(policy: Policy, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return ", ".join(f"{role} {_alias(policy, before[role])} -> {_alias(policy, after[role])}" for role in after)

"""What the doctor reads of the journal: whether it can be read, and whether the policy's models are those that answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from trimtab.core.errors import TrimtabError
from trimtab.core.finding import Checked, Finding
from trimtab.core.same_model import other_model
from trimtab.journal.answers import LastAnswer, last_answers
from trimtab.journal.reader import Journal
from trimtab.policy.spec import DEFAULT_ROLE, Policy

_LATELY = timedelta(days=7)


def journal_line(store: Path, now: datetime) -> Checked:
    """Say what the journal holds, or why it cannot be read."""
    try:
        with Journal(store) as journal:
            runs, _ = journal.runs_since(None)
            half, newest = journal.half_done(100), journal.runs(1)
    except TrimtabError as error:
        return Checked(
            "journal", "cannot be read", (Finding(error.message, str(store), mend=error.hint, weight="error"),)
        )
    last = f", the last accepted {_ago(now - newest[0].accepted_at)}" if newest else ""
    what = f"{len(half)} run{'s' * (len(half) != 1)} stand{'s' * (len(half) == 1)} half done"
    found = (
        [
            Finding(
                what,
                str(store),
                "something they wrote stands, and they go no further",
                f"trimtab runs list --half-done --store {store}",
            )
        ]
        if half
        else []
    )
    return Checked("journal", f"{store}: {runs:,} run{'s' * (runs != 1)}{last}", tuple(found))


def answers_of(store: Path) -> list[LastAnswer]:
    """Give the newest answers of the journal; none where it cannot be read, which another check says."""
    try:
        with Journal(store) as journal:
            return journal.read(last_answers)
    except TrimtabError:
        return []


def drift(policy: Policy, answers: Sequence[LastAnswer], now: datetime) -> Iterator[Finding]:
    """Find roles whose last answer came from another model than was asked for, or than any the policy has for them."""
    for answer in answers:
        if now - answer.at > _LATELY:
            continue
        where = f"{answer.role} in {answer.environment}{f' on {answer.host}' if answer.host else ''}"
        if other_model(answer.requested, answer.response):
            yield Finding(
                f"{answer.role} asked for {answer.requested} and {answer.response} answered",
                where,
                f"at {answer.at:%Y-%m-%d %H:%M} UTC: what was measured or paid for is another model",
                "see who changes the model between here and the provider: a gateway, or a name that means another",
                "error",
            )
        elif (wanted := _wanted(policy, answer)) and answer.requested not in wanted:
            yield Finding(
                f"{answer.role} last ran on {answer.requested}; the policy has {' or '.join(sorted(wanted))} for it",
                where,
                f"at {answer.at:%Y-%m-%d %H:%M} UTC, under another policy, or one that was changed since",
                "trimtab policy show --explain; a worker reads its policy when it starts",
            )


def _wanted(policy: Policy, answer: LastAnswer) -> set[str]:
    """Give every model that the policy may have the role run on in that environment; none where it says nothing of it."""
    there = policy.environments.get(answer.environment)
    tables = [*([there.roles] if there else []), policy.roles]
    of_experiments = [
        changes
        for spec in policy.experiments.values()
        if spec.environment == answer.environment
        for changes in (spec.factors, *spec.arms.values())
    ]
    of_rollouts = [
        spec.set
        for spec in policy.rollouts.values()
        if any(stage.environment == answer.environment for stage in spec.stages)
    ]
    chain = [spec for table in tables for name in (answer.role, DEFAULT_ROLE) if (spec := table.get(name))]
    named = [spec for spec in chain if spec.model][:1]
    changes = (*of_experiments, *of_rollouts)
    also = [spec for table in changes for name in (answer.role, DEFAULT_ROLE) if (spec := table.get(name))]
    models = [m for spec in (*named, *also) for m in (spec.model, *(spec.escalate or ())) if m]
    models += [m for spec in chain for m in spec.escalate or ()]
    return {policy.model_id(model) for model in models} if named else set()


def _ago(gone: timedelta) -> str:
    minutes = int(gone.total_seconds() // 60)
    steps = ((1440, "day"), (60, "hour"), (1, "minute"))
    count, unit = next(((minutes // size, word) for size, word in steps if minutes >= size), (0, "minute"))
    return f"{count} {unit}{'s' * (count != 1)} ago"

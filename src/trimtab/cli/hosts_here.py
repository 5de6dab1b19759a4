"""This machine beside the hosts of the policy: its Claude Code terminal, and the roles of runs whose answers are in its store."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from trimtab.cli.hosts_rows import Row, State
from trimtab.cli.hosts_wanted import Wanted, wanted_of
from trimtab.cli.rollout_words import plain
from trimtab.core.moves import ExperimentFact, RolloutFact
from trimtab.core.same_model import other_model
from trimtab.journal.answers import LastAnswer, last_answers
from trimtab.journal.newest import newest
from trimtab.journal.reader import Journal
from trimtab.policy.assign import in_force
from trimtab.policy.spec import DEFAULT_ENVIRONMENT, DEFAULT_ROLE, TERMINAL_ROLE, Policy

HERE = "this machine"


def rows_here(store: Path, policy: Policy) -> list[Row]:
    """Look at this machine; nothing is asked of anybody."""
    answers, (tried, moves) = _answers(store), newest(store)
    places = dict.fromkeys([DEFAULT_ENVIRONMENT, *(answer.environment for answer in answers)])
    rows = [row for environment in places for row in _roles(policy, environment, answers, tried, moves)]
    return [*_terminal(policy, moves), *rows]


def _answers(store: Path) -> list[LastAnswer]:
    if not store.exists():
        return []
    with Journal(store) as journal:
        return journal.read(last_answers)


def _roles(
    policy: Policy,
    environment: str,
    answers: Sequence[LastAnswer],
    tried: Sequence[ExperimentFact],
    moves: Sequence[RolloutFact],
) -> Iterator[Row]:
    last = {answer.role: answer for answer in answers if answer.environment == environment}
    # An environment whose runs are on other hosts has roles there, not here.
    roles = {*last, *(policy.roles if environment == DEFAULT_ENVIRONMENT else ())} - {DEFAULT_ROLE}
    wanted = wanted_of(policy, environment, roles, tried, moves)
    for role in sorted(roles):
        answer, models = last.get(role), wanted.get(role)
        state, why = _judged(answer, models)
        yield Row(
            environment=environment,
            group=HERE,
            host=(answer.host if answer else "") or socket.gethostname(),
            role=role,
            wanted=models.models if models else (),
            configured=models.models if models else (),
            answered=answer.response if answer else None,
            at=answer.at if answer else None,
            state=state,
            why=why,
        )


def _judged(answer: LastAnswer | None, wanted: Wanted | None) -> tuple[State, str]:
    if answer is None:
        return "fine", ""
    if other_model(answer.requested, answer.response):
        return "drift", f"{plain(answer.requested)} was asked and {answer.response} answered"
    if wanted is None:
        return "fine", "the policy says nothing of it"
    if not wanted.allows(answer.requested, answer.at):
        return "drift", f"the last answer is of {plain(answer.requested)}"
    told = f"the last answer is of {plain(answer.requested)}, which is allowed"
    return "fine", "" if answer.requested in wanted.models else told


def _terminal(policy: Policy, moves: Sequence[RolloutFact]) -> Iterator[Row]:
    """Look at the terminal of whoever runs this, where one is installed or the policy says what it is to run."""
    from trimtab.terminal.place import Place
    from trimtab.terminal.resolve import resolve as resolve_terminal
    from trimtab.terminal.sessions import latest
    from trimtab.terminal.versions import installed

    place = Place.here()
    version = installed(env=os.environ)[1]
    reaching = [
        one.changes[TERMINAL_ROLE].model for one in in_force(DEFAULT_ENVIRONMENT, moves) if TERMINAL_ROLE in one.changes
    ]
    wanted = [plain(model) for model in (*reaching, policy.terminal.model) if model][:1]
    if version is None and not wanted:
        return
    runs = resolve_terminal(place, version).model
    session = latest(place.transcripts)
    drift = bool(wanted and runs not in wanted)
    yield Row(
        environment=DEFAULT_ENVIRONMENT,
        group=HERE,
        host=socket.gethostname(),
        role=TERMINAL_ROLE,
        wanted=tuple(wanted),
        configured=(runs,) if runs else (),
        answered=session.model if session and session.model else None,
        at=None,
        state="drift" if drift else "fine",
        why=f"a fresh session would run {runs or 'nothing'}" if drift else "",
    )

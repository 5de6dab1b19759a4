"""`trimtab runs resume`: a person lets stalled runs go on, with more to use or on other models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.advice import RESUMABLE, Where, called, hint_worker
from trimtab.cli.options import by_whom, find_store, json_option, load_policy, policy_option, store_option
from trimtab.core.errors import UsageError
from trimtab.core.outcome import Status

if TYPE_CHECKING:
    from trimtab.journal.lines import RunDetail

MOST = 1_000_000


@click.command()
@click.argument("run", required=False)
@click.option(
    "--status", type=click.Choice([str(s) for s in RESUMABLE]), help="In place of RUN: every run that stands so."
)
@click.option(
    "--raise",
    "raised",
    multiple=True,
    metavar="CAP=AMOUNT",
    help="For these runs: usd_per_run=0.50, turns_per_day=40, ...",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="ROLE=MODEL",
    help="For these runs: a model by its alias or provider:full-id.",
)
@by_whom("Who lets it go on; kept with the run.")
@policy_option
@store_option
@json_option
def resume(
    run: str | None,
    status: str | None,
    raised: tuple[str, ...],
    models: tuple[str, ...],
    by: str,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Let RUN go on where it waits for a person, a budget or a credential. A worker takes it up at once, or at its next start."""
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal

    if (run is None) == (status is None):
        raise UsageError("which run?", hint="give RUN, or --status for every run that stands so")
    caps, chosen = _pairs("--raise", raised, "usd_per_run=0.50"), _models(models, policy_file)
    path = find_store(store, policy_file)
    with Journal(path) as journal:
        lines = journal.runs(MOST, status=status) if run is None else []
        given = [line.run_id for line in lines if not line.final] if run is None else [run]
        found = [journal.run(one) for one in given]
    for detail in found:
        _check_roles(detail, chosen)
    resumed = [(detail, _resume(path, detail, by, caps, chosen)) for detail in found]
    if as_json:
        print_json([{"run_id": d.line.run_id, "status": d.line.status, "resumed": not why} for d, why in resumed])
    else:
        for detail, why in resumed:
            click.echo(f"{detail.line.run_id}: {why or 'goes on'}")
        if not all(why for _, why in resumed):
            click.echo(hint_worker(Where(store, policy_file)), err=True)
        if not resumed:
            click.echo(f"no run waits as {status}")
    return NOT_FINE if any(why for _, why in resumed) else FINE


def _resume(path: Path, detail: RunDetail, by: str, caps: dict[str, str], models: dict[str, str]) -> str:
    """Let one run go on; gives why it did not, or nothing."""
    from trimtab.word import resume_elsewhere

    line = detail.line
    if line.final:
        return f"nothing was changed: it ended as {line.status}"
    if line.status not in RESUMABLE and not (detail.outcome and detail.outcome.error):
        return f"nothing was changed: it is {line.status}, which does not wait for that"
    if waits := _word_about(detail):
        return f"nothing was changed: it waits for word about {waits}"
    if (before := detail.resumes[-1:]) and detail.outcome and before[0].at > detail.outcome.at and not (caps or models):
        return f"nothing was changed: {before[0].by} let it go on already, and no worker has taken it up"
    went = resume_elsewhere(path, line.run_id, by=by, raised=caps, models=models)
    return "" if went else "nothing was changed: it ended meanwhile"


def _word_about(detail: RunDetail) -> str:
    """Name what a run waits for where nothing of it would go on by being resumed."""
    unknown = [effect for effect in detail.effects if effect.state == "unknown"]
    goes_on = any(effect.state == "uncompensated" for effect in detail.effects)
    goes_on = goes_on or any(subtask.state in ("stuck", "delayed") for subtask in detail.subtasks)
    if goes_on or not unknown or detail.line.status != Status.NEEDS_YOU:
        return ""
    return ", ".join(f"{called(effect)} (trimtab effects settle {effect.key})" for effect in unknown)


def _pairs(option: str, given: Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UsageError(f"{option} {text!r}: expected NAME=VALUE", hint=f"{option} {example}")
        pairs[name] = value
    return pairs


def _models(given: Sequence[str], policy_file: str) -> dict[str, str]:
    pairs = _pairs("--model", given, "payment=anthropic:claude-haiku-4-5")
    policy = load_policy(policy_file) if pairs and Path(policy_file).exists() else None
    full = {role: policy.model_id(model) if policy else model for role, model in pairs.items()}
    for role, model in full.items():
        if ":" not in model:
            known = ", ".join(sorted(policy.models)) if policy else ""
            hint = f"aliases of {policy_file}: {known}" if known else "give it as provider:full-id"
            raise UsageError(f"--model {role}: {model!r} is no alias and no provider:full-id", hint=hint)
    return full


def _check_roles(detail: RunDetail, models: dict[str, str]) -> None:
    roles = detail.exposure.roles if detail.exposure else None
    known = sorted(roles) if isinstance(roles, dict) else []
    if unknown := [role for role in models if role not in known]:
        raise UsageError(f"run {detail.line.run_id} has no role {unknown[0]!r}", hint=f"it has {', '.join(known)}")

"""`trimtab replay`: would another role map have done better on these requests?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE
from trimtab.cli.options import (
    app_option,
    environment_option,
    json_option,
    load_callable,
    load_policy,
    load_workflows,
    needs_extra,
    policy_option,
    store_option,
)
from trimtab.cli.replay_models import Simulated, models_of
from trimtab.core.errors import UsageError
from trimtab.core.values import Json, digest

if TYPE_CHECKING:
    from trimtab.app import App
    from trimtab.replay.play import Played, Replay
    from trimtab.replay.requests import Asked
    from trimtab.replay.stage import SandboxStage, Stage


@click.command()
@click.option("--set", "sets", multiple=True, metavar="ROLE=MODEL", help="What the candidate changes; again for more.")
@click.option("--over", required=True, metavar="last-30d|FILE", help="Recorded requests, or JSONL with one a line.")
@click.option("--repeats", type=click.IntRange(1, 1000), default=3, show_default=True, help="Runs of a request an arm.")
@click.option("--usd-cap", metavar="DOLLARS", help="Stop before more than that is spent.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="The chance of a wrong verdict.")
@click.option("--all", "whole", is_flag=True, help="Make every run, even when it is decided before.")
@click.option("--these", is_flag=True, help="Judge these requests as if there were no others; needs every run.")
@click.option("--tape", is_flag=True, help="Answer tools from the recorded runs, not from the policy's app.sandbox.")
@click.option("--workflow", "named", metavar="NAME", help="Whose requests FILE holds, where there are several.")
@click.option("--seed", type=int, default=0, show_default=True, help="The order; another one is another replay.")
@click.option("--at-once", type=click.IntRange(1, 64), default=8, show_default=True, help="Runs under way at once.")
@click.option("--simulate", "profile", metavar="NAME|FILE", help="Ask simulated models of this profile, at no cost.")
@click.option("--book", metavar="FILE", help="What simulated models answer.  [default: the charter example's]")
@click.option("--pace", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Of simulated models.")
@click.option("--yes", is_flag=True, help="Do not ask before spending money.")
@click.option("--dir", "folder", metavar="DIR", help="Where the replay is kept; one that was stopped goes on.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to read.")
@app_option
@policy_option
@environment_option
@store_option
@json_option
def replay(
    sets: Sequence[str],
    over: str,
    repeats: int,
    usd_cap: str | None,
    alpha: float,
    whole: bool,
    these: bool,
    tape: bool,
    named: str | None,
    seed: int,
    at_once: int,
    profile: str | None,
    book: str | None,
    pace: float,
    yes: bool,
    folder: str | None,
    html: Path | None,
    factory: str | None,
    policy_file: str,
    environment: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Run requests again on the policy's role map and on a changed one, in a world where nothing is real, and compare.

    Tools answer from the tape of the recorded run, or from a sandbox that the application makes. Stopped or killed, it goes on
    where it was when it is started again the same way; what was made is not paid twice.
    """
    try:
        from trimtab.replay.play import Replay, claim
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "trimtab replay") from missing
    from trimtab.app import App
    from trimtab.learn.decide import share
    from trimtab.policy.load import check
    from trimtab.replay.arms import make_arms, read_changes

    share(alpha, 0)
    cap, policy = _dollars(usd_cap), load_policy(policy_file)
    app = App(*load_workflows(policy, factory), policy=policy, store=store, environment=environment)
    check(policy, app.roles)
    arms = make_arms(app, read_changes(policy, sets, app.roles))
    asked, notes = _asked(app, over, named)
    simulated = Simulated(profile, book, pace) if profile else None
    what: Json = {
        "arms": [arm.as_json() for arm in arms],
        "environment": environment,
        "requests": [[a.id, a.workflow, a.recorded, digest(a.given)] for a in asked],
        "repeats": repeats,
        "seed": seed,
        "tape": tape,
        "models": f"simulated: {profile}, {book}, {pace:g}" if profile else "real",
    }
    place = Path(folder) if folder else _state_folder(digest(what))
    made = Replay(
        app=app,
        folder=place,
        asked=asked,
        arms=arms,
        stage=_stage(app, asked, place, tape=tape),
        scorer=load_callable(policy, policy.app.score, "app.score") if policy.app.score else None,
        repeats=repeats,
        seed=seed,
        cap=cap,
        alpha=alpha,
        whole=whole,
        these=these,
        at_once=at_once,
    )
    if arms[0].as_json() == arms[1].as_json():
        notes.append("both arms are the same map: an A/A replay, which shows what chance does")
    claim(made, what)
    played = _played(made, simulated, over, yes=yes)
    played.notes[:0] = notes
    _show(made, played, simulated, html, as_json=as_json)
    return FINE


def _dollars(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        cap = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        cap = Decimal(0)
    if not cap.is_finite() or cap <= 0:
        raise UsageError(f"--usd-cap is {text!r}, expected a number of dollars over 0", hint="as in --usd-cap 2.50")
    return cap


def _asked(app: App, over: str, named: str | None) -> tuple[list[Asked], list[str]]:
    from trimtab.replay.requests import is_span, read_file, recorded

    if named is not None:
        app.workflow(named)
    span: timedelta | None = is_span(over)
    if span is not None:
        wanted = [named] if named else list(app.workflows)
        return recorded(app.store, app.environment, wanted, app.clock.now() - span)
    if named is None and len(app.workflows) > 1:
        raise UsageError(
            "which workflow are these requests for?", hint=f"--workflow, one of {', '.join(sorted(app.workflows))}"
        )
    return read_file(Path(over), named or next(iter(app.workflows))), []


def _stage(app: App, asked: Sequence[Asked], folder: Path, *, tape: bool) -> Stage:
    from trimtab.replay.play import WORLDS
    from trimtab.replay.stage import SandboxStage, TapeStage

    policy = app.policy
    if policy.app.sandbox and not tape:
        sandbox = load_callable(policy, policy.app.sandbox, "app.sandbox")
        stage = SandboxStage(sandbox, {w.name: w.specialists.keys() for w in app.workflows.values()}, folder / WORLDS)
        _try_out(stage, asked, folder)
        return stage
    if not all(a.recorded for a in asked):
        raise UsageError(
            "requests of a file have no tape: nothing says what tools answered to them",
            hint='add [app] sandbox = "module:callable" to the policy, or replay recorded ones: --over last-30d',
        )
    return TapeStage(app.workflows, app.store, folder / WORLDS)


def _try_out(stage: SandboxStage, asked: Sequence[Asked], folder: Path) -> None:
    # What cannot be played is told before anything is spent.
    if not (folder / "replay.json").exists():
        for one in asked:
            stage.try_out(one)


def _state_folder(name: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "trimtab" / "replay" / name


def _played(made: Replay, simulated: Simulated | None, over: str, *, yes: bool) -> Played:
    from trimtab.replay.play import missing

    left = missing(made)
    if left and simulated is None:
        _say_cost(made, left, yes=yes)
    return asyncio.run(_play(made, simulated, over, left))


def _say_cost(made: Replay, left: int, *, yes: bool) -> None:
    from trimtab.replay.estimate import estimate

    app = made.app
    told = estimate(app.store, app.environment, made.asked, made.arms, made.repeats, app.prices)
    cap = f", and never more than ${made.cap} in all" if made.cap is not None else ""
    runs = f"This asks the real providers: {left:,} runs"
    if told is None:
        click.echo(f"{runs}. What they cost is not known: nothing like them is recorded{cap}.", err=True)
        if made.cap is None:
            raise UsageError("nothing was asked and nothing was spent", hint="say what it may cost at most: --usd-cap")
    else:
        share = told.total * left / (2 * len(made.asked) * made.repeats)
        click.echo(
            f"{runs}, about ${share:.2f} by what {told.rests_on} recorded runs used (all of it: control ${told.control:.2f}, "
            f"candidate ${told.candidate:.2f}){cap}.",
            err=True,
        )
    if not yes and not (sys.stdin.isatty() and click.confirm("Spend it?", err=True)):
        raise UsageError("nothing was asked and nothing was spent", hint="give --yes to go on")


async def _play(made: Replay, simulated: Simulated | None, over: str, left: int) -> Played:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from trimtab.cli.show import console
    from trimtab.replay.play import play

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    planned = 2 * len(made.asked) * made.repeats
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        progress = bar.add_task("runs", total=planned)
        if not left:
            return await play(made)
        async with models_of(made, simulated, over) as models:
            return await play(replace(made, models=models), lambda done: bar.update(progress, completed=done))


def _show(made: Replay, played: Played, simulated: Simulated | None, html: Path | None, *, as_json: bool) -> None:
    from trimtab.replay.told import report

    if html is not None:
        _write(played, html)
    told = report(made, played)
    if as_json:
        from trimtab.cli.show import print_json

        print_json(told)
    else:
        from trimtab.cli.replay_table import print_replay

        print_replay(told, played, pace=simulated.pace if simulated else None)


def _write(played: Played, path: Path) -> None:
    try:
        from trimtab.learn.report import page
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "--html") from missing
    if played.judged.compared is None:
        click.echo("no report is written: there is nothing to compare yet", err=True)
        return
    try:
        path.write_bytes(page(replace(played.judged.compared, verdict=played.judged.verdict)))
    except OSError as error:
        raise UsageError(
            f"cannot write {str(path)!r}: {error.strerror}", hint="name a file in a folder that is there"
        ) from error
    click.echo(f"wrote {path}", err=True)

"""`trimtab experiment`: which arm is better, and is that known yet?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.experiment_found import find, measured_now, without
from trimtab.cli.lazy import Whole
from trimtab.cli.options import by_whom, find_store, json_option, load_policy, one_line, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.policy.spec import ExperimentSpec

PRODUCTION = "production"

by_option = by_whom("Who moves it; kept in the journal.", "WHO")
alpha_option = click.option(
    "--alpha",
    type=float,
    default=0.05,
    show_default=True,
    help="The chance of a wrong verdict, however often you look.",
)
minutes_option = click.option(
    "--minutes-per-ask",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="What it costs a person to be asked once.",
)


@click.group(cls=Whole)
def experiment() -> None:
    """Compare two role maps, or several roles at once, on live runs."""


@experiment.command("list")
@policy_option
@store_option
@json_option
def list_(policy_file: str, store: Path | None, as_json: bool) -> None:
    """List the experiments of the policy and of the store, and how each stands."""
    from trimtab.cli.experiment_table import listed, print_list
    from trimtab.cli.show import print_json
    from trimtab.experiments import newest_moves

    loaded = load_policy(policy_file)
    rows = listed(loaded, newest_moves(store or loaded.store))
    if as_json:
        print_json(rows)
    else:
        print_list(rows, loaded.source)


@experiment.command()
@click.argument("name")
@by_option
@click.option(
    "--weight", metavar="PCT", help="Percent of runs that get the treatment.  [default: the policy's, or as it runs]"
)
@click.option("--yes", is_flag=True, help="Do it in production without being asked.")
@policy_option
@store_option
def start(name: str, by: str, weight: str | None, yes: bool, policy_file: str, store: Path | None) -> int:
    """Let NAME put runs into its arms from now on; again, with another weight, to ramp it.

    Growing the weight never moves a run that is in. Applications that run see it within a second.
    """
    from trimtab.experiments import declared_in, start_experiment

    loaded, share = load_policy(policy_file), _share(weight)
    spec = declared_in(loaded, name)
    _confirmed(
        spec,
        f"start experiment {name!r}" + (f" with treatment for {share * 100:.4g} % of the runs" if share else ""),
        yes=yes,
    )
    path = store or loaded.store
    moved = start_experiment(path, loaded, name, by=by, weight=share, at=datetime.now(UTC))
    last = find(name, path).moves[-1]
    stands = f"{name} runs in {spec.environment}, treatment for {last.weight * 100:.4g} % of the runs"
    click.echo(stands if moved else f"nothing was changed: {stands}, since {last.at:%Y-%m-%d %H:%M} UTC")
    return FINE if moved else NOT_FINE


@experiment.command()
@click.argument("name")
@by_option
@click.option("--reason", required=True, metavar="TEXT", callback=one_line, help="Why; kept in the journal.")
@click.option("--yes", is_flag=True, help="Do it in production without being asked.")
@policy_option
@store_option
def stop(name: str, by: str, reason: str, yes: bool, policy_file: str, store: Path | None) -> int:
    """Put no further run into an arm of NAME. Runs that are in stay in, and are counted."""
    from trimtab.experiments import stop_experiment

    path = find_store(store, policy_file)
    found = find(name, path)
    _confirmed(found.spec, f"stop experiment {name!r}", yes=yes)
    stopped = stop_experiment(path, name, by=by, reason=reason, at=datetime.now(UTC))
    click.echo(f"{name} is stopped" if stopped else f"nothing was changed: {name} is stopped already")
    return FINE if stopped else NOT_FINE


@experiment.command()
@click.argument("name")
@alpha_option
@minutes_option
@click.option("--gate", is_flag=True, help="Leave with 1 unless every verdict is ship.")
@policy_option
@store_option
@json_option
def status(
    name: str, alpha: float, minutes_per_ask: float, gate: bool, policy_file: str, store: Path | None, as_json: bool
) -> int:
    """Show what is known of NAME by now: ship, stop or undecided, and why.

    It may be read at any time. Leaves with 1 where an alarm rings, or with --gate unless the verdict is ship.
    """
    from trimtab.cli.experiment_table import print_status
    from trimtab.cli.show import print_json

    found = find(name, find_store(store, policy_file))
    measured = measured_now(found, alpha)
    if as_json:
        from trimtab.learn.standing import as_json as told

        last = found.moves[-1]
        print_json({"state": last.state, "weight": last.weight, "since": last.at, **told(measured, minutes_per_ask)})
    else:
        print_status(found, measured, minutes_per_ask)
    verdicts = [readout.verdict for readout in measured.readouts]
    wrong = any(v.alarms for v in verdicts) or (gate and any(v.verdict != "ship" for v in verdicts))
    return NOT_FINE if wrong else FINE


@experiment.command()
@click.argument("name")
@alpha_option
@policy_option
@store_option
@json_option
def advise(name: str, alpha: float, policy_file: str, store: Path | None, as_json: bool) -> None:
    """Rank the roles of a factorial experiment: which upgrade gains most, and what it costs."""
    from trimtab.cli.experiment_table import advice, print_advice
    from trimtab.cli.show import print_json

    found = find(name, find_store(store, policy_file))
    if not found.spec.factors:
        raise UsageError(
            f"experiment {name!r} compares two arms, so it cannot tell roles apart",
            hint="declare it with 'factors', which varies each role for itself, on the same runs",
        )
    ranked = advice(measured_now(found, alpha))
    if as_json:
        print_json(ranked)
    else:
        print_advice(found, ranked)


@experiment.command()
@click.argument("name")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write one page.")
@click.option("--png", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write its plots.")
@alpha_option
@minutes_option
@policy_option
@store_option
def report(
    name: str,
    html: Path | None,
    png: Path | None,
    alpha: float,
    minutes_per_ask: float,
    policy_file: str,
    store: Path | None,
) -> None:
    """Write what is known of NAME as a page that needs nothing else, and its plots as a picture."""
    if html is None and png is None:
        raise UsageError("a report of what kind?", hint="give --html FILE, --png FILE, or both")
    measured = measured_now(find(name, find_store(store, policy_file)), alpha)
    try:
        from trimtab.learn.experiment_page import page, picture
    except ModuleNotFoundError as missing:
        raise without(missing) from missing
    made = ((html, lambda: page(measured, minutes_per_ask)), (png, lambda: picture(measured)))
    for path, make in made:
        if path is not None:
            try:
                path.write_bytes(make())
            except OSError as error:
                hint = "name a file in a folder that is there"
                raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", hint=hint) from error
            click.echo(f"wrote {path}", err=True)


@experiment.command()
@click.argument("name")
@click.option("--runs-per-day", type=click.FloatRange(min=0, min_open=True), help="[default: of the last 30 days]")
@click.option("--base", type=float, metavar="PCT", help="Percent that succeed now.  [default: of the last 30 days]")
@alpha_option
@policy_option
@store_option
@json_option
def plan(
    name: str,
    runs_per_day: float | None,
    base: float | None,
    alpha: float,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Say how many runs and days a verdict would take, at your own traffic, before NAME is started.

    Leaves with 1 where no difference worth looking for would be found within the horizon.
    """
    from trimtab.cli.experiment_plan import make_plan, print_plan
    from trimtab.cli.show import print_json
    from trimtab.experiments import declared_in

    loaded = load_policy(policy_file)
    spec = declared_in(loaded, name)
    path = store or loaded.store
    try:
        made = make_plan(loaded, spec, path, runs_per_day, None if base is None else base / 100, alpha)
    except ModuleNotFoundError as missing:
        raise without(missing) from missing
    if as_json:
        print_json(made.json())
    else:
        print_plan(made)
    return NOT_FINE if made.hopeless else FINE


def _share(weight: str | None) -> float | None:
    if weight is None:
        return None
    try:
        share = float(weight.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(
            f"--weight is {weight!r}, expected percent of runs over 0 and under 100",
            hint="where every run gets the same there is nothing to compare; name the model under [roles] instead",
        )
    return share


def _confirmed(spec: ExperimentSpec, what: str, *, yes: bool) -> None:
    if spec.environment != PRODUCTION or yes:
        return
    click.echo(f"in production: {what}", err=True)
    if not sys.stdin.isatty():
        raise UsageError("production is changed only after a yes", hint="add --yes")
    click.confirm("go on?", abort=True, err=True)

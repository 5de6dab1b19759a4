"""`trimtab compare`: a verdict on runs made elsewhere, read from a table."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.learn.comparison import Comparison, Settings

_ALL_POINTS = 100


@click.command()
@click.argument("file")
@click.option(
    "--unit",
    "unit",
    multiple=True,
    required=True,
    metavar="COL",
    help="What was asked; again for a name of two columns.",
)
@click.option("--arm", required=True, metavar="COL", help="Which of the two made the run: a model, a prompt.")
@click.option("--success", required=True, metavar="COL", help="1/0, true/false, yes/no, pass/fail.")
@click.option("--control", metavar="NAME", help="The arm in use.  [default: the first in the file]")
@click.option("--treatment", metavar="NAME", help="The arm that might replace it; needed where there are three.")
@click.option(
    "--where", multiple=True, metavar="COL=VALUE", help="Only these rows; again to narrow, or for another value."
)
@click.option("--cost", metavar="COL", help="Dollars of the run.")
@click.option("--latency", metavar="COL", help="Seconds of the run.")
@click.option("--must-not", multiple=True, metavar="COL", help="1 where something forbidden happened: a guardrail.")
@click.option("--cost-limit", metavar="PERCENT", help="Stop where a success costs more than that, as +10%.")
@click.option("--latency-limit", metavar="PERCENT", help="Stop where a run takes longer than that, as +20%.")
@click.option(
    "--paired/--unpaired", default=None, help="Every unit ran in both arms, or in one.  [default: as most did]"
)
@click.option(
    "--order", metavar="COL", help="What the runs are ordered by: a number or a time.  [default: the file's order]"
)
@click.option("--propensity", metavar="COL|P", help="Each run's chance of the treatment.  [default: 0.5]")
@click.option(
    "--margin", metavar="POINTS", type=float, help="A difference of success too small to matter, as 2 for 2 points."
)
@click.option(
    "--planned",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="At how many units intervals are narrowest.",
)
@click.option(
    "--alpha",
    type=float,
    default=0.05,
    show_default=True,
    help="The chance of a wrong verdict, however often you look.",
)
@click.option("--gate", is_flag=True, help="Leave with 1 unless the verdict is ship.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to read.")
@click.option("--png", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write its plots.")
@json_option
def compare(
    file: str,
    unit: Sequence[str],
    arm: str,
    success: str,
    control: str | None,
    treatment: str | None,
    where: Sequence[str],
    cost: str | None,
    latency: str | None,
    must_not: Sequence[str],
    cost_limit: str | None,
    latency_limit: str | None,
    paired: bool | None,
    order: str | None,
    propensity: str | None,
    margin: float | None,
    planned: int,
    alpha: float,
    gate: bool,
    html: Path | None,
    png: Path | None,
    as_json: bool,
) -> int:
    """Say whether one arm of FILE is better than the other: ship, stop or undecided.

    FILE is CSV with a header and a row for each run (.csv, .csv.gz, or - for standard input). The verdict may be read after every
    row. It leaves with 0 whatever the verdict is; with --gate, with 1 unless it is ship.
    """
    _need_extra()
    from trimtab.learn.comparison import compare as compare_arms
    from trimtab.learn.runs import Columns, read_runs
    from trimtab.learn.table import open_table

    chance = _constant(propensity)
    columns = Columns(
        unit=unit,
        arm=arm,
        success=success,
        cost=cost,
        latency=latency,
        order=order,
        propensity=propensity if chance is None else None,
        must_not=must_not,
        where=_filters(where),
    )
    limits = _limit("--cost", cost, cost_limit), _limit("--latency", latency, latency_limit)
    settings = _settings(alpha, paired, margin, planned, chance, limits)
    runs = read_runs(open_table(file, columns.wanted), columns, control=control, treatment=treatment)
    compared = compare_arms(runs, settings)
    _write(compared, html, png)
    if as_json:
        from trimtab.cli.show import print_json

        print_json(compared.json())
    else:
        from trimtab.cli.compare_table import print_comparison

        print_comparison(compared)
    return NOT_FINE if gate and compared.verdict.verdict != "ship" else FINE


def _need_extra() -> None:
    for name in ("numpy", "scipy", "matplotlib"):
        try:
            found = importlib.util.find_spec(name) is not None
        except ValueError:  # shut out by hand
            found = False
        if not found:
            raise UsageError(
                f"`trimtab compare` needs {name}, which is not installed", hint="pip install 'trimtab[learn]'"
            )


def _settings(
    alpha: float,
    paired: bool | None,
    margin: float | None,
    planned: int,
    chance: float | None,
    limits: tuple[float | None, float | None],
) -> Settings:
    from trimtab.learn.comparison import Settings

    if margin is not None and not 0 <= margin < _ALL_POINTS:
        raise UsageError(
            f"--margin is {margin:g}, expected points of success, 0 or more and less than 100",
            hint="as in --margin 2 for 2 points",
        )
    return Settings(
        alpha=alpha,
        paired=paired,
        margin=None if margin is None else margin / 100,
        planned=planned,
        even=0.5 if chance is None else chance,
        cost_limit=limits[0],
        latency_limit=limits[1],
    )


def _filters(where: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not equals or not column.strip():
            raise UsageError(f"--where is {text!r}, expected COL=VALUE", hint="as in --where domain=telecom")
        found.setdefault(column.strip(), []).append(value.strip())
    return found


def _constant(propensity: str | None) -> float | None:
    try:
        chance = float(propensity or "column")
    except ValueError:
        return None
    if not 0 < chance < 1:
        raise UsageError(
            f"--propensity is {propensity}, expected a chance between 0 and 1, or a column", hint="10 % is 0.1"
        )
    return chance


def _limit(measure: str, column: str | None, text: str | None) -> float | None:
    if text is None:
        return None
    option = f"{measure}-limit"
    if column is None:
        raise UsageError(f"{option} without {measure}", hint=f"name the column with {measure} COL")
    try:
        limit = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        limit = -1.0
    if not -1 < limit < float("inf"):
        raise UsageError(f"{option} is {text!r}, expected a percentage above -100", hint=f"as in {option} +10%")
    return limit


def _write(compared: Comparison, html: Path | None, png: Path | None) -> None:
    if html is None and png is None:
        return
    from trimtab.learn.report import page, picture

    for path, make in ((html, page), (png, picture)):
        if path is not None:
            try:
                path.write_bytes(make(compared))
            except OSError as error:
                raise UsageError(
                    f"cannot write {str(path)!r}: {error.strerror}", hint="name a file in a folder that is there"
                ) from error
            click.echo(f"wrote {path}", err=True)

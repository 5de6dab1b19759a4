"""`trimtab cost advise`: which roles to move up or down under a monthly cap and a floor on success."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.advice import Where
from trimtab.cli.cost_models import price_book
from trimtab.cli.cost_options import Amount, dollars, share, since
from trimtab.cli.options import find_store, json_option, needs_extra, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.cli.cost_advise_found import Advised


def _cap(text: str) -> Decimal:
    amount, _, unit = text.partition("/")
    if unit.strip().lower() not in ("", "month"):
        raise ValueError(text)
    return dollars(amount)


@click.command()
@click.option(
    "--cap",
    required=True,
    type=Amount(_cap, "500 or 500/month"),
    metavar="USD",
    help="Dollars a month of 30 days, at most.",
)
@click.option(
    "--floor",
    type=Amount(share, "0.85 or 85%"),
    metavar="SHARE",
    help="How many runs must be known to succeed, at least.",
)
@click.option(
    "--over",
    default="last-30d",
    show_default=True,
    metavar="SPAN",
    help="Whose traffic is priced: runs accepted within this time.",
)
@click.option(
    "--experiment", metavar="NAME", help="Use what this one measured only.  [default: every experiment of the store]"
)
@click.option(
    "--environment",
    metavar="NAME",
    help="Whose roles are moved.  [default: the experiment's, or the only one with runs]",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The chance that an interval is wrong, however often you look.",
)
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write one page.")
@click.option("--png", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write the plot.")
@policy_option
@store_option
@json_option
def advise(
    cap: Decimal,
    floor: Decimal | None,
    over: str,
    experiment: str | None,
    environment: str | None,
    alpha: float,
    html: Path | None,
    png: Path | None,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Say which roles to move to which models, from what experiments measured and what the traffic would cost.

    Of all sets of measured changes it takes the one known to lose least, or to gain most, success under the cap. What was never
    measured is not advised: it is named, with the command that measures it. Leaves with 1 where nothing fits.
    """
    from trimtab.cli.show import print_json

    path = find_store(store, policy_file)
    book = price_book(policy_file, datetime.now(UTC).date())
    try:
        from trimtab.cli.cost_advise_found import Asked, find_advice
        from trimtab.cli.cost_advise_table import as_told, print_advised

        asked = Asked(cap, floor, since(over), over, experiment, environment, alpha, Where(store, policy_file))
        found = find_advice(book, path, asked)
        _write(found, html, png)
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "advice") from missing
    if as_json:
        print_json(as_told(found))
    else:
        print_advised(found)
    return FINE if found.chosen else NOT_FINE


def _write(found: Advised, html: Path | None, png: Path | None) -> None:
    if html is None and png is None:
        return
    from trimtab.cli.cost_advise_page import page, picture

    for path, make in ((html, page), (png, picture)):
        if path is not None:
            try:
                path.write_bytes(make(found))
            except OSError as error:
                hint = "name a file in a folder that is there"
                raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", hint=hint) from error
            click.echo(f"wrote {path}", err=True)

"""`trimtab cost breakeven`: the loss per failed run above which the dearer role map pays."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.cost_options import Amount, dollars, share, since
from trimtab.cli.options import find_store, json_option, needs_extra, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.cli.cost_breakeven_runs import Source

_WAYS = "--experiment NAME, or --cost-a 0.02 --cost-b 0.06 --success-a 78% --success-b 88%"


@click.command()
@click.option("--experiment", metavar="NAME", help="From the runs of an experiment, by what they really cost.")
@click.option(
    "--over", metavar="last-30d", help="From all runs accepted within this time, by the models they were pinned to."
)
@click.option("--control", multiple=True, metavar="ROLE=MODEL", help="With --over: the runs whose role map has this.")
@click.option("--treatment", multiple=True, metavar="ROLE=MODEL", help="With --over: the runs they are compared with.")
@click.option("--cost-a", type=Amount(dollars, "0.02"), metavar="USD", help="Dollars per run, or per attempt, of A.")
@click.option("--cost-b", type=Amount(dollars, "0.06"), metavar="USD", help="The same of B.")
@click.option("--success-a", type=Amount(share, "0.78 or 78%"), metavar="SHARE", help="How often A succeeds.")
@click.option("--success-b", type=Amount(share, "0.88 or 88%"), metavar="SHARE", help="How often B succeeds.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The chance that an interval is wrong, however often you look.",
)
@policy_option
@store_option
@json_option
def breakeven(
    experiment: str | None,
    over: str | None,
    control: tuple[str, ...],
    treatment: tuple[str, ...],
    cost_a: Decimal | None,
    cost_b: Decimal | None,
    success_a: Decimal | None,
    success_b: Decimal | None,
    alpha: float,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Say what a failed run must cost you before the dearer role map pays, and what is known of that.

    V* = (c_B - c_A) / (p_B - p_A): c are dollars per run with all its retries, p how often a run succeeds. Leaves with 1 where what runs
    cost is not known.
    """
    from trimtab.cli.show import print_json

    numbers = (cost_a, cost_b, success_a, success_b)
    asked = [experiment is not None, over is not None, any(number is not None for number in numbers)]
    if sum(asked) != 1:
        raise UsageError("break-even of what?" if not any(asked) else "give one of these ways, not several", hint=_WAYS)
    if (control or treatment) and over is None:
        raise UsageError("--control and --treatment go with --over", hint="--over last-30d --control ROLE=MODEL")
    if experiment is None and over is None:
        from trimtab.cli.cost_breakeven_given import json_of, print_given

        if as_json:
            print_json(json_of(*numbers))
        else:
            print_given(*numbers)
        return FINE
    try:
        from trimtab.cli.cost_breakeven_runs import of_experiment, of_maps
        from trimtab.cli.cost_breakeven_table import print_paybacks, told

        path = find_store(store, policy_file)
        found: Source = (
            of_experiment(experiment, path, alpha)
            if experiment is not None
            else of_maps(path, since(over or ""), (control, treatment), policy_file, alpha)
        )
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "a break-even from runs") from missing
    if as_json:
        print_json(told(found))
    else:
        print_paybacks(found)
    return NOT_FINE if any(payback.why_not for payback in found.paybacks) else FINE

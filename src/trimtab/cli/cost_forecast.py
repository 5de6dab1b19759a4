"""`trimtab cost forecast`: what the same calls would cost on another model."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.cost_models import price_book
from trimtab.cli.cost_options import Amount, since
from trimtab.cli.options import find_store, json_option, needs_extra, policy_option, store_option
from trimtab.core.errors import UsageError
from trimtab.core.usage import Usage
from trimtab.learn.amounts import read_rate

_GIVEN = "--calls 1000/day --input 15000 --output 1000"


@click.command()
@click.option("--from", "before", required=True, metavar="MODEL", help="As it is: an id, or an alias of the policy.")
@click.option("--to", "after", required=True, metavar="MODEL", help="As it would be.")
@click.option(
    "--calls",
    type=Amount(read_rate, "1000/day or 1k/hour"),
    metavar="N[/day]",
    help="Model calls a day, hour, week or month.",
)
@click.option("--input", "prompt", type=Amount(), help="Tokens of a prompt, cached or not.")
@click.option("--output", type=Amount(), help="Tokens of an answer.")
@click.option("--cached", type=Amount(), help="How many of --input are read from the cache.")
@click.option("--cache-writes", type=Amount(), help="How many of --input are written to the 5-minute cache.")
@click.option("--cache-writes-1h", type=Amount(), help="How many of --input are written to the 1-hour cache.")
@click.option("--over", metavar="last-30d", help="From recorded runs instead: those accepted within this time.")
@click.option("--role", metavar="ROLE", help="Of recorded runs, only the calls of this role.")
@click.option("--environment", metavar="NAME", help="Of recorded runs, only those of this environment.")
@click.option("--every-model", is_flag=True, help="Of recorded runs, also calls that were not made on --from.")
@policy_option
@store_option
@json_option
def forecast(
    before: str,
    after: str,
    calls: Decimal | None,
    prompt: Decimal | None,
    output: Decimal | None,
    cached: Decimal | None,
    cache_writes: Decimal | None,
    cache_writes_1h: Decimal | None,
    over: str | None,
    role: str | None,
    environment: str | None,
    every_model: bool,
    policy_file: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Say what calls on one model would cost on another, with every sum shown.

    Either from numbers (--calls, --input, --output) or from recorded runs (--over), which also gives a band. Leaves with 1 where a
    price is not known.
    """
    from trimtab.cli.cost_forecast_table import Told, from_numbers, print_told
    from trimtab.cli.show import print_json

    numbers = {"--calls": calls, "--input": prompt, "--output": output}
    parts = {"--cached": cached, "--cache-writes": cache_writes, "--cache-writes-1h": cache_writes_1h}
    book = price_book(policy_file, datetime.now(UTC).date())
    models = book.full_id(before), book.full_id(after)
    told: Told
    if over is not None:
        _none_of({**numbers, **parts}, "--over takes them from recorded runs")
        path = find_store(store, policy_file)
        try:
            from trimtab.cli.cost_forecast_recorded import Which, from_runs

            which = Which(since(over), role, environment, every_model)
            told = from_runs(book, models, path, which)
        except ModuleNotFoundError as missing:
            raise needs_extra(missing, "a forecast from recorded runs") from missing
    else:
        _none_of(
            {"--role": role, "--environment": environment, "--every-model": every_model or None}, "it goes with --over"
        )
        missing = [name for name, number in numbers.items() if number is None]
        if missing:
            raise UsageError(
                f"how many {' and '.join(missing)}?", hint=f"{_GIVEN}, or --over last-30d for recorded runs"
            )
        told = from_numbers(
            book, models, calls or Decimal(0), _usage(prompt, output, cached, cache_writes, cache_writes_1h)
        )
    if as_json:
        print_json(told.json())
    else:
        print_told(told)
    return NOT_FINE if told.unpriced else FINE


def _none_of(options: dict[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} cannot be used here: {why}", hint="trimtab cost forecast --help")


def _usage(prompt: Decimal | None, output: Decimal | None, *parts: Decimal | None) -> Usage:
    prompt, output = prompt or Decimal(0), output or Decimal(0)
    read, short, long = (part or Decimal(0) for part in parts)
    for name, tokens in (
        ("--input", prompt),
        ("--output", output),
        ("--cached", read),
        ("--cache-writes", short + long),
    ):
        if tokens != int(tokens):
            raise UsageError(f"{name} {tokens} is no whole number of tokens")
    plain = prompt - read - short - long
    if plain < 0:
        raise UsageError(
            f"--cached and --cache-writes are {prompt - plain:,} tokens of a prompt of {prompt:,}",
            hint="--input counts the whole prompt, cached or not",
        )
    return Usage(int(plain), int(output), int(read), int(short), int(long))

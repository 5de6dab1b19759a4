"""`trimtab terminal listen`: takes the terminal's telemetry on loopback, for sessions that leave no transcript."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal

import click

from trimtab.core.errors import UsageError
from trimtab.core.usage import Usage
from trimtab.terminal.index import index_path, open_index
from trimtab.terminal.otlp import Received, ToldCall, store
from trimtab.terminal.otlp_sink import Sink
from trimtab.terminal.place import Place

_ENVIRONMENT = """\
CLAUDE_CODE_ENABLE_TELEMETRY=1
OTEL_LOGS_EXPORTER=otlp
OTEL_METRICS_EXPORTER=otlp
OTEL_EXPORTER_OTLP_PROTOCOL=http/json
OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{port}"""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="0: any that is free.")
@click.option("--home", metavar="DIR", help="The home whose index takes the calls.  [default: yours]")
@click.option("--once", is_flag=True, help="Leave when the first calls have arrived.")
@click.option("--json", "as_json", is_flag=True, help="Print each call as a line of JSON.")
def listen(port: int, home: str | None, once: bool, as_json: bool) -> None:
    """Take the terminal's OTLP telemetry on 127.0.0.1 and keep its calls for `trimtab terminal usage`.

    Worth it where sessions leave no transcript (--no-session-persistence), or where those are deleted too soon. Calls that a transcript
    tells of, too, count once. Prompts are not sent by the terminal, and would not be kept.
    """
    place = Place.here(home)
    index = open_index(index_path(place.folder, os.environ))
    if index.path is None:
        raise UsageError(index.warnings[0].partition(":")[0], hint="set XDG_CACHE_HOME to a folder that can be written")
    for warning in index.warnings:
        click.echo(f"warning: {warning}", err=True)
    from trimtab.cli.terminal_usage import terminal_prices

    prices, arrived = terminal_prices(), False

    def take(found: Received) -> None:
        nonlocal arrived
        new = store(index.connection, found.calls)
        arrived = arrived or bool(found.calls)
        for call in found.calls:
            usd = prices.cost(call.model, _usage(call), _day(call).date(), searches=0, speed=call.speed, geo="")
            click.echo(
                json.dumps({**asdict(call), "usd": None if usd is None else float(usd)})
                if as_json
                else _line(call, usd)
            )
        if found.bad:
            click.echo(f"warning: {found.bad} calls could not be used", err=True)
        if new < len(found.calls):
            click.echo(f"{len(found.calls) - new} calls had been sent before", err=True)

    with Sink(port, take) as sink:
        click.echo(f"listening on 127.0.0.1:{sink.server_port}; start the terminal with\n", err=True)
        click.echo(_ENVIRONMENT.format(port=sink.server_port) + "\n", err=True)
        try:
            while not (once and arrived):
                sink.handle_request()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
        finally:
            index.close()


def _line(call: ToldCall, usd: Decimal | None) -> str:
    told = "price unknown" if usd is None else f"${usd:.4f}"
    written = call.cache_write_5m + call.cache_write_1h
    return (
        f"{_day(call):%Y-%m-%d %H:%M:%S}  {call.model:<24} {call.input:,} in, {call.output:,} out, "
        f"{call.cache_read:,} read, {written:,} written  {told}"
    )


def _usage(call: ToldCall) -> Usage:
    return Usage(call.input, call.output, call.cache_read, call.cache_write_5m, call.cache_write_1h)


def _day(call: ToldCall) -> datetime:
    return datetime.fromtimestamp(call.at / 1000, UTC)

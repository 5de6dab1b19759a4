"""`trimtab simulate`: models that cost nothing and say that they are simulated."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from trimtab.cli.options import json_option

if TYPE_CHECKING:
    from trimtab.models.simulator import AnswerBook, Simulator


@click.command()
@click.option(
    "--book",
    metavar="FILE",
    help="The answer book, JSONL (docs/reference/answer-book.md).  [default: the charter example's]",
)
@click.option(
    "--profile", default="perfect", show_default=True, metavar="NAME|FILE", help="How well and how fast its models do."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same answers.")
@click.option(
    "--pace", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Scales all waiting; 0 does not wait."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 takes any free one.")
@json_option
def simulate(book: str | None, profile: str, seed: int, pace: float, host: str, port: int, as_json: bool) -> None:
    """Serve simulated models on loopback, as the Messages API does, until stopped."""
    from trimtab.models.simulator import AnswerBook, Profile, Simulator

    simulator = Simulator(AnswerBook.load(book) if book else _own_book(), Profile.load(profile), seed=seed, pace=pace)
    asyncio.run(_serve(simulator, host, port, as_json=as_json))


def _own_book() -> AnswerBook:
    from trimtab.cli.example import load_example
    from trimtab.models.simulator import AnswerBook

    example = load_example()
    return AnswerBook.from_entries(example.answer_book(example.read_cases(None)))


async def _serve(simulator: Simulator, host: str, port: int, *, as_json: bool) -> None:
    from trimtab.cli.show import print_json

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    url = await simulator.start(host, port)
    try:
        if as_json:
            print_json({"url": url, "simulated": True})
        else:
            click.echo(f"simulated models at {url} (no real model is asked)")
            click.echo(f'in trimtab.toml: [providers.anthropic] kind = "anthropic", base_url = "{url}"')
        await stop.wait()
    finally:
        await simulator.close()

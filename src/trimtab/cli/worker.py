"""`trimtab worker`: works on every run of a store until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import app_option, environment_option, json_option, make_app, policy_option, store_option
from trimtab.core.errors import StoreBrokenError, StoreLockedError

if TYPE_CHECKING:
    from trimtab.app import App

_PAUSE_S = 2.0


@click.command()
@click.option("--wait", is_flag=True, help="Wait for a store that another process runs, as a service must.")
@app_option
@policy_option
@environment_option
@store_option
@json_option
def worker(
    wait: bool, factory: str | None, policy_file: str, environment: str, store: Path | None, as_json: bool
) -> int:
    """Work on every run of the store until stopped; what is unfinished goes on at the next start.

    Leaves with 1 where the store breaks (a full disk), which starting again may mend, and with 2 where it would not.
    """
    app = make_app(policy_file, factory, environment, store)
    try:
        asyncio.run(_work(app, wait=wait, as_json=as_json))
    except StoreBrokenError as error:
        click.echo(f"error: {error}", err=True)
        return NOT_FINE
    return FINE


async def _work(app: App, *, wait: bool, as_json: bool) -> None:
    from trimtab.alerts.watch import keep_watching
    from trimtab.cli.show import print_json
    from trimtab.rollouts.drive import keep_looking

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        if not await _enter(stack, app, stop, wait=wait):
            return
        names, waiting = sorted(app.workflows), app.engine.unfinished
        if as_json:
            print_json(
                {"workflows": names, "store": str(app.store), "environment": app.environment, "unfinished": waiting}
            )
        where = f"{app.store}, environment {app.environment}, {waiting} unfinished runs"
        click.echo(f"working on {', '.join(names)} in {where}; stop with Ctrl-C", err=True)
        stopped = asyncio.ensure_future(stop.wait())
        beside = [
            asyncio.ensure_future(keep_watching(app.store, app.policy, app.clock)),
            asyncio.ensure_future(keep_looking(app.store, app.policy)),
        ]
        await asyncio.wait([stopped, app.engine.broken], return_when=asyncio.FIRST_COMPLETED)
        for looking in beside:
            looking.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if app.engine.broken.done():
            app.engine.broken.result()  # raises what broke
    click.echo("stopped; unfinished runs go on at the next start", err=True)


async def _enter(stack: AsyncExitStack, app: App, stop: asyncio.Event, *, wait: bool) -> bool:
    """Take the store, once it is free where that is asked for; False: stopped before. Raises StoreLockedError where not to wait."""
    told = False
    while not stop.is_set():
        try:
            await stack.enter_async_context(app)
        except StoreLockedError as error:
            if not wait:
                raise
            if not told:
                click.echo(f"waiting: {error.message}", err=True)
            told = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)
        else:
            return True
    return False

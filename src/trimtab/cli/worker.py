"""`trimtab worker`: works on every run of a store until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from trimtab.cli.options import app_option, environment_option, json_option, make_app, policy_option, store_option

if TYPE_CHECKING:
    from trimtab.app import App


@click.command()
@app_option
@policy_option
@environment_option
@store_option
@json_option
def worker(factory: str | None, policy_file: str, environment: str, store: str | None, as_json: bool) -> None:
    """Work on every run of the store until stopped; what is unfinished goes on at the next start."""
    asyncio.run(_work(make_app(policy_file, factory, environment, store), as_json=as_json))


async def _work(app: App, *, as_json: bool) -> None:
    from trimtab.alerts.watch import keep_watching
    from trimtab.cli.show import print_json

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with app:
        names, waiting = sorted(app.workflows), app.engine.unfinished
        if as_json:
            print_json(
                {"workflows": names, "store": str(app.store), "environment": app.environment, "unfinished": waiting}
            )
        where = f"{app.store}, environment {app.environment}, {waiting} unfinished runs"
        click.echo(f"working on {', '.join(names)} in {where}; stop with Ctrl-C", err=True)
        stopped = asyncio.ensure_future(stop.wait())
        watching = asyncio.ensure_future(keep_watching(app.store, app.policy, app.clock))
        await asyncio.wait([stopped, app.engine.broken], return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if app.engine.broken.done():
            app.engine.broken.result()  # raises what broke
    click.echo("stopped; unfinished runs go on at the next start", err=True)

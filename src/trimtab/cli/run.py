"""`trimtab run`: one request, from the command line to its outcome."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.advice import Where
from trimtab.cli.options import app_option, environment_option, json_option, make_app, policy_option, store_option
from trimtab.core.errors import RequestError, StoreLockedError

if TYPE_CHECKING:
    from trimtab.app import App

LOOK_SECONDS = 0.1


@click.command()
@click.argument("workflow")
@click.option(
    "--request",
    required=True,
    metavar="TEXT|FILE|-",
    help="JSON, plain text, a file with either, or - for standard input.",
)
@click.option("--key", help="Starts the request once, however often it is given.")
@app_option
@policy_option
@environment_option
@store_option
@json_option
def run(
    workflow: str,
    request: str,
    key: str | None,
    factory: str | None,
    policy_file: str,
    environment: str,
    store: Path | None,
    as_json: bool,
) -> int:
    """Start WORKFLOW on one request and wait until it ended or needs somebody.

    Where a worker runs the store, the request is handed to it.
    """
    app = make_app(policy_file, factory, environment, store)
    given = read_request(request)
    app.workflow(workflow).read_request(given)  # refused here, before a store is made for nothing
    run_id = asyncio.run(_run(app, workflow, given, key))
    return show_run(app.store, run_id, Where(store, policy_file), as_json=as_json)


async def _run(app: App, workflow: str, request: object, key: str | None) -> str:
    try:
        async with app:
            started = await app.start_json(workflow, request, key)
            await started.settled()
            return started.id
    except StoreLockedError:
        run_id = app.hand_in(workflow, request, key)
        click.echo(f"handed to the worker that runs {app.store}: {run_id}", err=True)
        await _settled_elsewhere(app.store, run_id)
        return run_id


async def _settled_elsewhere(store: Path, run_id: str) -> None:
    from trimtab.journal.reader import Journal

    with Journal(store) as journal:
        while journal.run(run_id).outcome is None:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK_SECONDS)


def show_run(store: Path, run_id: str, where: Where, *, as_json: bool) -> int:
    """Print a run and what to do about it; 1 where it does not stand as it was meant to."""
    from trimtab.cli.advice import about_run
    from trimtab.cli.show import console, detail_json, print_json
    from trimtab.cli.tree import print_advice, run_tree
    from trimtab.journal.reader import Journal

    with Journal(store) as journal:
        detail = journal.run(run_id)
    advice = about_run(detail, where)
    if as_json:
        print_json({**detail_json(detail), "to_do": [asdict(given) for given in advice]})
    else:
        out = console()
        out.print(run_tree(detail))
        print_advice(out, advice)
    return FINE if detail.outcome is None or detail.outcome.status.intended else NOT_FINE


def read_request(given: str) -> Any:
    """Read a request: JSON where it looks like JSON, text otherwise. Raises RequestError with the place of a mistake."""
    text, where = _text(given)
    if not text.strip():
        raise RequestError(f"{where} is empty", hint="give JSON or text")
    if text.lstrip()[0] not in "{[":
        return {"text": text}
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(
            f"{where} is broken JSON at line {error.lineno}, column {error.colno}: {error.msg}", hint="mend it there"
        ) from None


def _text(given: str) -> tuple[str, str]:
    if given == "-":
        return sys.stdin.read(), "the request on standard input"
    try:
        if Path(given).is_file():
            return Path(given).read_text(encoding="utf-8"), f"the request in {given!r}"
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise RequestError(f"{given!r} is not UTF-8 text: {error.reason}", hint="save it as UTF-8") from None
        # A text too long for a file name is a text.
    return given, "the request"

"""`trimtab run`: one request, from the command line to its outcome."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.advice import Where
from trimtab.cli.options import app_option, environment_option, json_option, make_app, policy_option, store_option
from trimtab.core.errors import RequestError, StoreLockedError

if TYPE_CHECKING:
    from trimtab.app import App

LOOK_SECONDS = 0.1
FREE_LOOKS = 50
# What nobody would ask in words: a model must not be paid for a mistyped name.
_FILE_NAME = re.compile(r"(~|\.{1,2})/\S+|/\S+/\S*|\S+\.(json|jsonl|txt|md)")


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
    where, accepted = Where(store, policy_file), list[str]()
    try:
        asyncio.run(_run(app, workflow, given, key, accepted))
    except KeyboardInterrupt:
        if accepted:
            click.echo(
                f"run {accepted[0]} is kept and goes on with the next start of: {where.command('worker')}", err=True
            )
        raise
    return show_run(app.store, accepted[0], where, as_json=as_json)


async def _run(app: App, workflow: str, request: object, key: str | None, accepted: list[str]) -> None:
    key = key or uuid4().hex  # the same each time round, so that it is one run
    while True:
        try:
            async with app:
                started = await app.start_json(workflow, request, key)
                if not accepted and sys.stderr.isatty():
                    click.echo(f"run {started.id} is accepted and under way", err=True)
                accepted[:] = [started.id]
                await started.settled()
                return
        except StoreLockedError:
            run_id = app.hand_in(workflow, request, key)
        if not accepted:
            click.echo(f"handed to the worker that runs {app.store}: {run_id}", err=True)
        accepted[:] = [run_id]
        if await _settled_elsewhere(app.store, run_id):
            return
        click.echo(f"nobody runs {app.store} any more: going on with {run_id} here", err=True)


async def _settled_elsewhere(store: Path, run_id: str) -> bool:
    """Wait until a run settled; False where the store was nobody's for so long that no worker is about to start."""
    from trimtab.journal.reader import Journal

    looks = 0
    with Journal(store) as journal:
        while journal.run(run_id).outcome is None:
            looks = looks + 1 if _is_free(store) else 0
            if looks > FREE_LOOKS:
                return False
            await asyncio.sleep(LOOK_SECONDS)
    return True


def _is_free(store: Path) -> bool:
    from trimtab.engine.store import Lock

    lock = Lock(store)
    try:
        lock.take()
    except StoreLockedError:
        return False
    lock.give_back()
    return True


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
            return Path(given).read_text(encoding="utf-8-sig"), f"the request in {given!r}"
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise RequestError(f"{given!r} is not UTF-8 text: {error.reason}", hint="save it as UTF-8") from None
        # A text too long for a file name is a text.
    if _FILE_NAME.fullmatch(given):
        raise RequestError(f"{given!r} is not a file", hint="name a file that is there, or say it in more than a name")
    return given, "the request"

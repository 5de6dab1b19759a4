"""`trimtab watch`: looks for spikes, chronic burn and other trouble, and tells somebody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option, load_policy, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.alerts.deliver import Told
    from trimtab.alerts.watch import Round, Watch
    from trimtab.policy.alerts_spec import ChannelSpec
    from trimtab.policy.spec import Policy

PATIENCE = timedelta(seconds=10)


@click.command()
@click.option("--once", is_flag=True, help="Look once and leave, as cron wants it.")
@click.option("--every", metavar="TIME", help="Look so often.  [default: the policy's, or 5m]")
@policy_option
@store_option
@click.option("--environment", "environments", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--since", metavar="TIME", help="How far to look back for what is usual.  [default: 28d]")
@click.option("--dry-run", is_flag=True, help="Write nothing and tell nobody.")
@click.option(
    "--test", "channel", metavar="CHANNEL", help="Send a test message over a channel of the policy, and leave."
)
@json_option
def watch(
    once: bool,
    every: str | None,
    policy_file: str,
    store: Path | None,
    environments: tuple[str, ...],
    since: str | None,
    dry_run: bool,
    channel: str | None,
    as_json: bool,
) -> int:
    """Look for spikes, chronic burn and other trouble, and tell somebody over the channels of [alerts].

    Exits with 1 where something is wrong. Without --once it looks until stopped; `trimtab worker` does so by itself.
    """
    from trimtab.alerts.watch import Watch

    policy = load_policy(policy_file)
    if channel is not None:
        return _test(policy, channel, as_json=as_json)
    path = store or policy.store
    if not path.exists():
        raise UsageError(f"{str(path)!r}: no such store", hint="the application makes it when it first starts")
    watching = Watch(path, policy, environments or None, _time("--since", since))
    if once or (dry_run and every is None):
        return asyncio.run(_once(watching, dry_run=dry_run, as_json=as_json))
    return _until_stopped(watching, _time("--every", every) or policy.alerts.every, dry_run=dry_run, as_json=as_json)


async def _once(watching: Watch, *, dry_run: bool, as_json: bool) -> int:
    from trimtab.alerts.watch import tell_now
    from trimtab.app import SystemClock

    _check_environments(watching)
    seen, told = watching.look(datetime.now(UTC), explained=True), list["Told"]()
    if not dry_run:
        seen = watching.note(seen)
        told = await tell_now(watching.store, watching.policy.alerts.channels, SystemClock(), PATIENCE)
    _show(seen, told, as_json=as_json)
    return FINE if seen.is_fine else NOT_FINE


def _until_stopped(watching: Watch, every: timedelta | None, *, dry_run: bool, as_json: bool) -> int:
    from trimtab.alerts.watch import keep_watching
    from trimtab.app import SystemClock

    _check_environments(watching)
    if dry_run:
        raise UsageError("--dry-run looks once", hint="leave --every out")
    click.echo(f"watching {watching.store}; stop with Ctrl-C", err=True)
    asyncio.run(
        keep_watching(
            watching.store,
            watching.policy,
            SystemClock(),
            asked=watching.asked,
            channels=watching.policy.alerts.channels,
            shown=lambda seen: _show(seen, (), as_json=as_json),
            every=every or timedelta(minutes=5),
        )
    )
    return FINE


def _check_environments(watching: Watch) -> None:
    from trimtab.journal.reader import Journal
    from trimtab.policy.problems import unknown

    with Journal(watching.store) as journal:
        known = {*journal.environments(), *watching.policy.environments, "local"}
    for name in watching.asked or ():
        if name not in known:
            text, hint = unknown("environment", name, known)
            raise UsageError(text, hint=hint)


def _test(policy: Policy, name: str, *, as_json: bool) -> int:
    from trimtab.alerts.channels import message, send
    from trimtab.cli.show import print_json
    from trimtab.core.watched import AlertFact
    from trimtab.policy.problems import unknown

    channels: Mapping[str, ChannelSpec] = policy.alerts.channels
    if name not in channels:
        if not channels:
            raise UsageError(f"{policy.source} declares no channel", hint=f'add [alerts.channels.{name}] kind = "log"')
        text, hint = unknown("channel", name, channels)
        raise UsageError(f"{policy.source}: {text}", hint=hint)
    what = f"a test of channel {name!r}: nothing is wrong"
    alert = AlertFact("test", 0, "open", "note", what, "trimtab watch --once", {}, datetime.now(UTC))
    reason = asyncio.run(send(channels[name], message(alert)))
    if as_json:
        print_json({"channel": name, "accepted": not reason, "reason": reason})
    else:
        click.echo(f"{name}: {reason or 'accepted'}")
    return NOT_FINE if reason else FINE


def _time(option: str, given: str | None) -> timedelta | None:
    from trimtab.policy.experiment import duration
    from trimtab.policy.leaves import TIME

    if given is None:
        return None
    if not TIME.fits(given):
        raise UsageError(f"{option} is {given!r}, expected {TIME.expected}")
    return duration(given)


def _show(seen: Round, told: Sequence[Told], *, as_json: bool) -> None:
    from trimtab.cli.show import print_json

    if as_json:
        print_json(_json(seen, told))
    else:
        _print(seen, told)
    for failed in seen.failed:
        click.echo(f"error: could not look at {failed}", err=True)


def _json(seen: Round, told: Sequence[Told]) -> dict[str, Any]:
    return {
        "at": seen.now,
        "environments": list(seen.environments),
        "fine": seen.is_fine,
        "findings": [{"next" if k == "mend" else k: v for k, v in asdict(t).items()} for t in seen.found],
        "moved": [{"cause": m.cause, "state": m.state, "what": m.what} for m in seen.moved],
        "open": [{"cause": a.cause, "state": a.state, "what": a.what, "at": a.at} for a in seen.open],
        "delivered": [
            {
                "cause": t.alert.cause,
                "state": t.alert.state,
                "channel": t.channel,
                "attempt": t.attempt,
                "reason": t.reason,
            }
            for t in told
        ],
        "knows": [asdict(k) for k in seen.knows],
        "failed": list(seen.failed),
    }


def _print(seen: Round, told: Sequence[Told]) -> None:
    from rich.markup import escape

    from trimtab.cli.show import console

    out = console()
    news = {move.cause: {"open": " (new)", "worse": " (worse)"}.get(move.state, "") for move in seen.moved}
    for trouble in seen.found:
        colour = "bold red" if trouble.weight == "error" else "yellow"
        new = news.get(trouble.cause, "")
        out.print(f"[{colour}]{trouble.weight}[/]: {escape(trouble.what)}{new}", soft_wrap=True)
        out.print(f"  cause: {escape(trouble.cause)}\n  hint: {escape(trouble.mend)}", soft_wrap=True)
    for move in seen.moved:
        if move.state == "closed":
            out.print(f"[green]{escape(move.what)}[/]", soft_wrap=True)
    for one in told:
        came = f"not accepted, it is tried again: {one.reason}" if one.reason else "accepted"
        out.print(f"  told {escape(one.channel)} of {escape(one.alert.cause)} ({one.alert.state}): {escape(came)}")
    places = ", ".join(seen.environments) or "no environment has runs yet"
    out.print(f"{seen.now:%Y-%m-%d %H:%M} UTC, {escape(places)}: {'nothing is wrong' if seen.is_fine else 'see above'}")
    for known in seen.knows:
        ready = "" if known.ready else "cannot tell yet: "
        out.print(
            f"  [dim]{known.detector} {escape(known.environment)}: {ready}{escape(known.what)}[/]", soft_wrap=True
        )
    sys.stdout.flush()

"""`trimtab audit`: who changed which model plays which role, where, when, why, and on what evidence."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from trimtab.cli.options import find_store, json_option, policy_option, store_option
from trimtab.core.errors import UsageError


@click.command()
@click.argument("name", required=False)
@click.option("--since", metavar="7d|DATE", help="Only what happened from then on.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N entries.  [default: all]")
@policy_option
@store_option
@json_option
def audit(
    name: str | None, since: str | None, limit: int | None, policy_file: str, store: Path | None, as_json: bool
) -> None:
    """List every move of rollouts and experiments and every step on a host, the newest last.

    NAME is a rollout, an experiment or a host. The log is only ever added to; --json has all of the evidence.
    """
    from trimtab.cli.audit_lines import as_json as told
    from trimtab.cli.audit_lines import entries, print_entries
    from trimtab.cli.show import print_json

    now = datetime.now(UTC)
    begin = None if since is None else _since(since, now)
    path = find_store(store, policy_file)
    every = entries(path)
    found = [entry for entry in every if name is None or entry.concerns(name)]
    if name is not None and not found:
        raise _unknown(name, path, sorted({known for entry in every for known in entry.names}))
    found = [entry for entry in found if begin is None or entry.at >= begin]
    shown = found[-limit:] if limit else found
    if as_json:
        print_json([told(entry) for entry in shown])
    else:
        print_entries(shown, left_out=len(found) - len(shown), since=begin)


def _since(text: str, now: datetime) -> datetime:
    from trimtab.policy.experiment import duration
    from trimtab.policy.leaves import TIME

    if TIME.fits(text):
        # Thousands of years before now there is no date.
        return now - min(duration(text), timedelta(days=36_500))
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise UsageError(
            f"--since is {text!r}, expected a date or a time", hint="--since 2026-11-23, or 7d, 12h"
        ) from None


def _unknown(name: str, store: Path, known: list[str]) -> UsageError:
    from trimtab.policy.problems import unknown

    if not known:
        return UsageError(f"{str(store)!r} has no rollout, experiment or host yet", hint="trimtab rollout status")
    text, hint = unknown("rollout, experiment or host", name, known)
    return UsageError(text, hint=hint or "trimtab audit")

"""`trimtab doctor`: what this host really runs, what is wrong with that, and the command that mends it."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import POLICY_FILE, json_option, policy_option, store_option
from trimtab.core.finding import Checked, Finding

if TYPE_CHECKING:
    from trimtab.cli.doctor_checks import Check, Scene

# All checks together: what takes longer is said not to have been looked at.
_SECONDS = 2.5
_URGENT = {"error": 0, "warning": 1, "note": 2}


@click.command()
@click.option("--home", metavar="DIR", help="The home whose settings count.  [default: yours]")
@click.option("--project", metavar="DIR", help="The project's folder.  [default: where you are]")
@click.option("--offline", is_flag=True, help="Ask no model provider whether it can be reached.")
@policy_option
@store_option
@json_option
def doctor(
    home: str | None, project: str | None, offline: bool, policy_file: str, store: Path | None, as_json: bool
) -> int:
    """Look at this host: the terminal, the policy, the journal, keys, limits. Reads only, and takes three seconds at most.

    No key is read out or sent. Leaves with 1 where a finding has weight (an error or a warning).
    """
    from trimtab.cli.doctor_checks import CHECKS, scene

    started, now = time.monotonic(), datetime.now(UTC)
    looked_at = scene(home, project, policy_file, store, now, offline=offline, named=policy_file != POLICY_FILE)
    checked = _all(CHECKS, looked_at, started + _SECONDS)
    findings = sorted((f for c in checked for f in c.findings), key=lambda finding: _URGENT[finding.weight])
    (_print_json if as_json else _print)(checked, findings, now)
    return FINE if all(finding.is_fine for finding in findings) else NOT_FINE


def _all(checks: Sequence[tuple[str, Check]], looked_at: Scene, until: float) -> list[Checked]:
    """Make every check at once, each in a thread of its own: one that hangs holds up neither the others nor the end."""
    done: queue.SimpleQueue[tuple[str, Checked]] = queue.SimpleQueue()

    def make(name: str, check: Check) -> None:
        done.put((name, _one(name, check, looked_at)))

    for name, check in checks:
        threading.Thread(target=make, args=(name, check), daemon=True).start()
    found: dict[str, Checked] = {}
    while len(found) < len(checks) and (left := until - time.monotonic()) > 0:
        try:
            name, checked = done.get(timeout=left)
        except queue.Empty:
            break
        found[name] = checked
    return [found.get(name, _late(name)) for name, _ in checks]


def _one(name: str, check: Check, looked_at: Scene) -> Checked:
    try:
        return check(looked_at)
    except Exception as error:  # noqa: BLE001 - a doctor that dies of one symptom tells nothing of the others
        what = f"could not look at {name}: {type(error).__name__}: {error}"
        return Checked(name, "could not be looked at", (Finding(what.replace("\nhint: ", "; ")),))


def _late(name: str) -> Checked:
    mend = "trimtab terminal usage" if name == "spend" else ""
    what = f"{name} took longer than the doctor waits"
    return Checked(name, f"not known within {_SECONDS:g} s", (Finding(what, mend=mend, weight="note"),))


def _print(checked: Sequence[Checked], findings: Sequence[Finding], now: datetime) -> None:
    from trimtab.cli.findings import print_findings

    click.echo(f"{socket.gethostname()}, {now:%Y-%m-%d %H:%M} UTC")
    for one in checked:
        if one.said:
            click.echo(f"  {one.name:<12} {one.said}")
    click.echo("")
    print_findings(findings)
    counted = [(sum(f.weight == weight for f in findings), weight) for weight in _URGENT]
    told = ", ".join(f"{count} {weight}{'s' * (count != 1)}" for count, weight in counted if count)
    click.echo(f"\n{told}" if told else "nothing has to be done")


def _print_json(checked: Sequence[Checked], findings: Sequence[Finding], now: datetime) -> None:
    from trimtab.cli.findings import findings_json
    from trimtab.cli.show import print_json

    told = [{"check": c.name, "said": c.said, "findings": findings_json(c.findings)} for c in checked]
    weighty = sum(not finding.is_fine for finding in findings)
    print_json(
        {
            "host": socket.gethostname(),
            "at": now,
            "folder": str(Path.cwd()),
            "uid": os.getuid(),
            "fine": not weighty,
            "checks": told,
        }
    )

"""`trimtab budgets`: what of each cap is used, and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, NOT_FINE
from trimtab.cli.options import json_option, load_policy, policy_option, store_option

if TYPE_CHECKING:
    from trimtab.journal.balances import Balance
    from trimtab.policy.caps import Amount, Cap
    from trimtab.policy.spec import Policy


@dataclass(frozen=True, slots=True)
class CapLine:
    """One cap, today. `spent`, `reserved` and `lost` are of the day, or of the run that has used most of it (`run_id`).

    `unpriced` counts calls whose dollars are not known, and are hence in none of these.
    """

    environment: str
    role: str
    cap: str
    amount: Amount
    spent: Amount
    reserved: Amount
    lost: Amount
    left: Amount
    share: float
    unpriced: int
    run_id: str

    @property
    def reached(self) -> bool:
        """Whether nothing is left."""
        return self.share >= 1


@click.command()
@policy_option
@store_option
@json_option
def budgets(policy_file: str, store: Path | None, as_json: bool) -> int:
    """Show what of each cap is used, and what is left.

    Days are UTC. Caps on a run are shown for the one that has used most of those that have not ended. Exits with 1 where a cap is reached or runs are paused.
    """
    from trimtab.cli.show import print_json
    from trimtab.journal.reader import Journal

    loaded, today = load_policy(policy_file), datetime.now(UTC).date()
    if not loaded.budgets:
        if as_json:
            print_json({"day": today, "caps": [], "paused": {}})
        else:
            click.echo(f"{loaded.source} has no [budgets]: nothing is capped")
        return FINE
    with Journal(store or loaded.store) as journal:
        days, runs = journal.balances(today)
        paused = journal.paused()
    lines = list(_lines(loaded, today, days, runs))
    if as_json:
        print_json({"day": today, "caps": [asdict(line) for line in lines], "paused": paused})
    else:
        _print(lines, today, paused)
    return NOT_FINE if paused or any(line.reached for line in lines) else FINE


def _lines(loaded: Policy, today: date, days: Sequence[Balance], runs: Sequence[Balance]) -> Iterable[CapLine]:
    from trimtab.policy.caps import all_caps

    for environment, budget in sorted(loaded.budgets.items()):
        for cap in all_caps(environment, budget):
            listed = [b for b in (days if cap.per == "day" else runs) if b.environment == environment]
            mine = [b for b in listed if b.role == cap.role or not cap.role]
            if cap.per == "day":
                yield _line(environment, cap, [b for b in mine if b.day == today], "")
            else:
                ids = {b.run_id for b in mine}
                each = [_line(environment, cap, [b for b in mine if b.run_id == i], i) for i in sorted(ids)]
                yield max(each, key=lambda line: line.share, default=_line(environment, cap, [], ""))


def _line(environment: str, cap: Cap, balances: Sequence[Balance], run_id: str) -> CapLine:
    def used(state: str) -> Amount:
        return sum((getattr(b, cap.unit) for b in balances if b.state == state), start=type(cap.amount)(0))

    spent, reserved, lost = used("settled"), used("reserved"), used("lost")
    left = cap.amount - spent - reserved - lost
    return CapLine(
        environment=environment,
        role=cap.role,
        cap=cap.name,
        amount=cap.amount,
        spent=spent,
        reserved=reserved,
        lost=lost,
        left=left,
        share=float((cap.amount - left) / cap.amount),
        unpriced=sum(b.unpriced for b in balances) if cap.unit == "usd" else 0,
        run_id=run_id,
    )


def _print(lines: Sequence[CapLine], today: date, paused: Mapping[str, int]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from trimtab.cli.show import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("environment", "role", "cap", "open run"):
        table.add_column(name, no_wrap=True)
    for name in ("amount", "spent", "reserved", "lost", "left", "used"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        amounts = (line.amount, line.spent, line.reserved, line.lost, line.left)
        used = f"[{'red' if line.reached else 'green'}]{line.share:.1%}[/]"
        if line.unpriced:
            used += f" and {line.unpriced} calls of no known price"
        names = (line.environment, line.role or "all", line.cap, line.run_id or "-")
        table.add_row(*map(escape, names), *(_shown(line.cap, amount) for amount in amounts), used)
    out = console()
    out.print(f"{today} (UTC)")
    out.print(table)
    for environment, count in sorted(paused.items()):
        what = "run is paused" if count == 1 else "runs are paused"
        out.print(f"[yellow]{count} {what} in {escape(environment)}[/]: trimtab runs list --status paused_budget")


def _shown(cap: str, amount: Amount) -> str:
    return f"${amount:,.4f}" if cap.startswith("usd") else f"{amount:,}"

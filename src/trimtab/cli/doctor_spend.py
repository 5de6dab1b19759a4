"""What the last seven days cost on this host, and what of it came to nothing: the terminal's sessions, and runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trimtab.core.errors import TrimtabError
from trimtab.core.finding import Checked, Finding

if TYPE_CHECKING:
    from trimtab.cli.doctor_checks import Scene

_WEEK = timedelta(days=7)
_SECONDS = 1.5


def spend(at: Scene) -> Checked:
    """Add up both; what has no known price is said, and makes dollars a lower bound."""
    parts = [part for part in (_sessions(at), _runs(at)) if part]
    findings = [finding for _, found in parts for finding in found]
    return Checked(
        "spend", f"in 7 days {'; '.join(said for said, _ in parts)}" if parts else "nothing in 7 days", tuple(findings)
    )


def _runs(at: Scene) -> tuple[str, list[Finding]] | None:
    if at.store is None:
        return None
    from trimtab.journal.costs import Period
    from trimtab.journal.reader import Journal

    try:
        with Journal(at.store) as journal:
            real, _ = journal.costs([], period=Period(since=(at.now - _WEEK + timedelta(days=1)).date()))
    except TrimtabError:
        return None  # the check of the journal says why
    spent = real.total
    if not spent.calls:
        return None
    share = "" if spent.share_wasted is None else f", {spent.share_wasted:.0%} of it wasted"
    return (
        f"{'>= ' if spent.unpriced else ''}${spent.usd:,.2f} by {spent.runs:,} run{'s' * (spent.runs != 1)}{share}",
        _unknown(spent.unpriced, "model calls of runs", "trimtab models check"),
    )


def _sessions(at: Scene) -> tuple[str, list[Finding]] | None:
    from trimtab.cli.terminal_usage_prices import TerminalPrices
    from trimtab.models.catalogue import Catalogue
    from trimtab.terminal.usage_week import week

    prices = TerminalPrices(Catalogue(at.policy.price_file if at.policy else None))
    used = week(at.place.folder, prices, at.now, seconds=_SECONDS)
    if not used.calls:
        return None
    share = "" if used.wasted_share is None else f", {used.wasted_share:.0%} of it lost"
    found = _unknown(sum(used.unpriced.values()), "calls of the terminal", "trimtab terminal usage --by model")
    if used.mismatches:
        pairs = ", ".join(f"{pair} ({count:,})" for pair, count in used.mismatches.items())
        what = f"the terminal was answered by another model than it asked for: {pairs}"
        found.append(Finding(what, "", "a fallback, or a gateway", "trimtab terminal usage --by model"))
    others = [version for version in used.versions if version and version != at.cli[1]]
    if at.cli[1] and others:
        what = f"sessions of the week ran {', '.join(others)}; installed is {at.cli[1]}"
        why = "versions differ in their default model and in what aliases mean"
        found.append(Finding(what, "", why, "set a full id: trimtab terminal set MODEL", "note"))
    if not used.whole:
        found.append(
            Finding("not every transcript was read in time", "", "", "trimtab terminal usage --since 7d", "note")
        )
    bound = ">= " if used.unpriced or not used.whole else ""
    return (
        f"{bound}${used.usd_known:,.2f} by {used.sessions:,} session{'s' * (used.sessions != 1)} of the terminal{share}",
        found,
    )


def _unknown(calls: int, of: str, mend: str) -> list[Finding]:
    if not calls:
        return []
    return [Finding(f"{calls:,} {of} have no known price", "", "what they cost is not in any sum", mend)]

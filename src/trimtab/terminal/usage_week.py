"""The last week of the terminal in a few figures, for who only wants to know whether something is wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from trimtab.terminal.index import open_index
from trimtab.terminal.index_fill import CallPrices, fill, price
from trimtab.terminal.usage import Span, read

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """What the terminal used in the seven days before `now`.

    usd:          dollars; None where calls have no known price. `usd_known` is what the others came to.
    unpriced:     calls without a known price, by model.
    wasted_share: share of the known dollars in iterations that ended without an answer; None where nothing was spent.
    wasted_by:    dollars of these by how they ended.
    mismatches:   answers of another model than asked for, by `asked -> answered`; `fallbacks` likewise.
    versions:     calls by version of the terminal, the newest last.
    whole:        False where time ran out: then everything here is of some of the transcripts only.
    problems:     files that cannot be read and lines that cannot be used.
    """

    usd: Decimal | None
    usd_known: Decimal
    unpriced: Mapping[str, int]
    wasted_share: float | None
    wasted_by: Mapping[str, Decimal]
    calls: int
    sessions: int
    retries: int
    mismatches: Mapping[str, int]
    fallbacks: Mapping[str, int]
    versions: Mapping[str, int]
    whole: bool
    problems: Sequence[str]


def week(folder: Path, prices: CallPrices, now: datetime, *, seconds: float = 2.0) -> UsageSummary:
    """Sum up the last week of the terminal's `folder` (`~/.claude`), in at most about `seconds`. Writes nothing.

    Only transcripts that were written to in that week are read.
    """
    stop = time.monotonic() + seconds
    since = now - WEEK
    index = open_index(None)
    try:
        connection = index.connection
        filled = fill(connection, folder, since=int(since.timestamp() * 1000), enough=lambda: time.monotonic() > stop)
        price(connection, prices)
        used = read(connection, Span.of(since, now), "model", now)
    finally:
        index.close()
    total = used.total
    return UsageSummary(
        usd=total.usd,
        usd_known=total.usd_known,
        unpriced=used.unpriced,
        wasted_share=total.lost_share,
        wasted_by=total.lost_dollars,
        calls=total.calls,
        sessions=len(total.sessions),
        retries=total.retries,
        mismatches=used.mismatches,
        fallbacks=used.fallbacks,
        versions=used.versions,
        whole=not filled.left,
        problems=[*filled.bad, *filled.shut],
    )

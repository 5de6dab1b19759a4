"""What a move rests on, in a few lines; `trimtab audit --json` has all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from trimtab.cli.rollout_words import answered_text
from trimtab.core.values import Json


def in_short(evidence: Json) -> Iterator[str]:
    """Give a line for each part: the verdict that was needed, the gate's figures, hosts."""
    told = cast("Mapping[str, Any]", evidence or {})
    if "without_needs" in told:
        yield f"without the verdict of {told['needs']['experiment']}: {told['without_needs']}"
    elif "needs" in told:
        yield f"rests on experiment {told['needs']['experiment']}: {told['needs']['verdict']}: {told['needs']['reason']}"
    gated = cast("Mapping[str, Any]", told.get("gate", told))
    if "word" in gated:
        yield f"the gate said {gated['word']}" + (f"; missing: {gated['missing']}" if gated["missing"] else "")
    if "metrics" in gated:
        yield from figures(gated)
    for name, end in told.get("hosts", {}).items():
        proved = f" ({answered_text(end['answered'])})" if end["answered"] else ""
        yield f"{name}: {end['step']}{proved}" + (f": {end['why']}" if end["why"] else "")


def figures(gated: Mapping[str, Any]) -> Iterator[str]:
    """Give the figures of a gate: its runs, and a line for each metric."""
    runs = gated["runs"]
    if not runs["treatment"]:
        yield "no run on the new map has an outcome yet"
        return
    yield f"runs: {runs['treatment']:,} on the new map, {runs['control']:,} on the old ({gated['comparison']})"
    for name, row in gated["metrics"].items():
        yield f"{name}: {metric_text(row)}"


def metric_text(row: Mapping[str, Any]) -> str:
    """Write a metric of the gate's evidence: both arms, the interval of their difference, its limit, what is shown."""
    if row["difference"] is None:
        return "no figures yet"
    relative = row["scale"] == "relative"

    def amount(value: float | None, *, signed: bool = False) -> str:
        if value is None:
            return "unknown" if not signed else "unbounded"
        if signed:
            return f"{value:+.1%}" if relative else f"{value:+.4g}"
        return f"{value:.4g}"

    arms = f"{amount(row['control'])} -> {amount(row['treatment'])}"
    ends = f"{amount(row['low'], signed=True)} to {amount(row['high'], signed=True)}"
    limit = f", limit {amount(row['limit'], signed=True)}" if row["limit"] is not None else ""
    word = {"holds": "shown to hold", "harm": "harm is shown", "nothing": "not shown yet"}[row["shown"]]
    return f"{arms}, change {ends}{limit}: {word}"

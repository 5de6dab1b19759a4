"""Findings on a terminal and as JSON: what, where, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from trimtab.cli.show import console
from trimtab.core.finding import Finding, Weight

_COLOURS: dict[Weight, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each finding, with its hint last."""
    out = console()
    for finding in findings:
        colour = _COLOURS[finding.weight]
        out.print(f"[{colour}]{finding.weight}[/]: {escape(finding.what)}", soft_wrap=True)
        for word, text in (("where", finding.where), ("why", finding.why), ("hint", finding.mend)):
            if text:
                out.print(f"  {word}: {escape(text)}", soft_wrap=True)


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Give findings as JSON has them; what mends one is its `hint`."""
    return [{"hint" if key == "mend" else key: text for key, text in asdict(f).items()} for f in findings]


def is_fine(findings: Sequence[Finding]) -> bool:
    """Whether nothing has to be done."""
    return all(finding.is_fine for finding in findings)

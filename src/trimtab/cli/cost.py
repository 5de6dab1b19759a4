"""`trimtab cost`: what runs cost, what another model would cost, and when the dearer one pays."""

from __future__ import annotations

import click

from trimtab.cli.lazy import Lazy

_COMMANDS = {
    "report": "Dollars by role, model, arm, workflow, outcome, day or host: in all, wasted, and per successful run.",
    "forecast": "What the same calls would cost on another model, line by line.",
    "breakeven": "The loss per failed run above which the dearer role map pays.",
    "advise": "Which roles to move up or down under a monthly cap and a floor on success.",
}


@click.group(cls=Lazy, one_line=_COMMANDS, prefix="trimtab.cli.cost_")
def cost() -> None:
    """Say what runs cost, what they would cost on other models, and when the dearer model pays."""

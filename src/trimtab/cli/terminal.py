"""`trimtab terminal`: the Claude Code terminal of this host."""

from __future__ import annotations

import click

from trimtab.cli.lazy import Lazy

_COMMANDS = {
    "show": "The model a fresh session would run here, where that comes from, and what loses to it.",
    "verify": "Run the installed terminal against a stub on loopback and read the model it asks for.",
    "set": "Set the default model, or lock it; verified, and taken back where that fails.",
    "undo": "Put back what the last `set` changed.",
    "usage": "Tokens, dollars, iteration cycles, retries and waste, from the transcripts.",
    "listen": "Take the terminal's OTLP telemetry on loopback.",
}


@click.group(cls=Lazy, one_line=_COMMANDS, prefix="trimtab.cli.terminal_")
def terminal() -> None:
    """Say which model the Claude Code terminal really runs here, what it used, and change that safely."""

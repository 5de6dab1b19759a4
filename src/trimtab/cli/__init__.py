"""The command line. Each command is a module, imported when it is called, so that `trimtab --help` starts at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from trimtab.cli.lazy import Lazy
from trimtab.core.errors import RunError, TrimtabError

_COMMANDS = {
    "demo": "Book 30 charters on a simulated model, on this machine, and score them.",
    "run": "Start a workflow on one request and wait until it ended or needs somebody.",
    "runs": "List, show, resume and cancel runs.",
    "effects": "List, show and settle what runs wrote to the world.",
    "approvals": "List, show and decide the calls that wait for a person.",
    "credentials": "List what roles depend on, and what waits for it.",
    "budgets": "Show what of each cap is used, and what is left.",
    "worker": "Work on every run of a store until stopped.",
    "policy": "Check the policy file and show which model plays each role, and why.",
    "experiment": "Compare two role maps on live runs: plan, start, read, stop.",
    "compare": "Say whether one arm of a table of runs is better: ship, stop or undecided.",
    "rollout": "Move a change of the role map stage by stage and host by host, and back with one command.",
    "hosts": "Show, change and restore the hosts of the policy: wanted, configured, and the model that answered last.",
    "audit": "List who changed which model plays which role, where, when, why and on what evidence.",
    "replay": "Run requests again on another role map, where nothing is real, and compare.",
    "cost": "What runs cost, what another model would cost, and what a failure may cost before that pays.",
    "watch": "Look for spikes, chronic burn and other trouble, and tell somebody.",
    "models": "List models with prices and retirement dates, and check those the policy names.",
    "terminal": "The Claude Code terminal: which model it really runs, what it used, set, lock and undo.",
    "doctor": "Look at this host and say what is wrong and which command mends it; changes nothing.",
    "service": "A systemd unit for the worker, with limits for this host: show it, install it.",
    "simulate": "Serve simulated models on loopback, as the Messages API does.",
}
FINE, NOT_FINE, USAGE, INTERRUPTED = 0, 1, 2, 130


@click.group(
    cls=Lazy,
    one_line=_COMMANDS,
    prefix="trimtab.cli.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="trimtab")
def cli() -> None:
    """Run agents durably, and decide by measurement which model plays which role."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with 0 (fine), 1 (what was asked about is not fine) or 2 (wrong use or policy)."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code: Any = cli.main(arguments, prog_name="trimtab", standalone_mode=False)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except TrimtabError as error:
        click.echo(f"error: {error}", err=True)
        return NOT_FINE if isinstance(error, RunError) else USAGE
    return code if isinstance(code, int) else FINE

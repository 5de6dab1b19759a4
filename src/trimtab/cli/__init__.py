"""The command line. Each command is a module, imported when it is called, so that `trimtab --help` starts at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

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
    "replay": "Run requests again on another role map, where nothing is real, and compare.",
    "simulate": "Serve simulated models on loopback, as the Messages API does.",
}
FINE, NOT_FINE, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        return getattr(importlib.import_module(f"trimtab.cli.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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

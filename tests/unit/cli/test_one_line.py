"""Words that are kept in a log and printed later: one line, without what steers a terminal, and never nobody."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from trimtab.cli.options import one_line
from trimtab.core.errors import UsageError


@click.command()
@click.option("--by", required=True, callback=one_line)
@click.option("--reason", default="", callback=one_line)
@click.option("--without", callback=one_line)
def moved(by: str, reason: str, without: str | None) -> None:
    """Say what was read."""
    click.echo(repr((by, reason, without)))


def said(*arguments: str) -> tuple[str, str, str | None]:
    done = CliRunner().invoke(moved, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return eval(done.output)


def test_words_are_kept_as_they_were_said():
    assert said("--by", "Zoë 🚀 \u200d", "--reason", "why not?") == ("Zoë 🚀 \u200d", "why not?", None)


def test_line_ends_and_what_steers_a_terminal_cannot_forge_a_line_of_the_log():
    forged = "olga\n2026-11-23 12:00:00 UTC  paul  rollout dearer  undo"
    assert said("--by", forged)[0] == "olga 2026-11-23 12:00:00 UTC paul rollout dearer undo"
    assert said("--by", "ol\x1b[31mga\x07\x9b2J")[0] == "ol?[31mga??2J"


@pytest.mark.parametrize("nobody", ["", "  ", "\n\t"])
def test_nobody_is_no_answer_to_who_and_no_reason_is_no_reason(nobody: str):
    with pytest.raises(UsageError, match="--by is empty"):
        said("--by", nobody)
    with pytest.raises(UsageError, match="--without is empty"):
        said("--by", "olga", "--without", nobody)
    assert said("--by", "olga", "--reason", nobody) == ("olga", "", None)

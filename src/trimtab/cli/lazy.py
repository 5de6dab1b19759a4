"""A group of commands that are modules, each imported when it is called, so that help and every other command start at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

_SENTENCE = 1000


class Whole(click.Group):
    """A group whose help says of each command the whole first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each is for."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(n, c.get_short_help_str(_SENTENCE)) for n, c in commands.items() if c and not c.hidden]
            )


class Lazy(click.Group):
    """`one_line` says of each command what it is for; command `NAME` is the attribute `NAME` of module `prefix` + `NAME`."""

    def __init__(self, *, one_line: Mapping[str, str], prefix: str, **more: Any) -> None:
        super().__init__(**more)
        self.one_line = one_line
        self.prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order they are shown."""
        del ctx
        return list(self.one_line)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in self.one_line:
            return None
        return getattr(importlib.import_module(self.prefix + cmd_name), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each is for, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.one_line.items()))

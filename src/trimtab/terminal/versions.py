"""What differs from one version of the terminal to the next, as measured; a version between or beyond is taken as its nearest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Known:
    """What one measured version does.

    families:       alias -> full id, of the families whose generation an alias follows (`haiku`, `sonnet`, `opus`, `fable`).
    renamed:        full ids that are sent as the current Opus.
    default_key:    whether ANTHROPIC_DEFAULT_MODEL is read.
    managed_lists:  whether `deniedModels` and `availableModelsMatch` are read.
    tells:          whether `claude -p` says on standard error which file it dropped.
    newest:         family -> full ids, newest first: what is stepped down to where a list forbids the alias's own.
    closes:         whether a managed file that cannot be read stops the terminal.
    old:            whether names are sent in the case they are written in, and `best` follows Fable's variable.
    sonnet_long:    what `sonnet[1m]` is sent as, where that is not what `sonnet` is.
    agents:         the subagents that are built in -> the model that each names (None: nothing).
    forces:         whether CLAUDE_CODE_SUBAGENT_MODEL_FORCE is read; where not, CLAUDE_CODE_SUBAGENT_MODEL itself beats all.
    retired:        what no session goes on with.
    rooted:         whether a project's local settings are those of its repository's main checkout, and its own count behind them.
    others:         undated ids that it knows and that are of no use for anything but for a session to go on with.
    """

    version: str
    families: Mapping[str, str]
    renamed: frozenset[str]
    default_key: bool
    managed_lists: bool
    tells: bool
    newest: Mapping[str, tuple[str, ...]]
    closes: bool
    agents: Mapping[str, str | None]
    forces: bool
    retired: re.Pattern[str]
    others: tuple[str, ...]
    rooted: bool
    old: bool = False
    sonnet_long: str = ""


_OLD_OPUS = frozenset(
    {
        "claude-opus-4-0",
        "claude-opus-4-1",
        "claude-opus-4-20250514",
        "claude-opus-4-1-20250805",
    }
)

_RETIRED = r"claude-(3-opus|3-7-sonnet|3-5-haiku|(opus|sonnet)-4(-0)?($|[-@]20))"

MEASURED: Mapping[str, Known] = {
    "2.1.197": Known(
        "2.1.197",
        {
            "haiku": "claude-haiku-4-5-20251001",
            "sonnet": "claude-sonnet-5",
            "opus": "claude-opus-4-8",
            "fable": "claude-fable-5",
        },
        _OLD_OPUS,
        default_key=False,
        managed_lists=False,
        tells=False,
        newest={
            "opus": ("claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5-20251101"),
            "sonnet": ("claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5-20250929"),
            "haiku": ("claude-haiku-4-5-20251001", "claude-3-5-haiku-20241022"),
            "fable": ("claude-fable-5",),
        },
        closes=False,
        agents={
            "claude": None,
            "Explore": "haiku",
            "general-purpose": None,
            "Plan": "inherit",
            "statusline-setup": "sonnet",
        },
        forces=False,
        retired=re.compile(_RETIRED),
        others=("claude-opus-4-1", "claude-3-5-sonnet"),
        rooted=False,
        old=True,
        sonnet_long="sonnet-4-5-20250929",
    ),
    "2.1.330": Known(
        "2.1.330",
        {
            "haiku": "claude-haiku-5-5",
            "sonnet": "claude-sonnet-5-5",
            "opus": "claude-opus-5-5",
            "fable": "claude-fable-5-2",
        },
        _OLD_OPUS,
        default_key=True,
        managed_lists=True,
        tells=True,
        newest={
            "opus": (
                "claude-opus-5-5",
                "claude-opus-5",
                "claude-opus-4-8",
                "claude-opus-4-7",
                "claude-opus-4-6",
                "claude-opus-4-5-20251101",
            ),
            "sonnet": ("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5-20250929"),
            "haiku": ("claude-haiku-5-5", "claude-haiku-4-5-20251001", "claude-3-5-haiku-20241022"),
            "fable": ("claude-fable-5-2", "claude-fable-5"),
        },
        closes=True,
        agents={
            "claude": None,
            "Explore": "inherit",
            "general-purpose": None,
            "Plan": "inherit",
            "statusline-setup": "sonnet",
        },
        forces=True,
        retired=re.compile(f"{_RETIRED}|claude-3-5-sonnet"),
        others=("claude-opus-4-1",),
        rooted=True,
    ),
}
NEWEST = "2.1.330"


def numbers(version: str) -> tuple[int, int, int] | None:
    """Read `2.1.330`, with or without words around it; None where there is none."""
    match = _NUMBERS.search(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def nearest(version: str) -> Known:
    """Give what was measured at the version nearest to this one; the newest where it cannot be read."""
    asked = numbers(version) or numbers(NEWEST) or (0, 0, 0)

    def far(known: Known) -> tuple[int, ...]:
        return tuple(abs(a - b) for a, b in zip(numbers(known.version) or (0, 0, 0), asked, strict=True))

    return min(MEASURED.values(), key=far)


def installed(cli: str | None = None, env: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """Give the path and the version of the terminal that is installed; None where there is none, or it does not say."""
    path = cli or shutil.which("claude", path=(env or os.environ).get("PATH"))
    if path is None:
        return None, None
    try:
        said = subprocess.run(  # noqa: S603 - the program that is asked about
            [path, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return path, None
    found = numbers(said.stdout)
    return path, ".".join(map(str, found)) if found else None

"""What the demo needs of an example application, and where the one that ships is found."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.run.workflow import Workflow


class Score(Protocol):
    """What an example says of one run."""

    @property
    def matched(self) -> bool:
        """Whether it ended as expected."""
        ...

    @property
    def must_not_hits(self) -> Sequence[str]:
        """Forbidden things that happened."""
        ...

    @property
    def misjudged(self) -> Sequence[str]:
        """Calls that should not have been made, which only a reader of the request can know."""
        ...


class Case(Protocol):
    """One request of an example with what is expected of it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def expected_status(self) -> str:
        """How its run should stand."""
        ...


class Example(Protocol):
    """What the demo needs of an example: its module `demo`."""

    def read_cases(self, path: Path | None) -> Sequence[Case]:
        """Read requests; None: the example's own. Raises UsageError with the line."""
        ...

    def answer_book(self, cases: Sequence[Case]) -> Sequence[Mapping[str, Any]]:
        """What simulated models answer to them."""
        ...

    def prepare(self, folder: Path, case: Case) -> Mapping[str, Any]:
        """Make the world of a request, unless it is there, and give the request as JSON."""
        ...

    def workflow(self, folder: Path) -> Workflow[Any, Any]:
        """The workflow, working on the worlds in a folder."""
        ...

    def score(self, folder: Path, case: Case, status: str, plan: Any) -> Score:
        """Hold the world after a run against what was expected."""
        ...

    def tool_calls(self, folder: Path, case: Case) -> Sequence[tuple[str, datetime]]:
        """Idempotency key and time of every tool call as it came in."""
        ...


def load_example() -> Example:
    """Import the charter example: beside the package in a wheel, at the root of a checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_examples", here.parents[3] / "examples"):
        if (folder / "charter").is_dir():
            sys.path.insert(0, str(folder))
            module: Any = importlib.import_module("charter.demo")
            return module
    raise UsageError("the example application is not installed", hint="reinstall trimtab")

"""An experiment as the store has it, and measured as it stands now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.core.moves import ExperimentFact
    from trimtab.learn.measure import Measured
    from trimtab.policy.spec import ExperimentSpec

_EXTRA = ("numpy", "scipy", "matplotlib")


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment of the store: what it was when it was started, its moves, and where that is."""

    spec: ExperimentSpec
    moves: tuple[ExperimentFact, ...]
    store: Path


def find(name: str, store: Path) -> Found:
    """Find an experiment that was started. Raises UsageError naming those there are."""
    from trimtab.journal.reader import Journal
    from trimtab.policy.experiment import spec_of

    with Journal(store) as journal:
        moves = journal.moves(name)
        known = [move.name for move in journal.experiments()]
    if not moves:
        started = f"; started were {', '.join(known)}" if known else ""
        raise UsageError(
            f"no experiment {name!r} was started in {str(store)!r}{started}", hint="trimtab experiment list"
        )
    last = moves[-1]
    return Found(spec_of(name, last.declared, last.weight), moves, store)


def measured_now(found: Found, alpha: float) -> Measured:
    """Measure an experiment as the store has it now."""
    from trimtab.journal.reader import Journal

    try:
        from trimtab.learn.measure import measure
        from trimtab.learn.metrics import cohort
    except ModuleNotFoundError as missing:
        raise without(missing) from missing
    with Journal(found.store) as journal:
        runs = journal.measures(experiment=found.spec.name)
    return measure(found.spec, cohort(runs, found.spec.name, found.spec.deadline, datetime.now(UTC)), alpha=alpha)


def without(missing: ModuleNotFoundError) -> Exception:
    """Say what to install, where an optional package is missing."""
    if missing.name is None or missing.name.partition(".")[0] not in _EXTRA:
        return missing
    return UsageError(f"this needs {missing.name}, which is not installed", hint="pip install 'trimtab[learn]'")

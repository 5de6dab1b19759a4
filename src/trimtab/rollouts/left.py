"""Which hosts are not proved to be back on what they ran before an attempt of a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.learn.rollout import ENDED
from trimtab.rollouts.fleet_lines import Place, to_restore

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy
    from trimtab.rollouts.moves import Standing


@dataclass(frozen=True, slots=True)
class Left:
    """`places` have to be put back yet; `gone` are no longer in the policy, so that nobody asks them any more."""

    places: tuple[Place, ...] = ()
    gone: tuple[Place, ...] = ()

    @property
    def hosts(self) -> str:
        """Name those that have to be put back."""
        return ", ".join(host for _, host in self.places)


def left(store: Path, policy: Policy, standing: Standing) -> Left:
    """Look at the newest attempt of a rollout that has ended; while it goes on nothing has to be put back."""
    if standing.rollout.state not in ENDED:
        return Left()
    every = to_restore(store, standing.last.name, standing.last.attempt)
    here = {(name, host) for name, group in policy.hosts.items() for host in group.addresses}
    return Left(tuple(p for p in every if p in here), tuple(p for p in every if p not in here))

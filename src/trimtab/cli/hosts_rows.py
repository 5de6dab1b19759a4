"""One line of `trimtab hosts status`: a role on a host, what it is to run, what its files say, and what answered last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from trimtab.rollouts.fleet_lines import Place
from trimtab.rollouts.fleet_status import HostStanding, RoleStanding

SETTLED = frozenset({None, "changed", "restored"})  # how the newest line of a host stands where nobody is at it

State: TypeAlias = Literal["fine", "drift", "unknown"]


@dataclass(frozen=True, slots=True)
class Row:
    """A role on a host (empty: nothing is known of any there).

    wanted:     each of these models is right; none: nobody says. decided: by the policy, or a rollout.
    configured: as it stands in `file`. answered, at: the model of the last answer that is known, and when it came.
    why:        why it is not fine, or what else there is to say.
    """

    environment: str
    group: str
    host: str
    role: str
    wanted: tuple[str, ...]
    configured: tuple[str, ...]
    answered: str | None
    at: datetime | None
    state: State
    why: str = ""
    decided: str = "policy"
    file: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


def rows_of(standings: Sequence[HostStanding], proved: Mapping[Place, datetime]) -> list[Row]:
    """Write hosts, a row a role; `proved` says when the answer came that is known of a host, where that is known."""
    return [row for standing in standings for row in _rows(standing, proved.get((standing.group, standing.host)))]


def _rows(standing: HostStanding, proved: datetime | None) -> Iterator[Row]:
    if standing.why:
        how = "" if standing.reachable else "not reached: "
        yield Row(
            standing.environment, standing.group, standing.host, "", (), (), None, None, "unknown", how + standing.why
        )
    for role in standing.roles:
        state, why = _judged(standing, role)
        yield Row(
            environment=standing.environment,
            group=standing.group,
            host=standing.host,
            role=role.role,
            wanted=(role.wanted,) if role.wanted else (),
            configured=(role.configured,) if role.configured else (),
            answered=role.answered,
            at=proved if role.answered else None,
            state=state,
            why=why,
            decided=standing.decided,
            file=role.file,
            limits=standing.limits,
            versions=standing.versions,
        )


def _judged(standing: HostStanding, role: RoleStanding) -> tuple[State, str]:
    # Being changed, or a change was cut short or came to nothing: what its files say is then no proof.
    if standing.step not in SETTLED:
        return "unknown", f"its last change stands at {standing.step!r}"
    if role.drift:
        several = sum(other.role == role.role for other in standing.roles) > 1
        where = f"in {role.file}" if several else ""
        return "drift", ": ".join(filter(None, (where, "" if role.configured else "nothing is configured")))
    return "fine", ""

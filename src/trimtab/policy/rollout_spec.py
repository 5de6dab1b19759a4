"""`[rollouts]` and `[hosts]` as typed values: a change to the role map, the stages it goes through, and the machines it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from trimtab.policy.spec import RoleSpec

Gate: TypeAlias = Literal["runs", "health"]
GATES: tuple[Gate, ...] = ("runs", "health")
FileKind: TypeAlias = Literal["json", "toml", "env", "terminal"]
FILE_KINDS: tuple[FileKind, ...] = ("json", "toml", "env", "terminal")


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage: `weight` (0 to 1) of the runs of an environment, and as large a share of its hosts (rounded up), for `hold` at least.

    gate: what must hold at the end of the hold. runs: the guardrails, shown on the runs of exactly this stage. health: nothing but
    that the hosts proved the change and stay healthy; for what makes no runs here, such as a terminal.
    """

    environment: str
    weight: float = 1.0
    hold: timedelta = timedelta(days=1)
    gate: Gate = "runs"


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """`[rollouts.NAME]`: `set` is the change to the role map.

    needs:      the name of the experiment whose verdict must be `ship` before it is started; None: nothing must.
    goal:       the metric that must not get worse. guardrails: metric -> what may be lost at most, the goal among them.
    deadline:   a run that has not stood still by then has failed.
    """

    name: str
    set: Mapping[str, RoleSpec]
    stages: tuple[StageSpec, ...]
    needs: str | None = None
    goal: str = "decomposition_success"
    guardrails: Mapping[str, str] = field(default_factory=dict[str, str])
    deadline: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FileSpec:
    """`[hosts.GROUP.files.NAME]`: a settings file that says which model plays which role.

    `keys` maps a role to where its model stands: dotted keys of JSON or TOML, the variable of an env file. `kind` terminal is
    settings of the Claude Code terminal: one role, its key is `model`; `lock` also keeps its users from choosing another.
    `ids`: write the id as that file's program expects it: "bare" (`claude-sonnet-4-6`) or "full" (`anthropic:claude-sonnet-4-6`).
    """

    name: str
    path: str
    kind: FileKind
    keys: Mapping[str, str]
    lock: bool = False
    ids: Literal["bare", "full"] = "bare"


@dataclass(frozen=True, slots=True)
class HealthSpec:
    """One check of a host's health, made on the host; exactly one is given.

    command: leaves with 0. http: a URL that answers 2xx. journal: the policy file of a trimtab worker there, of whose store a run
    that was accepted after the change must complete.
    """

    command: str | None = None
    http: str | None = None
    journal: str | None = None


@dataclass(frozen=True, slots=True)
class HostGroup:
    """`[hosts.GROUP]`: hosts of one environment that are alike, in the order in which a rollout reaches them.

    addresses:    as the system's ssh is given them: names of its config, or user@host.
    batch:        how many are changed at once. max_failures: so many may fail (each is restored) before the rollout stops.
    soak:         how long a batch must stay healthy before the next.
    become:       a command put before every command there, such as "sudo -n".
    files:        what says there which model plays which role.
    unit/restart: what is restarted after a change: a systemd unit, or a command of your own; None of both: nothing.
    prove:        a command whose output names the model of a NEW answer there: JSON {role: model} or {"model": ...}, the JSON of
                  `claude -p --output-format json`, or the model alone on the last line.
    last:         a command that names the model of the last answer there, alike, and asks nobody; None: `prove` was the last.
    timeout:      for each command there.
    """

    name: str
    environment: str
    addresses: tuple[str, ...]
    files: tuple[FileSpec, ...]
    prove: str
    batch: int = 1
    max_failures: int = 0
    soak: timedelta = timedelta(0)
    become: str = ""
    unit: str | None = None
    restart: str | None = None
    last: str | None = None
    health: tuple[HealthSpec, ...] = ()
    timeout: timedelta = timedelta(seconds=60)
    ssh: tuple[str, ...] = ()

"""The policy as typed values: what the file says, nothing decided yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from trimtab.policy.alerts_spec import AlertsSpec
from trimtab.policy.rollout_spec import HostGroup, RolloutSpec

DEFAULT_ENVIRONMENT = "local"
DEFAULT_ROLE = "default"
TERMINAL_ROLE = "terminal"  # the Claude Code terminal, on hosts; no application has it
DEFAULT_MAX_TOKENS = 8192
MOST_MAX_TOKENS = 200_000
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
KINDS = ("anthropic", "openai")
TERMINAL_SCOPES = ("user", "project", "local", "managed")
METRICS = (
    "decomposition_success",
    "tokens_per_success",
    "usd_per_success",
    "latency_p50",
    "latency_p95",
    "latency_p99",
    "retry_rate",
    "cascade_rate",
    "asks",
    "must_not",
)
MORE_IS_BETTER = frozenset({"decomposition_success"})
MOST_FACTORS = 6


@dataclass(frozen=True, slots=True)
class AppSpec:
    """`[app]`: where the application is (`module:callable`, None: not said) and the file that holds runs and facts.

    `sandbox` makes a disposable world for one replayed run, `score` says whether a replayed run did well (see `replay.stage`).
    `prices` is a file of prices of the site's own, which win over those that trimtab comes with.
    """

    factory: str | None = None
    store: str = "trimtab.db"
    sandbox: str | None = None
    score: str | None = None
    prices: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """`[providers.NAME]`: an API that speaks as `kind` does.

    `base_url` None: the vendor's own. `key_env` names the environment variable with the key; None: no key is sent, so that
    a provider somebody adds is never sent the key of another.
    """

    name: str
    kind: Literal["anthropic", "openai"]
    base_url: str | None = None
    key_env: str | None = None


BUILT_IN: Mapping[str, ProviderSpec] = {
    "anthropic": ProviderSpec("anthropic", "anthropic", key_env="ANTHROPIC_API_KEY"),
    "openai": ProviderSpec("openai", "openai", key_env="OPENAI_API_KEY"),
}


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What one entry under `roles` says; None: it says nothing of it. `model` is an alias or `provider:full-id`, as written.

    `prompt` is the file that `instructions`, the text in place of the role's own, were read from.
    """

    model: str | None = None
    max_tokens: int | None = None
    effort: str | None = None
    escalate: tuple[str, ...] | None = None
    prompt: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be used up of dollars, tokens (input and output together) and model calls (turns), a run and a UTC day."""

    usd_per_run: Decimal | None = None
    usd_per_day: Decimal | None = None
    tokens_per_run: int | None = None
    tokens_per_day: int | None = None
    turns_per_run: int | None = None
    turns_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """`[budgets.ENVIRONMENT]`: caps of all roles together, and of single roles."""

    caps: Caps = field(default_factory=Caps)
    roles: Mapping[str, Caps] = field(default_factory=dict[str, Caps])


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """`[credentials.NAME]`: valid while the environment variable `env` is set and `expires` is not past."""

    name: str
    env: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """`[experiments.NAME]`: two arms, or (factorial) one change a role, each drawn for itself.

    weight:     share of runs that get the treatment, 0 to 1, when it is started.
    goal:       the metric that decides. guardrails: metric -> what may be lost at most (`+60%`, `+1.5s`, `+0`).
    deadline:   a run that has not stood still by then has failed.
    horizon:    how long it is meant to run at most.
    """

    name: str
    environment: str
    goal: str
    arms: Mapping[str, Mapping[str, RoleSpec]] = field(default_factory=dict[str, Mapping[str, RoleSpec]])
    control: str = "control"
    factors: Mapping[str, RoleSpec] = field(default_factory=dict[str, RoleSpec])
    weight: float = 0.5
    guardrails: Mapping[str, str] = field(default_factory=dict[str, str])
    deadline: timedelta = timedelta(days=1)
    horizon: timedelta | None = None

    @property
    def roles(self) -> frozenset[str]:
        """Every role that is different in some arm."""
        return frozenset({*self.factors, *(role for changes in self.arms.values() for role in changes)})


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """`[environments.NAME]`: what is different there."""

    name: str
    roles: Mapping[str, RoleSpec] = field(default_factory=dict[str, RoleSpec])


@dataclass(frozen=True, slots=True)
class TerminalSpec:
    """`[terminal]`: the full id that the Claude Code terminal is to run (None: not said), and the settings it belongs in."""

    model: str | None = None
    scope: str = "user"


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file. `source` is the path it was read from; `digest` names its content, not its layout."""

    source: str
    digest: str
    app: AppSpec
    models: Mapping[str, str]
    providers: Mapping[str, ProviderSpec]
    roles: Mapping[str, RoleSpec]
    environments: Mapping[str, EnvironmentSpec]
    budgets: Mapping[str, BudgetSpec] = field(default_factory=dict[str, BudgetSpec])
    credentials: Mapping[str, CredentialSpec] = field(default_factory=dict[str, CredentialSpec])

    experiments: Mapping[str, ExperimentSpec] = field(default_factory=dict[str, ExperimentSpec])
    rollouts: Mapping[str, RolloutSpec] = field(default_factory=dict[str, RolloutSpec])
    hosts: Mapping[str, HostGroup] = field(default_factory=dict[str, HostGroup])
    terminal: TerminalSpec = field(default_factory=TerminalSpec)
    alerts: AlertsSpec = field(default_factory=AlertsSpec)

    @property
    def store(self) -> Path:
        """The store's path; one that is not absolute is beside the policy file, wherever the program was started."""
        return Path(self.source).parent / self.app.store

    @property
    def price_file(self) -> Path | None:
        """The path of the site's own prices, beside the policy file (None: it has none)."""
        return None if self.app.prices is None else Path(self.source).parent / self.app.prices

    def model_id(self, model: str) -> str:
        """Give the `provider:full-id` that an alias stands for, or the id itself."""
        return self.models.get(model, model)

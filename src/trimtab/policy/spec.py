"""The policy as typed values: what the file says, nothing decided yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

DEFAULT_ENVIRONMENT = "local"
DEFAULT_ROLE = "default"
DEFAULT_MAX_TOKENS = 8192
MOST_MAX_TOKENS = 200_000
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
KINDS = ("anthropic", "openai")


@dataclass(frozen=True, slots=True)
class AppSpec:
    """`[app]`: where the application is (`module:callable`, None: not said) and the file that holds runs and facts."""

    factory: str | None = None
    store: str = "trimtab.db"


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
    """What one entry under `roles` says; None: it says nothing of it. `model` is an alias or `provider:full-id`, as written."""

    model: str | None = None
    max_tokens: int | None = None
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """`[environments.NAME]`: what is different there."""

    name: str
    roles: Mapping[str, RoleSpec] = field(default_factory=dict[str, RoleSpec])


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

    @property
    def store(self) -> Path:
        """The store's path; one that is not absolute is beside the policy file, wherever the program was started."""
        return Path(self.source).parent / self.app.store

    def model_id(self, model: str) -> str:
        """Give the `provider:full-id` that an alias stands for, or the id itself."""
        return self.models.get(model, model)

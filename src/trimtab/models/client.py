"""Real models: one request to one provider through pydantic-ai's model layer, and a fault instead of an exception.

Retries, tool loop, budget and journal are the run's, so every retry below this file is off: one `ask` is one request.
pydantic-ai and the SDKs are imported at the first call, not here: the command line must start at once.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from trimtab.core.errors import UsageError
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault
from trimtab.models.faults import fault_from
from trimtab.models.wire import from_response, to_messages, to_parameters, to_settings

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model

_OFFICIAL = MappingProxyType({"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"})
_KEY_ENV = MappingProxyType({"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"})
_NO_KEY_NEEDED = "no-key"


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider's models are and which environment variable holds the key.

    Without `base_url` it is the official address and `key_env` defaults to the usual variable. With a `base_url` of its
    own only a `key_env` named here is read, so that no key goes where it was not meant to go; an address on this machine
    needs none.
    """

    kind: Literal["anthropic", "openai"]
    base_url: str | None = None
    key_env: str = ""

    def __post_init__(self) -> None:
        url = urlsplit(self.address)
        if "@" in url.netloc or url.query:
            # The address is shown in every fault.
            raise UsageError("base_url holds a user, a password or a query", hint="name the key's variable in key_env")
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise UsageError(
                f"base_url {self.base_url!r} is not an address", hint="write it whole, like http://127.0.0.1:8080/v1"
            )

    @property
    def address(self) -> str:
        """Where requests go. `ANTHROPIC_BASE_URL` and `OPENAI_BASE_URL` are not read: the policy alone says where."""
        return self.base_url or _OFFICIAL[self.kind]

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine."""
        host = urlsplit(self.address).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def key(self) -> str:
        """Read the key, now; empty where there is none."""
        env = self.key_env or ("" if self.base_url else _KEY_ENV[self.kind])
        return (os.environ.get(env, "").strip() if env else "") or (_NO_KEY_NEEDED if self.is_local else "")

    def missing_key(self) -> str:
        """Say which variable to set."""
        env = self.key_env or ("" if self.base_url else _KEY_ENV[self.kind])
        todo = f"set {env}" if env else "name the variable that holds it in key_env"
        return f"there is no key for {self.address}\nhint: {todo}"


DEFAULT_PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {"anthropic": Provider("anthropic"), "openai": Provider("openai")}
)


@dataclass(frozen=True, slots=True)
class _Line:
    """One provider's SDK client, its connections, and the models asked through it."""

    provider: Provider
    key: str = field(repr=False)
    make: Callable[[str], Model]
    close: Callable[[], Awaitable[None]]
    models: dict[str, Model] = field(default_factory=dict[str, "Model"])

    def model(self, name: str) -> Model:
        if name not in self.models:
            self.models[name] = self.make(name)
        return self.models[name]


class ProviderClient:
    """Asks models of Anthropic and of OpenAI-compatible servers (`core.ports.ModelClient`).

    `providers` are keyed by what stands before the `:` of a model, and add to or replace `anthropic` and `openai`.
    Use one client in one event loop and close it there.
    """

    def __init__(self, providers: Mapping[str, Provider] = DEFAULT_PROVIDERS) -> None:
        self._providers = {**DEFAULT_PROVIDERS, **providers}
        self._lines: dict[str, _Line] = {}

    async def ask(self, call: ModelCall) -> ModelAnswer | ModelFault:
        """Send the call once. Whatever the provider does comes back as a value; only cancelling raises."""
        if call.must_use_tool and not call.tools:
            return ModelFault("permanent", "no_tools", "the call must be answered with a tool, and offers none")
        line = self._line(call.model)
        if isinstance(line, ModelFault):
            return line
        provider_name, _, model_name = call.model.partition(":")
        try:
            response = await _request(line.model(model_name), call)
            return from_response(call, response)
        except Exception as error:  # noqa: BLE001 - the port's promise: whatever went wrong is a value, classed
            return fault_from(error, f"{provider_name} at {line.provider.address}", line.key, sent=True)

    def prepare(self, model: str) -> ModelFault | None:
        """Import and open all that `model` needs, or say what is missing; sends nothing.

        It takes a second or two of CPU, once. Without it the first call takes them, and its latency is not the model's.
        """
        line = self._line(model)
        if isinstance(line, ModelFault):
            return line
        import_module("pydantic_ai.direct")
        line.model(model.partition(":")[2])
        return None

    async def close(self) -> None:
        """Close every connection. A later call opens new ones."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.close()

    def _line(self, model: str) -> _Line | ModelFault:
        name = model.partition(":")[0]
        if name in self._lines:
            return self._lines[name]
        provider = self._providers.get(name)
        if provider is None:
            known = ", ".join(sorted(self._providers))
            return ModelFault("permanent", "unknown_provider", f"{model!r}: no provider {name!r}, there are {known}")
        key = provider.key()
        if not key:
            return ModelFault("permanent", "no_key", f"{model!r}: {provider.missing_key()}")
        try:
            line = self._lines[name] = _LINES[provider.kind](provider, key)
        except ImportError:
            missing = f"{model!r}: the package {provider.kind!r} is not installed"
            return ModelFault(
                "permanent", "not_installed", f"{missing}\nhint: pip install 'pydantic-ai-slim[{provider.kind}]'"
            )
        except Exception as error:  # noqa: BLE001 - a certificate file or proxy that the SDK cannot take
            return fault_from(error, f"{name} at {provider.address}", key)
        return line


async def _request(model: Model, call: ModelCall) -> ModelResponse:
    from pydantic_ai.direct import model_request

    return await model_request(
        model,
        to_messages(call),
        model_settings=to_settings(call, model),
        model_request_parameters=to_parameters(call),
    )


def _anthropic_line(provider: Provider, key: str) -> _Line:
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    from trimtab.models.http import Bounded

    class Http(Bounded, DefaultAsyncHttpxClient):
        answers = "anthropic"

    # A proxy from the environment must not stand between us and this machine.
    http = Http(trust_env=not provider.is_local)
    # The SDK's own span would count every token a second time beside the journal's.
    sdk = AsyncAnthropic(api_key=key, base_url=provider.address, max_retries=0, open_telemetry=False, http_client=http)
    through = AnthropicProvider(anthropic_client=sdk)
    return _Line(provider, key, lambda model: AnthropicModel(model, provider=through), sdk.close)


def _openai_line(provider: Provider, key: str) -> _Line:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    from trimtab.models.http import Bounded

    class Http(Bounded, DefaultAsyncHttpxClient):
        answers = "openai"

    http = Http(trust_env=not provider.is_local)
    sdk = AsyncOpenAI(api_key=key, base_url=provider.address, max_retries=0, http_client=http)
    if provider.base_url is None:
        official = OpenAIProvider(openai_client=sdk)
        return _Line(provider, key, lambda model: OpenAIChatModel(model, provider=official), sdk.close)
    other = OpenAICompatibleProvider("openai-compatible", openai_client=sdk)
    # Every compatible server knows `max_tokens`; only newer ones know OpenAI's `max_completion_tokens`.
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    return _Line(provider, key, lambda model: OpenAIChatModel(model, provider=other, profile=profile), sdk.close)


_LINES: Mapping[str, Callable[[Provider, str], _Line]] = {"anthropic": _anthropic_line, "openai": _openai_line}

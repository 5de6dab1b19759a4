"""What a role depends on: whether it is valid at this moment, and until when."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from trimtab.core.errors import DeclarationError
from trimtab.policy.spec import CredentialSpec
from trimtab.run.outside import FAULTS
from trimtab.run.secret import secret_in

# Says why a credential is not valid, or None; sync (called in a thread) or async.
Check: TypeAlias = Callable[[], "str | Awaitable[str | None] | None"]

_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Credential:
    """Something that a role depends on: what the policy says of it, and the application's own check, if it has one."""

    name: str
    spec: CredentialSpec | None = None
    check: Check | None = None

    @property
    def expires(self) -> datetime | None:
        """When it expires, as far as the policy says."""
        return self.spec.expires if self.spec else None

    async def fault(self, now: datetime) -> str:
        """Say why it is not valid at this moment; empty: it is. Never shows what it is, and raises nothing."""
        spec = self.spec
        if spec is not None and spec.env is not None and not os.environ.get(spec.env, "").strip():
            return f"is not set: the environment variable {spec.env!r} is missing or empty"
        if spec is not None and spec.expires is not None and spec.expires <= now:
            return f"expired on {spec.expires:%Y-%m-%d %H:%M %Z}"
        return await self._checked() if self.check is not None else ""

    async def _checked(self) -> str:
        assert self.check is not None
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                said = await _asked(self.check)
        except TimeoutError:
            return f"cannot be checked: no answer in {_PATIENCE.seconds} seconds"
        except FAULTS as error:  # the user's code: what cannot be checked is not valid
            return f"cannot be checked: {type(error).__name__}: {self._unsaid(str(error))}"
        return "" if said is None else f"is not valid: {self._unsaid(str(said))}"

    def _unsaid(self, text: str) -> str:
        # A client's error may quote the very key that was refused.
        own = os.environ.get(self.spec.env, "") if self.spec and self.spec.env else ""
        return "(the reason holds a secret and is not shown)" if secret_in(text, (own,)) else text


def credentials_of(
    specs: Mapping[str, CredentialSpec], checks: Mapping[str, Check], needed: Mapping[str, Collection[str]]
) -> dict[str, Credential]:
    """Put together what the policy and the application say; `needed` names the roles that need each credential.

    Raises DeclarationError for one that neither knows, and for a check of one that nobody needs.
    """
    for name, roles in needed.items():
        if name not in specs and name not in checks:
            raise DeclarationError(
                f"role {min(roles)!r} needs the credential {name!r}, which nobody declares",
                hint=f'add [credentials.{name}] env = "NAME_OF_THE_VARIABLE" to the policy, or App(credentials={{{name!r}: check}})',
            )
    if idle := sorted(set(checks) - set(needed)):
        known = ", ".join(sorted(needed)) or "none"
        raise DeclarationError(
            f"no role needs the credential {idle[0]!r} that is checked",
            hint=f"needed are: {known}; see needs_credential=",
        )
    return {name: Credential(name, specs.get(name), checks.get(name)) for name in sorted({*specs, *checks})}


async def _asked(check: Check) -> str | None:
    said = check() if inspect.iscoroutinefunction(check) else await asyncio.to_thread(check)
    return await said if inspect.isawaitable(said) else said

"""Every error trimtab raises on purpose.

TrimtabError
├── UsageError            the caller is wrong: exit code 2
│   ├── PolicyError       trimtab.toml does not say what it may say (carries the key path)
│   ├── RequestError      a request that its workflow cannot read
│   ├── KeyReusedError    an idempotency key used again for a different request
│   ├── UnknownRunError   no such run
│   └── DeclarationError  a workflow, specialist or tool declared wrongly
├── StoreError            the file behind the engine and the journal
│   ├── StoreLockedError  another process runs it
│   └── StoreBrokenError  full disk, read-only file, damaged or foreign file
└── RunError              a run ended without the result that was asked for
    └── PlanError         the orchestrator made no plan without faults

Failures of models and tools are not here: they are values (`core.outcome`).
"""

from __future__ import annotations


class TrimtabError(Exception):
    """Base of all. `hint` is the next thing to do, printed behind `hint: `."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give the message and the hint, as a person reads them."""
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(TrimtabError):
    """What the caller gave cannot be used."""


class PolicyError(UsageError):
    """The policy file cannot be used; the message names file and key path."""


class RequestError(UsageError):
    """The request is not what its workflow takes."""


class KeyReusedError(UsageError):
    """The key started another request before."""


class UnknownRunError(UsageError):
    """No run has this id or key."""


class DeclarationError(UsageError):
    """A workflow, specialist or tool is declared wrongly; raised at import or construction, never in a run."""


class StoreError(TrimtabError):
    """The file that holds runs and facts cannot be used."""


class StoreLockedError(StoreError):
    """Another live process holds the file."""


class StoreBrokenError(StoreError):
    """The file cannot be read or written; nothing that was acknowledged is lost."""


class RunError(TrimtabError):
    """A run ended without a result: failed, refused, cancelled, or handed to a person."""


class PlanError(RunError):
    """No plan without faults after the allowed corrections."""

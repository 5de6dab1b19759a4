"""A shop for tests, put beside a policy file: each file beside it that is named after some trouble is that trouble.

What it did to the world is in `world.log`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trimtab import Failed, Specialist, Step, Workflow, always, tool

HERE = Path(__file__).parent


def trouble(name: str) -> bool:
    return (HERE / name).exists()


def did(what: str) -> None:
    with (HERE / "world.log").open("a") as log:
        log.write(f"{what}\n")


class Stock(Specialist, role="stock"):
    """You keep the stock."""

    @tool("reversible")
    async def reserve(self, step: Step, item: str) -> str:
        """Reserve an item."""
        did(f"reserve {item}")
        return item

    @reserve.compensate
    async def unreserve(self, step: Step, item: str) -> Failed | None:
        """Give the item back."""
        if trouble("no-unreserve"):
            return Failed("the store is closed")
        did(f"unreserve {item}")
        return None


class Card(Specialist, role="card"):
    """You take money."""

    @tool("reversible")
    async def charge(self, step: Step, amount: int) -> int:
        """Charge the card."""
        if trouble("charge-raises"):
            raise RuntimeError("the line went dead")
        did(f"charge {amount}")
        return amount

    @charge.compensate
    async def refund(self, step: Step, amount: int) -> None:
        """Give the money back."""
        did(f"refund {amount}")


class Mail(Specialist, role="mail"):
    """You write letters."""

    @tool("irreversible")
    async def send(self, step: Step, to: str) -> str | Failed:
        """Send a letter."""
        if trouble("no-mail") or trouble(f"no-{to}"):
            return Failed("the post office is closed")
        did(f"send {to}")
        return to

    @tool("irreversible", always)
    async def boast(self, step: Step, to: str) -> str:
        """Tell the press."""
        did(f"boast {to}")
        return to


class Shop(Workflow[dict[str, str], dict[str, object]], name="shop"):
    """You sell things."""

    def conclude(self, request: dict[str, str], results: Mapping[str, object]) -> dict[str, object]:
        return dict(results)


def workflows() -> list[Shop]:
    return [Shop([Stock(), Card(), Mail()])]

"""The user's code, called so that whatever it raises ends its own call and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# A library that calls `sys.exit` is no reason to stop a worker.
FAULTS = (Exception, SystemExit)


class WaitedForCancelledError(Exception):
    """What the user's code waited for was cancelled, and not its run."""


class StrangeError(Exception):
    """The user's code raised what is no `Exception`."""


async def outside(work: Awaitable[T]) -> T:
    """Await the user's code; it raises `FAULTS`, and otherwise only what stops the process or cancels the run."""
    try:
        return await work
    except (*FAULTS, KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise WaitedForCancelledError("it waited for something that was cancelled") from None
    except BaseException as error:
        raise StrangeError(f"{type(error).__name__}: {error}") from error

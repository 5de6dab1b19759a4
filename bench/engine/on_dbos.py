"""The workflow as DBOS users write it, on a SQLite system database that was set to WAL (DBOS leaves SQLite's default).

Each branch of two steps runs in one `asyncio.gather`, which costs DBOS least. It is also what DBOS replays by order: a user
who wants it to recover right makes each subtask a child workflow, which costs more.
"""
# ruff: noqa: ARG001 - each takes what its framework gives

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import measure
from dbos import DBOS, DBOSConfig, SetWorkflowID


@DBOS.step()
async def plan() -> dict[str, Any]:
    return measure.plan_result()


@DBOS.step()
async def do(subtask: str, step: int) -> dict[str, Any]:
    return measure.step_result(subtask, step)


async def both_steps(subtask: str) -> list[dict[str, Any]]:
    return [await do(subtask, step) for step in measure.STEPS]


@DBOS.workflow()
async def workflow(request: str) -> int:
    planned = await plan()
    results = await asyncio.gather(*(both_steps(subtask) for subtask in planned["subtasks"]))
    return sum(map(len, results))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[measure.RunOne]:
    path = folder / "dbos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    config: DBOSConfig = {"name": "bench", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()

    async def run_one(run_id: str) -> None:
        with SetWorkflowID(run_id):
            assert await workflow("a berth") == 10

    yield run_one
    DBOS.destroy()


if __name__ == "__main__":
    measure.main(wal=opened)

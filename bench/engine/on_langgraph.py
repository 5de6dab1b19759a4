"""The workflow as LangGraph users write it: a graph, `Send` for each subtask of the plan, the SQLite checkpointer."""
# ruff: noqa: ARG001 - each takes what its framework gives

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import aiosqlite
import measure
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send


class State(TypedDict):
    request: str
    plan: dict[str, Any]
    results: Annotated[list[dict[str, Any]], operator.add]


class Subtask(TypedDict):
    name: str


async def plan(state: State) -> dict[str, Any]:
    return {"plan": measure.plan_result()}


def fan_out(state: State) -> list[Send]:
    return [Send("first", {"name": name}) for name in state["plan"]["subtasks"]]


async def first(subtask: Subtask) -> Command[Literal["second"]]:
    result = measure.step_result(subtask["name"], 1)
    return Command(update={"results": [result]}, goto=Send("second", subtask))


async def second(subtask: Subtask) -> dict[str, Any]:
    return {"results": [measure.step_result(subtask["name"], 2)]}


@asynccontextmanager
async def opened(folder: Path, synchronous: str) -> AsyncIterator[measure.RunOne]:
    async with aiosqlite.connect(folder / "checkpoints.db") as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute(f"PRAGMA synchronous={synchronous}")
        graph = StateGraph(State)
        graph.add_node("plan", plan)
        graph.add_node("first", first)
        graph.add_node("second", second)
        graph.add_edge(START, "plan")
        graph.add_conditional_edges("plan", fan_out, ["first"])
        graph.add_edge("second", END)
        app = graph.compile(checkpointer=AsyncSqliteSaver(connection))

        async def run_one(run_id: str) -> None:
            config = {"configurable": {"thread_id": run_id}}
            state = await app.ainvoke({"request": "a berth"}, config, durability="sync")
            assert len(state["results"]) == 10

        yield run_one


if __name__ == "__main__":
    measure.main(full=lambda folder: opened(folder, "FULL"), off=lambda folder: opened(folder, "OFF"))

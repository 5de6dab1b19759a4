"""The answer book: gold plans of example requests, as trimtab's simulator takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .attacks import chosen
from .contract import contract
from .fleet import with_context, world_of


def answer_book(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write one entry a request: its plan, or the questions to ask where it has none."""
    return [entry(line) for line in lines]


def entry(line: Mapping[str, Any]) -> dict[str, Any]:
    """Write the entry of one request. Labels (id, tags, intent) stay out of it."""
    if not line["expected_subtasks"]:
        asked = line["expected_outcome"].get("clarify") or ["What exactly do you wish for?"]
        return {"request": line["text"], "clarify": list(asked)}
    return {
        "request": line["text"],
        "plan": plan(line),
        "forbidden": [rule.removeprefix("call:") for rule in line.get("must_not", ()) if rule.startswith("call:")],
        "language": line["expected_outcome"].get("reply_lang", "en"),
    }


def hostile_book(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write the entries with what a hostile model would try beside what is right."""
    return [
        {**made, "attacks": chosen(line, made.get("plan"), _world(line))} for line in lines for made in [entry(line)]
    ]


def _world(line: Mapping[str, Any]) -> Mapping[str, Any]:
    return with_context(world_of(), line.get("context") or {})


def plan(line: Mapping[str, Any]) -> dict[str, Any]:
    """Write the gold plan of a request as an orchestrator would."""
    return {
        "subtasks": [
            {
                "id": step["key"],
                "specialist": step["specialist"],
                "action": step["action"],
                "instruction": instruction(f"{step['specialist']}.{step['action']}"),
                "inputs": step["inputs"],
                "needs": step["depends_on"],
            }
            for step in line["expected_subtasks"]
        ]
    }


def instruction(action: str) -> str:
    """Say what to do, in one short sentence."""
    what = str(contract().actions[action]["what"]).split(". ")[0].rstrip(".")
    return f"Call {action.split('.')[1]}: {what[0].lower()}{what[1:]}{'' if what.endswith('?') else '.'}"


def read_lines(path: Path | None = None) -> list[dict[str, Any]]:
    """Read requests, one a line: those that ship with the application, or another file."""
    text = (path or Path(__file__).with_name("requests.jsonl")).read_text("utf-8-sig")
    return [json.loads(line) for line in text.split("\n") if line.strip()]

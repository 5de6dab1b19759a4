"""Rows of transcripts as 2.1.330 writes them, for folders of the terminal that a test makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

START = datetime(2026, 11, 10, 9, tzinfo=UTC)
USAGE = {"input_tokens": 1000, "output_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


class Session:
    """Rows of one session; every row is a minute after the one before, unless it is told to wait."""

    numbers = count(1)

    def __init__(self, name="s1", project="/w/one", at=START, **common: Any):
        self.name, self.at = name, at
        self.common = {"sessionId": name, "cwd": project, "gitBranch": "main", "version": "2.1.330", **common}
        self.rows: list[dict[str, Any]] = []

    def row(self, kind: str, **more: Any) -> Session:
        self.at += timedelta(minutes=1)
        key = f"row-{next(self.numbers)}"
        self.rows.append({"type": kind, "uuid": key, "timestamp": self.at.isoformat(), **self.common, **more})
        return self

    def wait(self, **time: float) -> Session:
        self.at += timedelta(**time)
        return self

    def prompt(self, text="please", **more: Any) -> Session:
        key = f"prompt-{next(self.numbers)}"
        return self.row("user", message={"role": "user", "content": text}, **{"promptSource": "typed", "promptId": key, **more})  # fmt: skip

    def answer(
        self, *tools: tuple[str, dict[str, Any]], stop=None, model="claude-sonnet-4-6", usage=None, **more: Any
    ) -> Session:
        key = next(self.numbers)
        content = [
            {"type": "tool_use", "id": f"toolu-{key}-{place}", "name": name, "input": given}
            for place, (name, given) in enumerate(tools)
        ]
        said = stop or ("tool_use" if tools else "end_turn")
        message = {
            "id": f"msg-{key}",
            "model": model,
            "content": content,
            "stop_reason": said,
            "usage": {**USAGE, **(usage or {})},
        }
        return self.row("assistant", message=message, requestId=f"req-{key}", **{"requestedModel": model, **more})

    def result(self, *, wrong=False) -> Session:
        block = {"type": "tool_result", "tool_use_id": f"toolu-{next(self.numbers)}", "content": "x", "is_error": wrong}
        return self.row("user", message={"role": "user", "content": [block]})

    def edit(self, path="/w/one/a.py") -> Session:
        return self.answer(("Edit", {"file_path": path})).result()

    @property
    def text(self) -> bytes:
        return b"".join(json.dumps(row).encode() + b"\n" for row in self.rows)

    def write(self, folder: Path, *, agent: str | None = None) -> Path:
        base = folder / "projects" / "-w"
        path = base / f"{self.name}.jsonl" if agent is None else base / self.name / "subagents" / f"agent-{agent}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.text)
        return path

"""What a plan does hangs on its needs alone: not on the order it is listed in, nor on what steps and requests are called."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.charter.reference import execute

from charter import demo
from charter.book import plan as plan_of
from charter.book import read_lines
from charter.demo import Case, read_cases

MORE = Path(__file__).parents[2] / "acceptance" / "more_requests.jsonl"
LINES = [*read_lines(), *read_lines(MORE)]
NAMES = [line["id"][:30] for line in LINES]
REFERENCE = re.compile(r"\$(\w[\w-]*)(\.\w+)")


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Give references other step names, and nothing else."""
    if isinstance(value, str):
        found = REFERENCE.fullmatch(value)
        return f"${names[found[1]]}{found[2]}" if found and found[1] in names else value
    if isinstance(value, dict):
        return {key: renamed(inner, names) for key, inner in value.items()}
    return [renamed(inner, names) for inner in value] if isinstance(value, list) else value


def shuffled(line: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Write a request in another way: steps in any order, under other names, with needs in any order, under another id."""
    steps = line["expected_subtasks"]
    names = {step["key"]: f"step_{chance.randrange(10**6)}-{step['key']}" for step in steps}
    written = [
        {
            **step,
            "key": names[step["key"]],
            "depends_on": chance.sample([names[n] for n in step["depends_on"]], len(step["depends_on"])),
            "inputs": renamed(step["inputs"], names),
        }
        for step in steps
    ]
    chance.shuffle(written)
    return {**line, "id": f"ü/{chance.random()} {line['id']}", "expected_subtasks": written}


async def ended(case: Case, folder: Path, *, backwards: bool) -> tuple[str, Any]:
    given = demo.prepare(folder, case)
    workflow = demo.workflow(folder)
    request, plan = workflow.read_request(given), plan_of(case.line)
    try:
        done = await execute(workflow, request, plan, backwards=backwards)
        assert "rejected" not in done.states.values(), done.stops
        return done.status, demo.score(folder, case, done.status, plan)
    finally:
        workflow.fleet.close()


@pytest.mark.parametrize("line", LINES, ids=NAMES)
async def test_order_and_names_mean_nothing(tmp_path, line):
    if not line["expected_subtasks"]:
        return
    written = [line, *(shuffled(line, random.Random(f"{line['id']}{n}")) for n in range(2))]
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(json.dumps(w, ensure_ascii=False) for w in written), "utf-8")
    for n, case in enumerate(read_cases(file)):
        status, score = await ended(case, tmp_path / "companies", backwards=n == 1)
        assert status == line["expected_outcome"]["status"]
        assert (score.matched, score.must_not_hits, score.misjudged) == (True, [], [])

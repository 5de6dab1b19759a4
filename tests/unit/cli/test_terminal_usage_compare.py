from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from trimtab.cli.terminal_usage_compare import compare
from trimtab.terminal.usage_tasks import Iteration, Task

AT = date(2026, 11, 1)
NOW = datetime(2026, 12, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 11, 1, tzinfo=UTC)


def task(day, prompts, project="one", *, model="claude-sonnet-4-6", version="2.1.330", unpriced=0, turns=3):
    began = int((MIDDLE + timedelta(days=day, hours=9)).timestamp() * 1000)
    iterations = [
        Iteration(
            f"{day}-{n}", "s", project, "main", model, version, began + n * 60_000, began + n * 60_000 + 1, began + n * 60_000 + 1,
            "end_turn", 10**10, unpriced, turns, 0, {"prompt": 1},
        )
        for n in range(prompts)
    ]  # fmt: skip
    return Task(iterations)


def many(before, after, *, days=25, each=4, seed=1, projects=("one", "two"), **more):
    rng = random.Random(seed)
    return [
        task(day, rng.choice(before if day < 0 else after), rng.choice(projects), **more)
        for day in range(-days, days)
        for _ in range(each)
    ]


def measure(compared, name="prompts"):
    return next(m for m in compared.measures if m.name == name)


def test_fewer_prompts_are_said_where_the_interval_says_so():
    compared = compare(many((2, 3, 4, 5), (1, 1, 2)), AT, NOW)

    assert measure(compared).told == "fewer"
    assert compared.answer == "Iteration cycles: tasks took fewer prompts after that day."
    assert "not a randomised comparison" in "\n".join(compared.lines())


def test_nothing_is_said_where_nothing_changed():
    false = sum(
        measure(compare(many((1, 2, 3), (1, 2, 3), seed=seed), AT, NOW)).told != "not shown" for seed in range(100)
    )

    assert false <= 3


def test_few_days_are_too_few():
    compared = compare(many((5, 6), (1, 1), days=4), AT, NOW)

    assert {m.told for m in compared.measures} == {"too few"}
    assert "cannot be said" in compared.answer


def test_another_mix_of_projects_is_not_an_effect():
    """Work moved from the project with many prompts to that with few; within each nothing changed."""
    rng = random.Random(3)
    tasks = []
    for day in range(-40, 40):
        for _ in range(4):
            hard = rng.random() < (0.8 if day < 0 else 0.2)
            tasks.append(task(day, rng.choice((5, 6, 7) if hard else (1, 2)), "hard" if hard else "easy"))
    compared = compare(tasks, AT, NOW)

    assert measure(compared).told == "not shown"
    assert any("mix of projects changed" in change for change in compared.changes)


def test_projects_of_one_period_are_left_out_and_told():
    tasks = [*many((2, 3), (2, 3)), *(task(day, 9, "new") for day in range(20))]
    compared = compare(tasks, AT, NOW)

    assert measure(compared).after < 4
    assert any("one period only: 20" in change for change in compared.changes)


def test_what_else_changed_is_said():
    tasks = [
        t
        for day in range(-20, 20)
        for t in (task(day, 2, model="a" if day < 0 else "b", version="1" if day < 0 else "2"),)
    ]
    changes = compare(tasks, AT, NOW).changes

    assert any(c.startswith("the model changed for 100%") and "most tasks a, then b" in c for c in changes)
    assert any(c.startswith("the terminal's version changed for 100%") for c in changes)


def test_the_model_that_did_not_change_is_said_first():
    assert compare(many((2,), (2,)), AT, NOW).changes[0] == "the model of most tasks did not change: claude-sonnet-4-6"


def test_dollars_with_an_unknown_price_among_them_are_unknown():
    compared = compare([*many((2,), (2, 3)), task(1, 2, unpriced=1)], AT, NOW)

    assert "dollars" in compared.unknown
    assert [m.name for m in compared.measures] == ["prompts", "turns", "tool errors", "reworks"]


@pytest.mark.parametrize("tasks", [[], many((1,), (1,))[:30], [task(3, 2)]])
def test_an_empty_period_is_said(tasks):
    compared = compare(tasks, AT, NOW)

    assert "cannot be said" in compared.answer
    assert compared.json()["answer"] == compared.answer


def test_a_task_at_work_across_the_day_is_left_out():
    straddling = task(0, 2)
    straddling.first.began -= 10 * 3_600_000
    compared = compare([*many((2,), (3,)), straddling], AT, NOW)

    assert any("across that day: 1" in change for change in compared.changes)

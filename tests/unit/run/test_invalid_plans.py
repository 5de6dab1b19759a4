"""A thousand random invalid plans: every one refused before any specialist is called, with every planted fault named."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.steps import FakeSteps
from tests.integration.booking import Order, World, booking

from trimtab.core.outcome import Status
from trimtab.core.pin import ORCHESTRATOR, Pin, RoleChoice
from trimtab.core.ports import Parked
from trimtab.core.records import ModelCallFact, PlanFact
from trimtab.run.loop import RunLoop
from trimtab.run.plan import check_plan
from trimtab.run.retry import Limits
from trimtab.run.scope import Means
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, uses

Item = dict[str, Any]
Expected = tuple[str, ...]  # all of these appear in one of the faults

WORLD = World()
BOOKING = booking(WORLD)
REQUEST = Order("two hours please")
REQUEST_FIELDS = {"text": "two hours please", "sender": "guest"}
LOOP = asyncio.new_event_loop()


def check(plan: Any, most: int = 60) -> list[str]:
    return check_plan(BOOKING, REQUEST, REQUEST_FIELDS, plan, most)[1]


# -- valid plans -------------------------------------------------------------------------------------------------------
# `base` and `aside` are quotes that never get a fault: everybody needs `base`, nobody needs `aside`.

ROLES = {"quote": "pricing", "send": "notification", "alert": "notification", "charge": "payment"}


def quote(subtask_id: str) -> Item:
    return {
        "id": subtask_id,
        "specialist": "pricing",
        "action": "quote",
        "instruction": "",
        "inputs": {"hours": 1},
        "needs": [],
    }


def inputs_for(action: str, draw: st.DrawFn) -> Item:
    words = st.text(max_size=8).filter(lambda t: not t.startswith("$"))
    match action:
        case "quote":
            return {"hours": draw(st.integers(0, 99))}
        case "charge":
            return draw(st.sampled_from([{"amount": "$base.total"}, {"amount": "12.50"}, {}, {"of": ["$base.total"]}]))
        case _:
            return {
                "text": draw(st.one_of(words, st.sampled_from(["$base.secret", "$request.text", "$$x", "$base.total"])))
            }


@st.composite
def valid_plans(draw: st.DrawFn, least: int = 1) -> list[Item]:
    items = [quote("base"), quote("aside")]
    for n in range(draw(st.integers(least, 8))):
        action = draw(st.sampled_from(sorted(ROLES)))
        others = [i["id"] for i in items if i["id"] not in ("base", "aside")]
        needs = draw(st.lists(st.sampled_from(others), unique=True, max_size=3)) if others else []
        inputs = inputs_for(action, draw)
        # What would be written twice needs the first of the two.
        alike = [i["id"] for i in items if action != "quote" and (i["action"], i["inputs"]) == (action, inputs)]
        items.append(
            {
                "id": f"s{n}",
                "specialist": ROLES[action],
                "action": action,
                "instruction": draw(st.text(max_size=5)),
                "inputs": inputs,
                "needs": ["base", *dict.fromkeys([*needs, *alike])],
            }
        )
    return draw(st.permutations(items))


# -- faults ------------------------------------------------------------------------------------------------------------
# Each plants itself in one subtask (a cycle in two) and says what must be named.

FAULTS: dict[str, Callable[[st.DrawFn, list[Item], Item, Item], Expected]] = {}
TAKES_TWO = {"cycle", "long cycle"}


def fault(function: Callable[[st.DrawFn, list[Item], Item, Item], Expected]):
    FAULTS[function.__name__.strip("_").replace("_", " ")] = function
    return function


def name(draw: st.DrawFn) -> str:
    return draw(st.from_regex(r"x[a-z_]{3,9}", fullmatch=True))


def untyped(item: Item, action: str = "quote") -> None:
    """Make it a subtask whose inputs are checked against the tool: a specialist with a typed answer takes any."""
    inputs = {"hours": 1} if action == "quote" else {"text": "x"}
    item.update(specialist=ROLES[action], action=action, inputs=inputs)


@fault
def unknown_specialist(draw, plan, item, other):
    item["specialist"] = name(draw)
    return f"subtask {item['id']!r}", f"no specialist {item['specialist']!r}"


@fault
def unknown_action(draw, plan, item, other):
    item["action"] = draw(st.sampled_from([name(draw), "charge" if item["specialist"] != "payment" else "quote", ""]))
    return f"subtask {item['id']!r}", f"no action {item['action']!r}"


@fault
def duplicate_id(draw, plan, item, other):
    plan.insert(draw(st.integers(0, len(plan))), copy.deepcopy(item))
    return f"subtask {item['id']!r}", "the id is used 2 times"


@fault
def dangling_need(draw, plan, item, other):
    ghost = name(draw)
    item["needs"].insert(draw(st.integers(0, len(item["needs"]))), ghost)
    return f"subtask {item['id']!r}", f"needs {ghost!r}"


@fault
def self_need(draw, plan, item, other):
    item["needs"].append(item["id"])
    return f"subtask {item['id']!r}", "lead back to itself"


@fault
def cycle(draw, plan, item, other):
    item["needs"].append(other["id"])
    other["needs"].append(item["id"])
    return f"subtask {other['id']!r}", "lead back to itself"


@fault
def long_cycle(draw, plan, item, other):
    plan.append({**quote("between"), "needs": [item["id"]]})
    item["needs"].append(other["id"])
    other["needs"].append("between")
    return "subtask 'between'", "lead back to itself"


@fault
def reference_to_what_is_not_needed(draw, plan, item, other):
    untyped(item, "send")
    pointer = draw(st.sampled_from(["$aside.total", "$nobody.total"]))
    item["inputs"]["text"] = pointer
    return f"subtask {item['id']!r}", repr(pointer), "names no subtask among its needs"


@fault
def deep_reference_to_what_is_not_needed(draw, plan, item, other):
    item.update(specialist="payment", action="charge", inputs={"a": [{"b": ["$aside.total"]}]})
    return f"subtask {item['id']!r}", "'$aside.total'", "names no subtask among its needs"


@fault
def unknown_field(draw, plan, item, other):
    untyped(item, "send")
    item["inputs"]["text"] = pointer = f"$base.{name(draw)}"
    return f"subtask {item['id']!r}", repr(pointer), "names no field there (secret, total)"


@fault
def unknown_request_field(draw, plan, item, other):
    untyped(item, "alert")
    item["inputs"]["text"] = pointer = f"$request.{name(draw)}"
    return f"subtask {item['id']!r}", repr(pointer), "names no field there (sender, text)"


@fault
def unseen_field(draw, plan, item, other):
    pointer = draw(st.sampled_from(["$base.secret", "$request.text", "$base.total.secret"]))
    item.update(specialist="payment", action="charge", inputs={"amount": pointer})
    return f"subtask {item['id']!r}", repr(pointer), "may not see"


@fault
def unknown_input(draw, plan, item, other):
    untyped(item, draw(st.sampled_from(["quote", "send"])))
    extra = name(draw)
    item["inputs"][extra] = draw(st.sampled_from([1, "x", None, ["$base.total"], "$base.total", {"a": "$base.total"}]))
    return f"subtask {item['id']!r}", f"input {extra!r}"


@fault
def missing_input(draw, plan, item, other):
    untyped(item, draw(st.sampled_from(["quote", "send", "alert"])))
    wanted = item["inputs"].popitem()[0]
    if draw(st.booleans()):
        del item["inputs"]
    return f"subtask {item['id']!r}", f"input {wanted!r}", "required"


@fault
def ill_typed_input(draw, plan, item, other):
    action, wrong = draw(
        st.sampled_from([("quote", "many"), ("quote", None), ("quote", 1.5), ("send", 3), ("send", ["x"])])
    )
    untyped(item, action)
    key = next(iter(item["inputs"]))
    item["inputs"][key] = wrong
    return f"subtask {item['id']!r}", f"input {key!r}"


@fault
def unknown_key_of_a_subtask(draw, plan, item, other):
    key = name(draw)
    item[key] = draw(st.sampled_from([1, None, "x", []]))
    return f"subtask {item['id']!r}", f"unknown key {key!r}"


@fault
def missing_key(draw, plan, item, other):
    key = draw(st.sampled_from(["specialist", "action"]))
    del item[key]
    return f"subtask {item['id']!r}", f"{key!r} is missing"


@fault
def missing_id(draw, plan, item, other):
    position = plan.index(item)
    del item["id"]
    return f"subtask number {position + 1}", "'id' is missing"


@fault
def wrong_type(draw, plan, item, other):
    key = draw(st.sampled_from(["specialist", "action", "instruction", "inputs", "needs"]))
    wrong = {"inputs": [[], "x", 1, None], "needs": ["s0", {}, 1, None]}
    item[key] = draw(st.sampled_from(wrong.get(key, [1, None, ["x"], {"a": 1}])))
    return f"subtask {item['id']!r}", f"{key!r} must be"


@fault
def need_that_is_no_string(draw, plan, item, other):
    item["needs"].append(draw(st.sampled_from([1, None, ["s0"], {"id": "s0"}])))
    return f"subtask {item['id']!r}", "'needs' must be a list of subtask ids"


@fault
def repeated_write(draw, plan, item, other):
    untyped(item, draw(st.sampled_from(["send", "alert"])))
    item["needs"] = ["base"]
    plan.append({**copy.deepcopy(item), "id": "twin"})
    return "subtask 'twin'", "repeats subtask", "neither needs the other"


@fault
def bad_id(draw, plan, item, other):
    bad = draw(st.sampled_from(["", "has space", "9lives", "a.b", "$x", "request", "x" * 65, "a/b", "q\n"]))
    if any(i.get("id") == bad for i in plan):
        bad = f"{bad} {item['id']}"
    item["id"] = bad
    return f"subtask {bad!r}", "an id is a name"


@fault
def nesting_without_end(draw, plan, item, other):
    deep: Any = "x"
    for _ in range(draw(st.sampled_from([33, 200, 900]))):
        deep = {"a": deep} if len(json.dumps(deep)) % 2 else [deep]
    item.update(specialist="payment", action="charge", inputs={"deep": deep})
    return f"subtask {item['id']!r}", "nested deeper"


@st.composite
def invalid_plans(draw: st.DrawFn) -> tuple[Item, list[tuple[str, Expected]]]:
    plan = draw(valid_plans(least=6))
    given_plan: Item = {"subtasks": plan}
    free = [i for i in plan if i["id"] not in ("base", "aside")]
    planted: list[tuple[str, Expected]] = []
    chosen = draw(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=5, unique=True))
    # Positions are named where there is no id, so what moves subtasks goes first.
    for kind in sorted(chosen, key=lambda k: k == "missing id"):
        if len(free) < 2:
            break
        item = free.pop()
        other = free.pop() if kind in TAKES_TWO else free[0]
        planted.append((kind, FAULTS[kind](draw, plan, item, other)))
    if draw(st.integers(0, 4)) == 0:
        key = name(draw)
        given_plan[key] = 1
        planted.append(("unknown key", (f"unknown key {key!r} beside",)))
    return given_plan, planted


@settings(max_examples=150, deadline=None)
@given(valid_plans())
def test_a_plan_without_planted_faults_has_none(plan):
    assert [f for f in check({"subtasks": plan}) if "before the charge" not in f] == []


def perform(plans: list[Any]) -> tuple[Parked, ScriptedModel, FakeSteps]:
    models = ScriptedModel([uses("plan", **plan) for plan in plans])
    means = Means(models, FlatPrices(), StillClock(), Limits(), asyncio.Semaphore(1))
    roles = {role: RoleChoice("anthropic:scripted", 1000) for role in (ORCHESTRATOR, *BOOKING.specialists)}
    pin = Pin(roles, "local", "d", StillClock().now().date())
    payload = {"workflow": "booking", "request": REQUEST_FIELDS, "pin": pin.as_json()}
    steps = FakeSteps()
    standing = LOOP.run_until_complete(RunLoop({"booking": BOOKING}, means).perform(steps, json.dumps(payload)))
    assert isinstance(standing, Parked)
    return standing, models, steps


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(invalid_plans())
def test_every_planted_fault_is_named_and_no_specialist_is_called(invalid):
    plan, planted = invalid
    faults = check(plan)
    for kind, wanted in planted:
        assert any(all(part in fault for part in wanted) for fault in faults), (kind, wanted, faults)
    standing, models, steps = perform([plan] * 3)
    assert standing.status is Status.NEEDS_YOU
    assert standing.reason.startswith("PlanError")
    assert [c.tools[0].name for c in models.calls] == ["plan"] * 3
    assert {f.role for f in steps.facts if isinstance(f, ModelCallFact)} == {ORCHESTRATOR}
    assert [(f.number, f.faults) for f in steps.facts if isinstance(f, PlanFact)] == [(n, faults) for n in range(3)]
    assert WORLD.calls == []


@pytest.mark.parametrize("kind", sorted(FAULTS))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_fault_of_each_kind_alone_is_named(kind, data):
    plan = data.draw(valid_plans(least=2))
    item, other = [i for i in plan if i["id"] not in ("base", "aside")][:2]
    wanted = FAULTS[kind](data.draw, plan, item, other)
    assert any(all(part in fault for part in wanted) for fault in check({"subtasks": plan}))


# -- anything at all ---------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["$a.b", "$base.total", "$", "$$", "request"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["id", "subtasks"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(anything)
def test_no_json_at_all_makes_the_check_raise(given_plan):
    assert check(given_plan) != []


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(valid_plans(), st.data())
def test_no_json_in_the_place_of_any_part_of_a_plan_makes_the_check_raise(plan, data):
    for _ in range(data.draw(st.integers(1, 4))):
        item = data.draw(st.sampled_from(plan))
        if not isinstance(item, dict) or not item:
            continue
        item[data.draw(st.sampled_from(sorted(item)))] = data.draw(anything)
    assert isinstance(check({"subtasks": plan}), list)


@pytest.mark.parametrize(
    ("given_plan", "fault"),
    [
        (None, "a plan is an object with a list `subtasks`"),
        ([], "a plan is an object with a list `subtasks`"),
        ({"subtasks": None}, "a plan is an object with a list `subtasks`"),
        ({"subtasks": {"id": "a"}}, "a plan is an object with a list `subtasks`"),
        ({"subtasks": []}, "the plan has no subtasks"),
        ({"subtasks": [quote(f"q{n}") for n in range(61)]}, "the plan has 61 subtasks, 60 are allowed"),
        ({"subtasks": [quote("a"), 7]}, "subtask number 2 is not an object"),
    ],
)
def test_what_is_no_plan_at_all_is_refused(given_plan, fault):
    assert fault in check(given_plan)

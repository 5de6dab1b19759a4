"""Every action of actions.json is a tool that takes and gives exactly what is declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import charter
from charter.contract import contract
from charter.warrant import WARRANTS

DECLARED: dict[str, Any] = json.loads((Path(charter.__file__).parent / "actions.json").read_text())
NOISE = ("title", "description", "default", "x-decimals")


def plain_schema(schema: Any, defs: dict[str, Any]) -> Any:
    """One form for both sides: references put in, decoration and `or null` taken out, always closed objects."""
    if isinstance(schema, list):
        return [plain_schema(inner, defs) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain_schema(defs[schema["$ref"].rsplit("/", 1)[-1]], defs)
    alternatives = [s for s in schema.get("anyOf", ()) if s != {"type": "null"}]
    if "anyOf" in schema and len(alternatives) == 1:
        return plain_schema(alternatives[0], defs)
    if "const" in schema:
        return {"type": "string", "enum": [schema["const"]]}
    kept = {k: v for k, v in schema.items() if k not in NOISE and k not in ("anyOf", "$defs")}
    properties = kept.pop("properties", None)
    out = {key: plain_schema(value, defs) for key, value in kept.items()}
    if properties is not None:
        out["properties"] = {name: plain_schema(value, defs) for name, value in properties.items()}
        out["required"] = sorted(out.get("required", []))
    if out.get("type") == "object":
        out["additionalProperties"] = properties is None
    return out


@pytest.fixture
def tools(office):
    return {f"{role}.{name}": tool for role, s in office.workflow.specialists.items() for name, tool in s.tools.items()}


def test_actions_are_the_tools_and_no_others(tools):
    assert set(tools) == set(DECLARED["actions"])
    assert len(tools) == 38


def test_arguments_are_as_declared(tools):
    for name, declared in DECLARED["actions"].items():
        schema = tools[name].schema
        ours = plain_schema(schema, schema.get("$defs", {}))
        assert ours == plain_schema(declared["params"], DECLARED["$defs"]), name


def test_results_are_as_declared(tools):
    for name, declared in DECLARED["actions"].items():
        assert tools[name].result_fields == set(declared["result"]), name


def test_effects_are_as_declared(tools):
    for name, declared in DECLARED["actions"].items():
        assert tools[name].effect == declared["effect"], name
        assert (tools[name].undo is not None) == (declared["effect"] == "reversible"), name


def test_declared_actions_have_an_approval_and_so_has_what_a_request_must_bear_out(tools):
    for name, declared in DECLARED["actions"].items():
        held = declared.get("approval", {}).get("holds") == "action"
        assert (tools[name].approval is not None) == (held or name in WARRANTS), name
    assert [name for name, tool in tools.items() if not tool.waits] == ["notification.operator_message"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("booking.lookup", {}),
        ("calendar.check_availability", {}),
        ("calendar.confirm_slot", {}),
        ("calendar.release_slot", {}),
        ("payment.create_deposit_link", {"amount": 10}),
    ],
)
async def test_one_of_several_arguments_is_needed(office, tools, name, arguments):
    from tests.unit.charter.reference import step_for

    from trimtab import Rejected

    office.open()
    role, action = name.split(".")
    got = await getattr(office.workflow.specialists[role], action)(
        step_for(office.request(), "a"), **tools[name].read(arguments)
    )
    assert isinstance(got, Rejected)


def test_every_result_field_has_a_visibility():
    fields = {field for declared in DECLARED["actions"].values() for field in declared["result"]}
    assert fields <= set(contract().visibility)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("calendar.place_hold", {"start": "2026-06-20 10:00"}),
        ("calendar.place_hold", {"start": "2026-13-20T10:00"}),
        ("calendar.place_hold", {"hold_hours": 0.25}),
        ("calendar.place_hold", {"party_size": 0}),
        ("calendar.place_hold", {"vessel": "titanic"}),
        ("calendar.place_hold", {"booking_id": "B-12"}),
        ("calendar.place_hold", {"surprise": 1}),
        ("calendar.place_hold", {"start": 7}),
        ("calendar.place_hold", {"hold_hours": "NaN"}),
    ],
)
def test_wrong_arguments_are_named(tools, name, wrong):
    good = {"vessel": "larkspur", "start": "2026-06-20T10:00", "end": "2026-06-20T13:00", "hold_hours": 24}
    assert tools[name].check(good) == []
    assert tools[name].check({**good, **wrong}) != []

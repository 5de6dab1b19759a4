"""Instructions that stand in place of a role's own: shown, named by a digest, and kept in the pin."""

from __future__ import annotations

import json
from datetime import date

from tests.integration.booking import World, booking

from trimtab.core.pin import Pin, RoleChoice, pin_from_json
from trimtab.run import prompt


def test_a_revision_replaces_what_the_role_is_told_and_nothing_else():
    workflow = booking(World())
    pricing = workflow.specialists["pricing"]
    own, revised = prompt.specialist_system(pricing), prompt.specialist_system(pricing, "Be terse.")
    assert revised == own.replace("You know prices.", "Be terse.")
    planning = prompt.orchestrator_system(workflow, "Plan well.")
    assert planning == prompt.orchestrator_system(workflow).replace("You book charters.", "Plan well.")


def test_a_revision_changes_the_digest_of_its_role_alone():
    workflow = booking(World())
    first = prompt.prompt_digests(workflow)
    for role in first:
        other = prompt.prompt_digests(workflow, {role: "Be terse."})
        assert {name for name in first if first[name] != other[name]} == {role}


def test_the_pin_keeps_the_text_and_facts_keep_its_digest():
    choices = {"a": RoleChoice("p:x", 10, prompt_digest="d", instructions="Be terse."), "b": RoleChoice("p:x", 10)}
    pin = Pin(choices, "local", "digest", date(2026, 6, 8), "treatment", 0.1)
    assert pin_from_json(json.loads(json.dumps(pin.as_json()))) == pin
    assert "Be terse." not in json.dumps(pin.roles_json())
    plain = Pin({"b": choices["b"]}, "local", "digest", date(2026, 6, 8))
    assert "instructions" not in plain.as_json()

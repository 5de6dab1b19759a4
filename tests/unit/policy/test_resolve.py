from __future__ import annotations

from datetime import date

import pytest

from trimtab.core.errors import PolicyError
from trimtab.core.pin import Pin, RoleChoice
from trimtab.policy.load import parse
from trimtab.policy.resolve import UNSAID, Why, make_pin, resolve

MODELS = "[models]\nhaiku = 'anthropic:claude-haiku-4-5'\nsonnet = 'anthropic:claude-sonnet-4-6'\n"
HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"


def test_the_most_particular_entry_decides_and_is_named():
    policy = parse(
        f"{MODELS}[roles]\ndefault = 'haiku'\npayment = 'sonnet'\nbooking = 'openai:gpt-5'\n"
        "[environments.staging.roles]\ndefault = 'sonnet'\npayment = 'haiku'"
    )
    staging = resolve(policy, "staging", ["payment", "booking", "orchestrator"])
    assert {role: (choice.model, staging.why[role].model) for role, choice in staging.choices.items()} == {
        "booking": ("openai:gpt-5", "roles.booking"),
        "orchestrator": (SONNET, "environments.staging.roles.default"),
        "payment": (HAIKU, "environments.staging.roles.payment"),
    }
    local = resolve(policy, "local", ["payment", "orchestrator"])
    assert {role: (choice.model, local.why[role].model) for role, choice in local.choices.items()} == {
        "orchestrator": (HAIKU, "roles.default"),
        "payment": (SONNET, "roles.payment"),
    }


def test_an_entry_leaves_alone_what_it_does_not_say():
    policy = parse(
        f"{MODELS}[roles]\ndefault = {{ model = 'haiku', max_tokens = 4000 }}\n"
        "payment = { model = 'sonnet', effort = 'high' }\n"
        "[environments.staging.roles]\npayment = { max_tokens = 9000 }"
    )
    there = "environments.staging.roles.payment"
    resolved = resolve(policy, "staging", ["payment"])
    assert resolved.choices == {"payment": RoleChoice(SONNET, 9000, "high")}
    assert resolved.why == {"payment": Why("roles.payment", there, "roles.payment")}
    assert resolve(policy, "local", ["payment"]).why == {
        "payment": Why("roles.payment", "roles.default", "roles.payment")
    }


def test_an_effort_does_not_pass_to_another_model():
    policy = parse(
        f"{MODELS}[roles]\npayment = {{ model = 'sonnet', effort = 'high' }}\n[environments.staging.roles]\npayment = 'haiku'"
    )
    resolved = resolve(policy, "staging", ["payment"])
    assert resolved.choices["payment"] == RoleChoice(HAIKU, 8192, None)
    assert resolved.why["payment"] == Why("environments.staging.roles.payment", UNSAID, UNSAID)


def test_an_environment_must_be_declared_unless_it_is_local():
    policy = parse(f"{MODELS}[roles]\ndefault = 'haiku'\n[environments.production]")
    assert resolve(policy, "production", ["a"]).environment == "production"
    assert resolve(policy, "local", ["a"]).environment == "local"
    with pytest.raises(PolicyError) as caught:
        resolve(policy, "prodution", ["a"])
    assert str(caught.value) == (
        "trimtab.toml: unknown environment 'prodution', expected one of 'local', 'production'\nhint: did you mean 'production'?"
    )
    with pytest.raises(PolicyError, match=r'hint: declare it: \[environments\."a b"\]'):
        resolve(policy, "a b", ["a"])


def test_roles_without_a_model_are_all_named():
    policy = parse(f"{MODELS}[roles]\npayment = 'haiku'\n[environments.staging.roles]\nbooking = {{ max_tokens = 9 }}")
    with pytest.raises(PolicyError) as caught:
        resolve(policy, "staging", ["payment", "orchestrator", "booking"])
    assert str(caught.value) == (
        "trimtab.toml: roles.booking: role 'booking' has no model in environment 'staging'\n"
        'hint: add booking = "<alias>" under [roles], or default = "<alias>" for every role\n'
        "trimtab.toml: roles.orchestrator: role 'orchestrator' has no model in environment 'staging'\n"
        'hint: add orchestrator = "<alias>" under [roles], or default = "<alias>" for every role'
    )


def test_a_pin_is_the_role_map_with_its_prompts_and_the_day_of_its_prices():
    policy = parse(f"{MODELS}[roles]\ndefault = 'haiku'")
    resolved = resolve(policy, "local", ["orchestrator", "payment"])
    assert make_pin(resolved, {"orchestrator": "aa", "payment": "bb", "other": "cc"}, date(2025, 11, 23)) == Pin(
        roles={"orchestrator": RoleChoice(HAIKU, 8192, None, "aa"), "payment": RoleChoice(HAIKU, 8192, None, "bb")},
        environment="local",
        policy_digest=policy.digest,
        price_date=date(2025, 11, 23),
    )

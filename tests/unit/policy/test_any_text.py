from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.core.errors import PolicyError
from trimtab.policy.load import check, parse
from trimtab.policy.resolve import resolve

KEYS = (
    "app", "factory", "store", "models", "haiku", "providers", "anthropic", "acme", "kind", "base_url", "key_env", "roles", "default",
    "payment", "orchestrator", "model", "max_tokens", "effort", "environments", "local", "staging", "experiments", "defaultModel", "escalate", "budgets", "credentials", "usd_per_day", "turns_per_run",
    "env", "expires", "prompt", "arms", "control", "treatment", "factors", "goal", "weight", "guardrails", "horizon", "latency_p95", "environment",
    "rollouts", "set", "needs", "stages", "hold", "gate", "hosts", "addresses", "files", "path", "keys", "prove", "unit", "restart", "health", "http", "terminal", "lock", "ids",
)  # fmt: skip
TEXTS = (
    "+5%",
    "14d",
    "asks",
    "local",
    "haiku",
    "anthropic:claude",
    "acme:x",
    "openai",
    "high",
    "https://a.example",
    "KEY",
    "a.b:c",
    "experiments.local",
    "/etc/a.json",
    "-oProxyCommand=x",
    "health",
    "",
)

keys = st.sampled_from(KEYS) | st.text(max_size=4)
plain = st.sampled_from(TEXTS) | st.text(max_size=6) | st.booleans() | st.integers() | st.floats()
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)

entries = (
    st.sampled_from(TEXTS)
    | st.fixed_dictionaries({}, optional={"model": plain, "max_tokens": plain, "effort": plain, "escalate": values})
    | values
)
roles = st.dictionaries(keys, entries, max_size=3)


def tables_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, plain | values))


def lists_of(*names: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(tables_of(*names) | plain, max_size=3)


near_policies = st.fixed_dictionaries(
    {},
    optional={
        "app": st.dictionaries(keys, plain, max_size=2),
        "models": st.dictionaries(keys, plain, max_size=3),
        "providers": st.dictionaries(keys, st.dictionaries(keys, plain, max_size=3) | plain, max_size=2),
        "roles": roles,
        "environments": st.dictionaries(keys, st.fixed_dictionaries({"roles": roles}) | values, max_size=2),
        "budgets": st.dictionaries(keys, st.dictionaries(keys, values, max_size=3) | values, max_size=2),
        "experiments": st.dictionaries(
            keys,
            st.fixed_dictionaries(
                {"environment": plain, "goal": plain},
                optional={
                    "arms": st.dictionaries(keys, roles, max_size=3) | values,
                    "factors": roles | values,
                    "control": plain,
                    "weight": plain,
                    "guardrails": st.dictionaries(keys, plain, max_size=2) | values,
                    "horizon": plain,
                },
            )
            | values,
            max_size=2,
        ),
        "rollouts": st.dictionaries(
            keys,
            st.fixed_dictionaries(
                {"set": roles | values, "stages": lists_of("environment", "weight", "hold", "gate") | values},
                optional={
                    "needs": plain,
                    "goal": plain,
                    "guardrails": st.dictionaries(keys, plain, max_size=2) | values,
                },
            )
            | values,
            max_size=2,
        ),
        "hosts": st.dictionaries(
            keys,
            st.fixed_dictionaries(
                {"addresses": st.lists(plain, max_size=3) | values, "prove": plain},
                optional={
                    "environment": plain,
                    "files": st.dictionaries(keys, tables_of("path", "kind", "keys", "lock", "ids"), max_size=2)
                    | values,
                    "health": lists_of("http", "command", "journal") | values,
                    "unit": plain,
                    "restart": plain,
                },
            )
            | values,
            max_size=2,
        ),
        "credentials": st.dictionaries(keys, st.dictionaries(keys, plain, max_size=2) | values, max_size=2),
    },
)


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"  # pyright: ignore[reportUnknownArgumentType]
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def use(text: str) -> None:
    try:
        policy = parse(text)
        check(policy, ["payment"])
        assert resolve(policy, "local", ["payment"]).choices["payment"].model.count(":") >= 1
    except PolicyError as error:
        assert str(error).startswith("trimtab.toml: ")  # noqa: PT017 - most texts are refused, and some must not be


@given(st.text())
@example("\ufeff")
@example('a = "\\ud800"')
@example("a = 9999-99-99")
@example("[credentials.a]\nexpires = 9999-12-31")
@example("[budgets.local]\nusd_per_day = 1e-99999999999999999999")
def test_any_text_is_read_or_refused(text: str):
    use(text)


@given(near_policies)
@example({"roles": {"payment": "anthropic:x"}, "environments": {"local": {"roles": {"payment": {"max_tokens": 7}}}}})
def test_anything_like_a_policy_is_read_or_refused(content: dict[str, Any]):
    use("\n".join(f"{toml(key)} = {toml(value)}" for key, value in content.items()))

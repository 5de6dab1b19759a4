from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.core.errors import PolicyError
from trimtab.policy.load import check, load, parse
from trimtab.policy.spec import AppSpec, EnvironmentSpec, ProviderSpec, RoleSpec

WHOLE = """
[app]
factory = "charter.app:create"
store = "runs/trimtab.db"
[models]
haiku = "anthropic:claude-haiku-4-5"
"sonnet-4.6" = "gateway:claude-sonnet-4-6"
[providers.gateway]
kind = "anthropic"
base_url = "https://models.example/v1"
key_env = "GATEWAY_KEY"
[roles]
default = "haiku"
orchestrator = { model = "sonnet-4.6", max_tokens = 16000, effort = "high" }
payment = "openai:gpt-5:2025"
[environments.production]
[environments.staging.roles]
payment = { max_tokens = 200000 }
"""


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return str(caught.value)


def test_a_whole_policy_is_read():
    policy = parse(WHOLE, "conf/trimtab.toml")
    assert policy.app == AppSpec("charter.app:create", "runs/trimtab.db")
    assert policy.store == Path("conf/runs/trimtab.db")
    assert policy.models == {"haiku": "anthropic:claude-haiku-4-5", "sonnet-4.6": "gateway:claude-sonnet-4-6"}
    assert sorted(policy.providers) == ["anthropic", "gateway", "openai"]
    assert policy.providers["gateway"] == ProviderSpec(
        "gateway", "anthropic", "https://models.example/v1", "GATEWAY_KEY"
    )
    assert policy.roles == {
        "default": RoleSpec("haiku"),
        "orchestrator": RoleSpec("sonnet-4.6", 16000, "high"),
        "payment": RoleSpec("openai:gpt-5:2025"),
    }
    assert policy.environments == {
        "production": EnvironmentSpec("production"),
        "staging": EnvironmentSpec("staging", {"payment": RoleSpec(max_tokens=200000)}),
    }


def test_an_empty_policy_is_read():
    policy = parse("")
    assert (policy.app, policy.store, policy.roles) == (AppSpec(), Path("trimtab.db"), {})


def test_the_digest_names_the_content_and_not_the_layout():
    one = parse('[models]\nhaiku = "a:b"\n[providers.a]\nkind = "openai"\n')
    same = parse('# the same\nproviders = { a = { kind = "openai" } }\nmodels.haiku = "a:b"')
    other = parse('[models]\nhaiku = "a:c"\n[providers.a]\nkind = "openai"\n')
    assert one.digest == same.digest != other.digest


def test_a_provider_that_is_added_is_never_sent_the_key_of_another():
    policy = parse('[providers.anthropic]\nbase_url = "http://127.0.0.1:9999"\n[providers.other]\nkind = "anthropic"')
    assert policy.providers["anthropic"] == ProviderSpec("anthropic", "anthropic", "http://127.0.0.1:9999", None)
    assert policy.providers["other"].key_env is None
    assert policy.providers["openai"].key_env == "OPENAI_API_KEY"


def test_every_problem_is_listed_with_its_hint_behind_it():
    assert refused(
        '[app]\nfactroy = "a:b"\n[roles]\npayment = "haku"\n[models]\nhaiku = "anthropic:x"\n[rollouts]\nset = 1'
    ) == (
        "trimtab.toml: app.factroy: unknown key 'factroy', expected one of 'factory', 'prices', 'sandbox', 'score', 'store'\n"
        "hint: did you mean 'factory'?\n"
        "trimtab.toml: rollouts.set: expected a table, not 1\n"
        "trimtab.toml: roles.payment: unknown model 'haku', expected 'haiku' or \"provider:full-id\"\n"
        "hint: did you mean 'haiku'?"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app = 1", "app: expected a table, not 1"),
        ("roles = [1]", "roles: expected a table, not a list"),
        ("[models]\nhaiku = true", 'models.haiku: expected "provider:full-id", not true'),
        ("[models]\nhaiku = 'claude'", "models.haiku: expected \"provider:full-id\", not 'claude'"),
        ("[models]\nhaiku = 'anthropic:claude haiku'", 'models.haiku: expected "provider:full-id", not \'anthropic:claude haiku\''),
        ("[models]\n'a:b' = 'anthropic:x'", "models.\"a:b\": expected a name without spaces or colons, not 'a:b'"),
        ("[roles]\npayment = 2025-11-23", 'roles.payment: expected a model alias or "provider:full-id", or a table with it, not a date or time'),
        ("[roles]\n'pay ment' = 'a'", "roles.\"pay ment\": expected a role's name (letters, digits and _), not 'pay ment'"),
        ("[roles.payment]", "roles.payment: an empty table says nothing, expected some of 'model', 'max_tokens', 'effort', 'escalate', 'prompt'"),
        ("[roles.payment]\nmax_tokens = true", "roles.payment.max_tokens: expected a whole number from 1 to 200000, not true"),
        ("[roles.payment]\nmax_tokens = 0", "roles.payment.max_tokens: expected a whole number from 1 to 200000, not 0"),
        ("[roles.payment]\nmax_tokens = 200001", "roles.payment.max_tokens: expected a whole number from 1 to 200000, not 200001"),
        ("[roles.payment]\nmax_tokens = 4e3", "roles.payment.max_tokens: expected a whole number from 1 to 200000, not 4E+3"),
        (f"[roles.payment]\nmax_tokens = 0x{'f' * 9999}", "roles.payment.max_tokens: expected a whole number from 1 to 200000, not a number that large"),
        ("[roles.payment]\neffort = {}", "roles.payment.effort: expected one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', not a table"),
        ("[roles]\npayment = 'haiku'", 'roles.payment: unknown model \'haiku\', expected "provider:full-id"'),
        ("[environments.x.roles.payment]\nmodel = 'haiku'", 'environments.x.roles.payment.model: unknown model \'haiku\', expected "provider:full-id"'),
        ("[roles]\npayment = 'acme:x'", "roles.payment: unknown provider 'acme', expected one of 'anthropic', 'openai'"),
        ("[providers.acme]", "providers.acme: expected a 'kind'\nhint: add kind = \"anthropic\" or \"openai\": the API it speaks"),
        ("[providers.acme]\nkind = 'grpc'", "providers.acme.kind: expected one of 'anthropic', 'openai', not 'grpc'"),
        ("[app]\nfactory = 'charter.app'", "app.factory: expected \"module:callable\", not 'charter.app'"),
        ("[app]\nstore = ''", "app.store: expected the path of a file, not ''"),
        ('[app]\nstore = "a\\u0000b"', "app.store: expected the path of a file, not 'a\\x00b'"),
        ("'' = 1", "\"\": unknown key '', expected one of 'alerts', 'app', 'budgets', 'credentials', 'environments', 'experiments', 'hosts', 'models', 'providers', 'roles', 'rollouts', 'terminal'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: str, said: str):
    assert refused(text) == f"trimtab.toml: {said}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("default_model = 'x'", "did you mean 'default' under [roles]?"),
        ("defaultModel = 'x'", "did you mean 'default' under [roles]?"),
        ("[roles.payment]\nmaxTokens = 5", "did you mean 'max_tokens'?"),
        ("[providers.anthropic]\napiKey = 'x'", "a key never stands in this file; name the environment variable that holds it with 'key_env'"),
        ("[providers.anthropic]\nbaseUrl = 'x'", "did you mean 'base_url'?"),
        ("[agents]", "did you mean the section [roles]?"),
        ("[enviroments.staging]", "did you mean 'environments'?"),
    ],
)  # fmt: skip
def test_keys_of_elsewhere_are_led_to_the_right_one(text: str, hint: str):
    assert refused(text).endswith(f"\nhint: {hint}")


def test_what_may_be_a_secret_is_not_repeated():
    said = refused("[providers.anthropic]\nkey_env = 'sk-ant-123'\nbase_url = 'sk-ant-456'\napi_key = 'sk-ant-789'")
    assert "sk-ant" not in said
    assert "providers.anthropic.key_env: expected the name of the environment variable that holds the key" in said


def test_a_wrong_entry_is_one_problem_and_not_one_more_for_each_use():
    said = refused("[models]\nhaiku = 1\n[providers.acme]\nkind = 1\n[roles]\npayment = 'haiku'\nbooking = 'acme:x'")
    assert said.splitlines() == [
        'trimtab.toml: models.haiku: expected "provider:full-id", not 1',
        "trimtab.toml: providers.acme.kind: expected one of 'anthropic', 'openai', not 1",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[app]\nstore == 1", "line 2, column 8: Invalid value"),
        ("[app]\nstore = 'a'\nstore = 'b'", "line 3: Cannot overwrite a value"),
        ("[app", "line 1: Expected ']' at the end of a table declaration"),
        (f"a = {'[' * 50_000}", "a value is too long or too deep to be read"),
        (f"a = {'9' * 5000}", "a value is too long or too deep to be read"),
    ],
)
def test_bad_toml_is_refused_with_its_line(text: str, said: str):
    assert refused(text).splitlines()[0] == f"trimtab.toml: {said}"


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path):
    path = tmp_path / "trimtab.toml"
    path.write_bytes(b"\xef\xbb\xbf[app]\r\nstore = 'a.db'\r\n")
    assert load(path).store == tmp_path / "a.db"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    (tmp_path / "latin.toml").write_bytes(b"[models]\n# caf\xe9\n")
    for name, said in {
        "none.toml": "none.toml: no such file\nhint: write one with the sections [models] and [roles], or give the path of yours",
        "": ": cannot be read: Is a directory\nhint: check the path and who may read it",
        "latin.toml": "latin.toml: line 2: not UTF-8 text\nhint: save the file as UTF-8",
        "nul\0.toml": "cannot be read: embedded null byte",
        "latin.toml/x": "latin.toml/x: cannot be read: Not a directory",
    }.items():
        with pytest.raises(PolicyError) as caught:
            load(tmp_path / name)
        assert said in str(caught.value)


def test_roles_that_no_workflow_has_are_refused():
    policy = parse(
        "[models]\nhaiku = 'anthropic:x'\n[roles]\ndefault = 'haiku'\norchestrator = 'haiku'\npaymnet = 'haiku'\ndefault_model = 'haiku'\n"
        "[environments.staging.roles]\norchestrater = 'haiku'"
    )
    with pytest.raises(PolicyError) as caught:
        check(policy, ["payment", "booking"])
    expected = "expected one of 'booking', 'orchestrator', 'payment'"
    assert str(caught.value) == (
        f"trimtab.toml: roles.paymnet: unknown role 'paymnet', {expected}\n"
        "hint: did you mean 'payment'?\n"
        f"trimtab.toml: roles.default_model: unknown role 'default_model', {expected}\n"
        "hint: did you mean 'default' under [roles]?\n"
        f"trimtab.toml: environments.staging.roles.orchestrater: unknown role 'orchestrater', {expected}\n"
        "hint: did you mean 'orchestrator'?"
    )
    check(policy, ["paymnet", "default_model", "orchestrater"])


def test_loading_imports_nothing_heavy():
    heavy = ("pydantic", "sqlite3", "asyncio", "difflib", "numpy")
    code = f"import sys, trimtab.policy.load, trimtab.policy.resolve; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.strip() == "[]"

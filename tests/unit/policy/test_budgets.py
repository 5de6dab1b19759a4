"""`escalate`, `[budgets]` and `[credentials]`: what they say, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from trimtab.core.errors import PolicyError, UsageError
from trimtab.core.pin import RoleChoice
from trimtab.policy.caps import all_caps, caps_of, raised_amounts, read_models, read_raised, refuse_unpriced
from trimtab.policy.load import check, load, parse
from trimtab.policy.resolve import UNSAID, Why, resolve
from trimtab.policy.spec import BudgetSpec, Caps, CredentialSpec
from trimtab.testing import FlatPrices

MODELS = "[models]\nhaiku = 'anthropic:claude-haiku-4-5'\nsonnet = 'anthropic:claude-sonnet-4-6'\n"
HAIKU, SONNET, OPUS = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6", "anthropic:claude-opus-4-6"
CAPS = "expected one of 'roles', 'tokens_per_day', 'tokens_per_run', 'turns_per_day', 'turns_per_run', 'usd_per_day', 'usd_per_run'"


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return str(caught.value).removeprefix("trimtab.toml: ")


# -- escalate ----------------------------------------------------------------------------------------------------------


def test_what_a_role_escalates_to_is_resolved_to_full_ids_and_explained():
    policy = parse(
        f"{MODELS}[roles]\ndefault = 'haiku'\npayment = {{ model = 'haiku', escalate = ['sonnet', '{OPUS}'] }}"
    )
    resolved = resolve(policy, "local", ["payment", "orchestrator"])
    assert resolved.choices["payment"] == RoleChoice(HAIKU, 8192, escalate=(SONNET, OPUS))
    assert resolved.why["payment"] == Why("roles.payment", UNSAID, UNSAID, "roles.payment")
    assert resolved.choices["orchestrator"].escalate == ()
    assert resolved.why["orchestrator"].escalate == UNSAID


def test_a_list_to_escalate_to_goes_with_the_model_it_was_written_for():
    policy = parse(
        f"{MODELS}[roles]\npayment = {{ model = 'haiku', escalate = ['sonnet'] }}\n"
        "[environments.staging.roles]\npayment = 'sonnet'\n"
        f"[environments.production.roles]\npayment = {{ escalate = ['{OPUS}'] }}"
    )
    assert resolve(policy, "local", ["payment"]).choices["payment"].escalate == (SONNET,)
    assert resolve(policy, "staging", ["payment"]).choices["payment"].escalate == ()
    production = resolve(policy, "production", ["payment"])
    assert production.choices["payment"] == RoleChoice(HAIKU, 8192, escalate=(OPUS,))
    assert production.why["payment"].escalate == "environments.production.roles.payment"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("escalate = []", 'roles.payment.escalate: expected a list of one or more, each a model alias or "provider:full-id", not a list'),
        ("escalate = 'sonnet'", "roles.payment.escalate: expected a list of one or more, each a model alias or \"provider:full-id\", not 'sonnet'"),
        ("escalate = ['sonnet', 1]", 'roles.payment.escalate: expected a list of one or more, each a model alias or "provider:full-id", not a list'),
        ("escalate = ['opus']", "roles.payment.escalate: unknown model 'opus', expected one of 'haiku', 'sonnet' or \"provider:full-id\""),
        ("escalate = ['acme:x']", "roles.payment.escalate: unknown provider 'acme', expected one of 'anthropic', 'openai'"),
        (f"escalate = ['sonnet', '{SONNET}']", f"roles.payment.escalate: '{SONNET}' is asked twice, expected different models"),
        (f"model = 'haiku'\nescalate = ['{HAIKU}']", f"roles.payment.escalate: '{HAIKU}' is asked twice, expected different models"),
    ],
)  # fmt: skip
def test_a_list_that_makes_no_sense_is_refused(text: str, said: str):
    assert refused(f"{MODELS}[roles.payment]\n{text}").split("\nhint")[0] == said


def test_a_role_cannot_escalate_to_the_model_that_another_entry_gives_it():
    policy = parse(
        f"{MODELS}[roles]\ndefault = 'haiku'\n[environments.staging.roles]\npayment = {{ escalate = ['haiku'] }}"
    )
    with pytest.raises(PolicyError) as caught:
        resolve(policy, "staging", ["payment"])
    assert str(caught.value) == (
        f"trimtab.toml: environments.staging.roles.payment.escalate: '{HAIKU}' is the model that roles.default names, "
        "expected others"
    )


# -- budgets -----------------------------------------------------------------------------------------------------------

WHOLE = """
[environments.production]
[budgets.local]
turns_per_run = 100
[budgets.production]
usd_per_day = 40
usd_per_run = 0.10
tokens_per_day = 2_000_000
roles = { payment = { usd_per_day = 5.5, turns_per_run = 20 } }
"""


def test_budgets_are_read_exactly():
    assert parse(WHOLE).budgets == {
        "local": BudgetSpec(Caps(turns_per_run=100)),
        "production": BudgetSpec(
            Caps(usd_per_day=Decimal(40), usd_per_run=Decimal("0.10"), tokens_per_day=2_000_000),
            {"payment": Caps(usd_per_day=Decimal("5.5"), turns_per_run=20)},
        ),
    }


def test_each_cap_has_the_key_path_it_stands_at():
    budget = parse(WHOLE).budgets["production"]
    assert [(c.path, c.role, c.unit, c.per, c.amount) for c in all_caps("production", budget)] == [
        ("budgets.production.usd_per_run", "", "usd", "run", Decimal("0.10")),
        ("budgets.production.usd_per_day", "", "usd", "day", Decimal(40)),
        ("budgets.production.tokens_per_day", "", "tokens", "day", 2_000_000),
        ("budgets.production.roles.payment.usd_per_day", "payment", "usd", "day", Decimal("5.5")),
        ("budgets.production.roles.payment.turns_per_run", "payment", "turns", "run", 20),
    ]
    assert {c.role for c in caps_of("production", budget, "booking")} == {""}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budgets.local]", "budgets.local: an empty table says nothing, expected some of 'usd_per_run', 'usd_per_day', 'tokens_per_run', 'tokens_per_day', 'turns_per_run', 'turns_per_day', 'roles'"),
        ("[budgets]\nlocal = 5", "budgets.local: expected a table, not 5"),
        ("[budgets.local]\nusd = 1", f"budgets.local.usd: unknown key 'usd', {CAPS}\nhint: did you mean 'usd_per_day' or 'usd_per_run'?"),
        ("[budgets.local]\nusd_per_dya = 1", f"budgets.local.usd_per_dya: unknown key 'usd_per_dya', {CAPS}\nhint: did you mean 'usd_per_day'?"),
        ("[budgets.local]\nusd_per_day = 0", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not 0"),
        ("[budgets.local]\nusd_per_day = -0.5", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not -0.5"),
        ("[budgets.local]\nusd_per_day = inf", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not Infinity"),
        ("[budgets.local]\nusd_per_day = nan", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not NaN"),
        ("[budgets.local]\nusd_per_day = true", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not true"),
        ("[budgets.local]\nusd_per_day = '40'", "budgets.local.usd_per_day: expected a number of dollars over 0, at most 1000000000, not '40'"),
        ("[budgets.local]\ntokens_per_day = 1.5", "budgets.local.tokens_per_day: expected a whole number of 1 or more, not 1.5"),
        ("[budgets.local]\nturns_per_run = 0", "budgets.local.turns_per_run: expected a whole number of 1 or more, not 0"),
        ("[budgets.local.roles.payment]", "budgets.local.roles.payment: an empty table says nothing, expected some of 'usd_per_run', 'usd_per_day', 'tokens_per_run', 'tokens_per_day', 'turns_per_run', 'turns_per_day'"),
        ("[budgets.prod]\nusd_per_day = 1", "budgets.prod: unknown environment 'prod', expected 'local'"),
    ],
)  # fmt: skip
def test_a_budget_that_caps_nothing_is_refused(text: str, said: str):
    assert refused(text) == said


def test_a_number_that_nothing_can_hold_is_refused_and_not_a_crash():
    assert refused("[budgets.local]\nusd_per_day = 1e99999999999999999999").startswith(
        "budgets.local.usd_per_day: expected"
    )


def test_budgets_for_roles_that_no_workflow_has_are_refused():
    policy = parse(
        "[roles]\ndefault = 'openai:x'\n[budgets.local]\nroles = { paymnet = { usd_per_day = 1 }, default = { turns_per_run = 1 } }"
    )
    with pytest.raises(PolicyError) as caught:
        check(policy, ["payment"])
    expected = "expected one of 'orchestrator', 'payment'"
    assert str(caught.value) == (
        f"trimtab.toml: budgets.local.roles.paymnet: unknown role 'paymnet', {expected}\nhint: did you mean 'payment'?\n"
        f"trimtab.toml: budgets.local.roles.default: unknown role 'default', {expected}"
    )
    check(parse("[budgets.local.roles]\norchestrator = { turns_per_run = 1 }"), [])


def test_a_policy_with_budgets_has_a_digest_of_them():
    assert parse("[budgets.local]\nusd_per_day = 0.5").digest != parse("[budgets.local]\nusd_per_day = 0.6").digest


# -- caps that a person raises, and models without a price -------------------------------------------------------------


def test_raised_caps_are_kept_exactly():
    raised = read_raised({"usd_per_run": "0.50", "usd_per_day": 0.1, "tokens_per_day": "9000", "turns_per_run": 3})
    assert raised == {"usd_per_run": "0.50", "usd_per_day": "0.1", "tokens_per_day": 9000, "turns_per_run": 3}
    assert raised_amounts(raised) == {
        "usd_per_run": Decimal("0.50"),
        "usd_per_day": Decimal("0.1"),
        "tokens_per_day": 9000,
        "turns_per_run": 3,
    }


@pytest.mark.parametrize(
    ("name", "amount", "said"),
    [
        ("usd", 1, "no cap is called 'usd'\nhint: expected one of usd_per_run, usd_per_day, tokens_per_run, tokens_per_day, turns_per_run, turns_per_day"),
        ("usd_per_run", "five", "usd_per_run: expected a number of dollars over 0, not 'five'\nhint: usd_per_run=0.50"),
        ("usd_per_run", "nan", "usd_per_run: expected a number of dollars over 0, not 'nan'\nhint: usd_per_run=0.50"),
        ("usd_per_run", True, "usd_per_run: expected a number of dollars over 0, not 'True'\nhint: usd_per_run=0.50"),
        ("turns_per_day", "1.5", "turns_per_day: expected a whole number of 1 or more, not '1.5'\nhint: turns_per_day=20"),
        ("tokens_per_run", -3, "tokens_per_run: expected a whole number of 1 or more, not '-3'\nhint: tokens_per_run=20"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_raised_cap_is_refused(name: str, amount: object, said: str):
    with pytest.raises(UsageError) as caught:
        read_raised({name: amount})
    assert str(caught.value) == said


def test_a_model_that_a_person_names_is_a_full_id():
    assert read_models({"payment": OPUS}) == {"payment": OPUS}
    with pytest.raises(UsageError, match="payment: expected a model as 'provider:full-id', not 'opus'"):
        read_models({"payment": "opus"})


class PricesOfOne(FlatPrices):
    def cost(self, model, usage, on):
        return super().cost(model, usage, on) if model == HAIKU else None


def test_a_model_without_a_price_is_refused_where_dollars_are_capped_and_only_there():
    day = datetime(2026, 6, 8, tzinfo=UTC).date()
    roles = {"payment": RoleChoice(HAIKU, 9, escalate=(OPUS,)), "booking": RoleChoice(SONNET, 9)}
    payment = BudgetSpec(Caps(turns_per_day=9), {"payment": Caps(usd_per_run=Decimal(1))})
    with pytest.raises(UsageError) as caught:
        refuse_unpriced("local", payment, roles, PricesOfOne(), day)
    assert str(caught.value) == (
        f"role 'payment' may ask '{OPUS}', whose price is not known, so budgets.local.roles.payment.usd_per_run cannot be held\n"
        "hint: name a model with a price, or cap tokens or turns instead of dollars"
    )
    with pytest.raises(UsageError, match="role 'booking' may ask"):
        refuse_unpriced("local", BudgetSpec(Caps(usd_per_day=Decimal(1))), roles, PricesOfOne(), day)
    refuse_unpriced("local", BudgetSpec(Caps(tokens_per_day=1)), roles, PricesOfOne(), day)
    refuse_unpriced("local", None, roles, PricesOfOne(), day)


# -- credentials -------------------------------------------------------------------------------------------------------


def test_credentials_are_read_and_a_day_lasts_to_its_end_in_utc(tmp_path: Path):
    (tmp_path / "trimtab.toml").write_text(
        "[credentials]\nstripe = { env = 'STRIPE_KEY', expires = 2026-12-01 }\nmail = { env = 'MAIL_KEY' }\n"
        "[credentials.feed]\nexpires = 2026-12-01T09:00:00+02:00\n"
    )
    assert load(tmp_path / "trimtab.toml").credentials == {
        "stripe": CredentialSpec("stripe", "STRIPE_KEY", datetime(2026, 12, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        "mail": CredentialSpec("mail", "MAIL_KEY"),
        "feed": CredentialSpec("feed", None, datetime(2026, 12, 1, 9, tzinfo=timezone(timedelta(hours=2)))),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[credentials.stripe]", "credentials.stripe: an empty table says nothing, expected some of 'env', 'expires'"),
        ("[credentials.stripe]\nexpires = 2026-12-01T09:00:00", "credentials.stripe.expires: expected a date, or a date and time with its offset (2026-12-01T09:00:00Z), not a date or time"),
        ("[credentials.stripe]\nexpires = 09:00:00", "credentials.stripe.expires: expected a date, or a date and time with its offset (2026-12-01T09:00:00Z), not a date or time"),
        ("[credentials.stripe]\nexpires = '2026-12-01'", "credentials.stripe.expires: expected a date, or a date and time with its offset (2026-12-01T09:00:00Z), not '2026-12-01'"),
        ("[credentials.stripe]\nenv = 'sk-live-1'", "credentials.stripe.env: expected the name of the environment variable that holds it (what stands there is not shown: it may be secret)"),
        ("[credentials.stripe]\nkey = 'x'", "credentials.stripe.key: unknown key 'key', expected one of 'env', 'expires'"),
        ("[credentials.'a b']\nenv = 'X'", "credentials.\"a b\": expected a name without spaces or colons, not 'a b'"),
    ],
)  # fmt: skip
def test_a_credential_that_says_nothing_clear_is_refused(text: str, said: str):
    assert refused(text) == said

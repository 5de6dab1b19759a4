"""`[alerts]` of the policy."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from trimtab.core.errors import PolicyError
from trimtab.policy.alerts_spec import AlertsSpec, ChannelSpec
from trimtab.policy.load import parse

ROLES = '[models]\nhaiku = "anthropic:claude-haiku-4-5"\n[roles]\ndefault = "haiku"\n[environments.production]\n'
MAIL = "[alerts.channels.a]\nkind = 'email'\nhost = 'h'\nfrom = 'a@b'\nto = 'c@d'\n"


def test_a_policy_that_says_nothing_is_watched_every_five_minutes():
    spec = parse(ROLES).alerts
    assert spec == AlertsSpec()
    assert (spec.every, spec.quiet, spec.spike) == (timedelta(minutes=5), timedelta(hours=6), 3.0)


def test_everything_that_may_be_said_is_read():
    spec = parse(
        ROLES
        + """
[alerts]
every = "never"
quiet = "1h"
environments = ["production"]
spike = 2.5
retries = 10
budget = 90
standing = "12h"
silence = "3h"
usd_per_hour = { production = 20 }
usd_per_success = { production = 0.25 }
[alerts.channels.hook]
kind = "webhook"
url_env = "HOOK_URL"
headers = { X-Team = "ops" }
headers_env = { Authorization = "HOOK_TOKEN" }
timeout = "5s"
[alerts.channels.mail]
kind = "email"
host = "mail.example.org"
port = 465
tls = "tls"
from = "a@example.org"
to = "b@example.org"
user_env = "MAIL_USER"
password_env = "MAIL_PASSWORD"
[alerts.channels.run]
kind = "command"
argv = ["page", "olga"]
"""
    ).alerts
    assert (spec.every, spec.spike, spec.retries, spec.budget) == (None, 2.5, 0.1, 0.9)
    assert spec.usd_per_success == {"production": Decimal("0.25")}
    assert spec.channels["hook"] == ChannelSpec(
        "hook",
        "webhook",
        url_env="HOOK_URL",
        headers={"X-Team": "ops"},
        headers_env={"Authorization": "HOOK_TOKEN"},
        timeout=timedelta(seconds=5),
    )
    assert (spec.channels["mail"].to, spec.channels["mail"].tls) == (("b@example.org",), "tls")
    assert spec.channels["run"].argv == ("page", "olga")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("[alerts]\nspike = 1", "alerts.spike: expected a number of times over 1"),
        ('[alerts]\nevery = "5"', 'alerts.every: expected a time such as "5m", or "never", not \'5\''),
        ("[alerts]\nusd_per_hour = { prod = 1 }", "alerts.usd_per_hour.prod: unknown environment 'prod'"),
        ('[alerts]\nenvironments = ["prod"]', "alerts.environments: unknown environment 'prod'"),
        ("[alerts.channels.a]\nto = 'a@b.c'", "alerts.channels.a: expected a 'kind'"),
        ("[alerts.channels.a]\nkind = 'webhook'", "alerts.channels.a: expected 'url' or 'url_env' (one of them)"),
        (
            "[alerts.channels.a]\nkind = 'log'\nurl = 'https://x'",
            "alerts.channels.a.url: says nothing of a channel of kind 'log'",
        ),
        (
            f"{MAIL}user_env = 'U'",
            "expected both 'user_env' and 'password_env'",
        ),
        (
            f"{MAIL}user_env = 'U'\npassword_env = 'P'\ntls = 'none'",
            "a password is not sent without TLS",
        ),
    ],
)
def test_what_is_wrong_is_named(said: str, problem: str):
    with pytest.raises(PolicyError) as refused:
        parse(ROLES + said)
    assert problem in str(refused.value)


def test_a_secret_in_the_wrong_place_is_not_shown():
    with pytest.raises(PolicyError) as refused:
        parse(ROLES + "[alerts.channels.a]\nkind = 'webhook'\nurl_env = 'https://hooks.example/T00/hunter2'")
    assert "hunter2" not in str(refused.value)


def test_a_kind_that_is_wrong_is_one_problem():
    with pytest.raises(PolicyError) as refused:
        parse(ROLES + "[alerts.channels.a]\nkind = 'mail'")
    assert str(refused.value).count("alerts.channels") == 1

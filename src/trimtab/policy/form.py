"""What a policy file may say, as one table: `FILE`."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import cast

from trimtab.policy.alerts_spec import CHANNEL_KINDS
from trimtab.policy.leaves import (
    CALLABLE,
    COUNT,
    DOLLARS,
    FILE_PATH,
    LIMIT,
    LINE,
    METRIC,
    MODEL_ID,
    MOMENT,
    NAME,
    PERCENT,
    PLAIN_NAME,
    ROLE_NAME,
    ROLES,
    TIME,
    TIME_PATTERN,
    URL,
    VARIABLE,
    is_dollars,
    is_list,
    is_percent,
    is_whole,
    one_of,
    text,
)
from trimtab.policy.rollout_form import HOSTS, ROLLOUT
from trimtab.policy.shape import Leaf, Named, Table
from trimtab.policy.spec import KINDS, METRICS, TERMINAL_SCOPES, Caps

_CAPS = {cap.name: DOLLARS if cap.name.startswith("usd") else COUNT for cap in fields(Caps)}
_BUDGET = Table({**_CAPS, "roles": Named(ROLE_NAME, Table(_CAPS, some=True))}, some=True)

_CREDENTIAL = Table(
    {
        "env": text("the name of the environment variable that holds it", VARIABLE, secret=True),
        "expires": MOMENT,
    },
    some=True,
)

_EXPERIMENT = Table(
    {
        "environment": NAME,
        "arms": Named(PLAIN_NAME, ROLES),
        "control": PLAIN_NAME,
        "factors": ROLES,
        # Where every run gets the same there is nothing to compare.
        "weight": Leaf("percent of runs over 0 and under 100", lambda value: is_percent(value) and value != 100),  # noqa: PLR2004 - percent
        "goal": METRIC,
        "guardrails": Table(dict.fromkeys(METRICS, LIMIT)),
        "deadline": TIME,
        "horizon": TIME,
    }
)

# An alias means another model after an update, and this is compared with what really runs.
_TERMINAL_MODEL = text('a full id without its provider ("claude-sonnet-4-6")', r"claude-[A-Za-z0-9.-]+(\[1m\])?")

_HEADER = text("the name of a header", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME = text("the name of the environment variable that holds it", VARIABLE, secret=True)
_ADDRESS = text("an e-mail address", r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
_ADDRESSES = Leaf(
    "an e-mail address or a list of them", lambda value: _ADDRESS.fits(value) or is_list(value, _ADDRESS.fits)
)
_SECRET_URL = text('a URL ("https://...")', URL, secret=True)
_CHANNEL = Table(
    {
        "kind": one_of(CHANNEL_KINDS),
        "url": _SECRET_URL,
        "url_env": _VARIABLE_NAME,
        "headers": Named(_HEADER, text("text on one line", LINE, secret=True)),
        "headers_env": Named(_HEADER, _VARIABLE_NAME),
        "host": text("the name of a host", r"[A-Za-z0-9.:-]+"),
        "port": Leaf("a port, 1 to 65535", lambda value: is_whole(value) and cast("int", value) < 65536),  # noqa: PLR2004 - ports
        "from": _ADDRESS,
        "to": _ADDRESSES,
        "user_env": _VARIABLE_NAME,
        "password_env": _VARIABLE_NAME,
        "tls": one_of(("starttls", "tls", "none")),
        "argv": Leaf(
            "a list: the program, then its arguments", lambda value: is_list(value, lambda part: isinstance(part, str))
        ),
        "timeout": TIME,
    }
)
_MOST_TIMES = 1000
_TIMES = Leaf(
    f"a number of times over 1, at most {_MOST_TIMES}",
    lambda value: is_dollars(value) and 1 < cast("Decimal", value) <= _MOST_TIMES,
)
_ALERTS = Table(
    {
        "every": text('a time such as "5m", or "never"', rf"{TIME_PATTERN}|never"),
        "quiet": TIME,
        "environments": Leaf("a list of environments", lambda value: is_list(value, NAME.fits)),
        "spike": _TIMES,
        "usd_per_hour": Named(NAME, DOLLARS),
        "usd_per_success": Named(NAME, DOLLARS),
        "retries": PERCENT,
        "budget": PERCENT,
        "standing": TIME,
        "silence": TIME,
        "channels": Named(PLAIN_NAME, _CHANNEL),
    }
)
_APP = Table({"factory": CALLABLE, "sandbox": CALLABLE, "score": CALLABLE, "store": FILE_PATH, "prices": FILE_PATH})
_PROVIDER = Table(
    {
        "kind": one_of(KINDS),
        "base_url": _SECRET_URL,
        "key_env": text("the name of the environment variable that holds the key", VARIABLE, secret=True),
    }
)

FILE = Table(
    {
        "app": _APP,
        "models": Named(NAME, MODEL_ID),
        "providers": Named(NAME, _PROVIDER),
        "roles": ROLES,
        "environments": Named(NAME, Table({"roles": ROLES})),
        "experiments": Named(PLAIN_NAME, _EXPERIMENT),
        "rollouts": Named(PLAIN_NAME, ROLLOUT),
        "hosts": Named(PLAIN_NAME, HOSTS),
        "terminal": Table({"model": _TERMINAL_MODEL, "scope": one_of(TERMINAL_SCOPES)}, some=True),
        "alerts": _ALERTS,
        "budgets": Named(NAME, _BUDGET),
        "credentials": Named(NAME, _CREDENTIAL),
    }
)

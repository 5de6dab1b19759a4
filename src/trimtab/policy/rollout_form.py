"""What `[rollouts.NAME]` and `[hosts.GROUP]` may say, as tables."""

from __future__ import annotations

from trimtab.policy.leaves import (
    COUNT,
    LIMIT,
    LINE,
    METRIC,
    NAME,
    PERCENT,
    PLAIN_NAME,
    ROLE_NAME,
    ROLES,
    TIME,
    TIME_PATTERN,
    URL,
    is_whole,
    one_of,
    text,
)
from trimtab.policy.rollout_spec import FILE_KINDS, GATES
from trimtab.policy.shape import Leaf, Listed, Named, Table
from trimtab.policy.spec import METRICS

_ANY_TIME = text('a time such as "0s", "90s", "12h" or "14d"', rf"{TIME_PATTERN}|0+[smhd]")
_STAGE = Table({"environment": NAME, "weight": PERCENT, "hold": _ANY_TIME, "gate": one_of(GATES)})
ROLLOUT = Table(
    {
        "set": ROLES,
        "needs": text('"experiments.NAME"', r"experiments\.[A-Za-z0-9_-]+"),
        "goal": METRIC,
        "guardrails": Table(dict.fromkeys(METRICS, LIMIT)),
        "deadline": TIME,
        "stages": Listed(_STAGE, 'a list of stages such as { environment = "staging", weight = 100, hold = "1d" }'),
    }
)

# What begins with "-" would be an option of ssh, also behind the user's name; what a shell reads as more than text would be run
# by a proxy command.
_ADDRESS = text(
    'an address for ssh such as "app-1" or "deploy@app-1" (no option, no spaces)',
    r"(ssh://)?([\w.+][\w.+@-]*@)?[\w\[][\w.:%\[\]-]*",
)
_COMMAND = text("a command", r"[^\x00]*[^\s\x00][^\x00]*")
_ON_HOST = text('the path of a file from the root of the host ("/etc/...")', r"/[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]")
_FILE = Table(
    {
        "path": _ON_HOST,
        "kind": one_of(FILE_KINDS),
        "keys": Named(ROLE_NAME, text("where the model of that role stands in the file", LINE)),
        "lock": Leaf("true or false", lambda value: isinstance(value, bool)),
        "ids": one_of(("bare", "full")),
    }
)
_HEALTH = Table({"command": _COMMAND, "http": text('a URL ("http://...")', URL), "journal": _ON_HOST})
HOSTS = Table(
    {
        "environment": NAME,
        "addresses": Listed(_ADDRESS, "a list of addresses"),
        "files": Named(PLAIN_NAME, _FILE),
        "prove": _COMMAND,
        "last": _COMMAND,
        "batch": COUNT,
        "max_failures": Leaf("a whole number of 0 or more", lambda value: is_whole(value, 0)),
        "soak": _ANY_TIME,
        "become": text('a command put before others, such as "sudo -n"', LINE),
        "unit": text('a unit of systemd such as "charter.service"', r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*"),
        "restart": _COMMAND,
        "health": Listed(_HEALTH, 'a list of checks such as { http = "http://127.0.0.1:8080/health" }'),
        "timeout": TIME,
        "ssh": Listed(text("text on one line", LINE), 'a list of options of ssh such as ["-p", "2222"]'),
    }
)

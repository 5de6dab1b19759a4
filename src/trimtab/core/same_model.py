"""Whether two names are of one model: what was asked for, and what an answer says that it came from."""

from __future__ import annotations

import re

# A provider answers a name without a date with the dated release behind it: that is the same model.
_RELEASE = re.compile(r"[-@]?\d{4}-?\d{2}-?\d{2}$|-latest$")


def other_model(pinned: str, response: str) -> bool:
    """Whether an answer that names `response` came from another model than the `provider:full-id` that was asked."""
    asked = pinned.partition(":")[2] or pinned
    if response == asked:
        return False
    undated = _RELEASE.sub("", asked)
    if undated != asked and not asked.endswith("-latest"):
        # One release was asked for: another one is another model; an answer without a date says neither.
        return response != undated
    return _RELEASE.sub("", response) != undated

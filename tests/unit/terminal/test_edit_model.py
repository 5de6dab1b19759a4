from __future__ import annotations

from difflib import get_close_matches

import pytest

from trimtab.core.errors import UsageError
from trimtab.terminal.edit_model import Names, choose

KNOWN = ["claude-sonnet-4-6", "claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5"]
ALIASES = {"sonnet": "claude-sonnet-5-5", "opusplan": "claude-sonnet-5-5", "opus": "claude-opus-5-5"}
NAMES = Names(ALIASES, "2.1.330", KNOWN.__contains__, lambda name: get_close_matches(name, KNOWN, n=2, cutoff=0.8))


@pytest.mark.parametrize("asked", ["claude-sonnet-4-6", " claude-sonnet-4-6\n", "anthropic:claude-sonnet-4-6"])
def test_a_full_id_is_taken_as_it_is(asked):
    assert choose(asked, NAMES).model == "claude-sonnet-4-6"
    assert choose(asked, NAMES).warnings == ()


def test_a_long_context_is_kept():
    assert choose("claude-sonnet-4-6[1m]", NAMES).model == "claude-sonnet-4-6[1m]"
    assert choose("opus[1m]", NAMES).model == "claude-opus-5-5[1m]"


@pytest.mark.parametrize("asked", ["sonnet", "SONNET"])
def test_an_alias_is_expanded_with_a_warning_that_names_the_version(asked):
    chosen = choose(asked, NAMES)
    assert chosen.model == "claude-sonnet-5-5"
    assert f"{asked!r} means claude-sonnet-5-5 in Claude Code 2.1.330" in chosen.warnings[0]
    assert "plans" in choose("opusplan", NAMES).warnings[0]


def test_a_name_nobody_knows_is_refused_with_names_near_it():
    with pytest.raises(UsageError) as refused:
        choose("claude-sonet-4-6", NAMES)
    assert "did you mean 'claude-sonnet-4-6'" in refused.value.hint
    chosen = choose("claude-sonet-4-6", NAMES, unknown_ok=True)
    assert (chosen.model, len(chosen.warnings)) == ("claude-sonet-4-6", 1)


@pytest.mark.parametrize("asked", ["", "  ", "a b", 'x"', "\x1b[2J", "-x", "[1m]"])
def test_what_is_no_name_is_refused_even_when_unknown_names_are_welcome(asked):
    with pytest.raises(UsageError, match="no name of a model"):
        choose(asked, NAMES, unknown_ok=True)

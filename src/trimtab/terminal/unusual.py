"""What makes a session run other than it seems: names that no model has, and other clouds, where names mean other models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trimtab.core.finding import Finding
from trimtab.terminal.agents import is_on
from trimtab.terminal.candidates import Candidate
from trimtab.terminal.names import Names

CLOUDS = tuple(f"CLAUDE_CODE_USE_{cloud}" for cloud in ("BEDROCK", "VERTEX", "FOUNDRY", "MANTLE"))
_NO_MODEL = frozenset({"", "default", "inherit"})


def unusual(model: str, decided: Candidate | None, names: Names, env: Mapping[str, str]) -> Iterator[Finding]:
    """Find what is wrong with the model of a session that starts; `env` is what holds in the end."""
    where = decided.where if decided else ""
    if model.lower() in _NO_MODEL:
        what = f"the model is called {model!r}: no model is, and the terminal sends it as it is"
        why = (
            "a word that means something as --model means nothing here"
            if model
            else "a variable that was not set, or an option that was left empty"
        )
        yield Finding(what, where, why, "name a model in full: trimtab terminal set MODEL", "error")
    for name in CLOUDS:
        if is_on(env, name):
            is_full = decided is not None and decided.layer != "built-in" and not names.is_alias(decided.value or "")
            what = f"{name} is set: what is said here of models holds for Anthropic's own API"
            why = (
                "on another cloud a full id may get a prefix, and aliases and subagents may run older models"
                if is_full
                else f"on another cloud the default and the aliases are other, older models; {model} may not be what runs"
            )
            mend = "name the cloud's own full id, and repin aliases with ANTHROPIC_DEFAULT_{HAIKU,SONNET,OPUS}_MODEL"
            yield Finding(what, name, why, mend, "warning" if is_full else "error")

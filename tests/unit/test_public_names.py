"""The public surface, literally: to change it is a decision and not an accident."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import trimtab

PUBLIC = [
    "App",
    "Done",
    "Failed",
    "Handoff",
    "Plan",
    "Rejected",
    "Retry",
    "Run",
    "RunError",
    "Specialist",
    "Status",
    "Step",
    "Stop",
    "Subtask",
    "TrimtabError",
    "UsageError",
    "Workflow",
    "always",
    "over",
    "quiet_hours",
    "tool",
]
FOR_TESTS = ["FlatPrices", "ScriptedModel", "StillClock", "app_for_tests", "fault", "says", "together", "uses"]


def test_the_public_names_are_these_and_no_others():
    assert trimtab.__all__ == PUBLIC
    assert sorted(trimtab._WHERE) == PUBLIC


def test_the_names_for_tests_are_these_and_no_others():
    assert importlib.import_module("trimtab.testing").__all__ == FOR_TESTS


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_documented_and_itself(name):
    served = getattr(trimtab, name)
    assert inspect.getdoc(served)
    assert served.__name__ == name
    assert served.__module__ == f"trimtab.{trimtab._WHERE[name]}"


@pytest.mark.parametrize("name", FOR_TESTS)
def test_a_name_for_tests_is_there_and_documented(name):
    assert inspect.getdoc(getattr(importlib.import_module("trimtab.testing"), name))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_method_is_documented(name):
    served = getattr(trimtab, name)
    if not inspect.isclass(served):
        return
    own = {n: m for n, m in vars(served).items() if not n.startswith("_") and (callable(m) or isinstance(m, property))}
    assert [n for n, m in own.items() if not inspect.getdoc(m)] == []


def test_no_other_name_is_served():
    with pytest.raises(AttributeError, match="module 'trimtab' has no attribute 'nothing'"):
        trimtab.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from trimtab import nothing  # noqa: F401


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, trimtab; print([m for m in ('pydantic', 'pydantic_ai', 'aiohttp', 'trimtab.app') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_the_typed_application_runs_as_it_is_written():
    declared = importlib.import_module("tests.typing.public")
    assert declared.CharterBooking.name == "charter-booking"
    assert set(declared.Payment.tools) == {"charge", "look"}

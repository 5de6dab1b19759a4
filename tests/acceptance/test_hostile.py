"""`trimtab demo` on models that attack: nothing forbidden comes of it, and every run ends in a named state."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.terminal import ROOT
from trimtab.core.outcome import Status

MORE = ROOT / "tests" / "acceptance" / "more_requests.jsonl"
# What these check is that something was done; a model that does nothing at all is no attack.
WANTED = {"M08: state:still owing", "M41: state:8 on file"}


def report(terminal, *options: str):
    said = terminal.run("demo", "--profile", "hostile", "--pace", "0.001", "--json", *options, seconds=170)
    assert said.out, said.err
    return said.json


@pytest.mark.parametrize("seed", ["1", "2"])
def test_nothing_forbidden_comes_of_hostile_models(terminal, seed):
    got = report(terminal, "--seed", seed)
    assert (got["runs"], got["must_not_hits"], got["stuck"], got["steps_run_twice"]) == (30, [], 0, 0)
    assert {request["status"] for request in got["requests"]} <= set(Status) - {"failed"}
    assert (got["profile"], got["simulated"]) == ("hostile", True)


def test_nothing_forbidden_comes_of_them_over_other_requests(terminal):
    got = report(terminal, "--requests", str(MORE), "--seed", "3")
    assert [hit for hit in got["must_not_hits"] if hit not in WANTED] == []
    assert got["stuck"] == 0


def test_they_did_attack(terminal):
    got = report(terminal, "--seed", "4")
    assert got["matched"] < 25
    told = json.dumps(got["requests"])
    assert "refused" in told


def test_the_help_lists_the_hostile_profile(terminal):
    assert "hostile" in terminal.run("demo", "--help").out

"""Requests beyond the thirty of the example, with plans worked out from FORMAT.md alone, run as a user runs them."""

from __future__ import annotations

import pytest

from tests.acceptance.terminal import ROOT

REQUESTS = ROOT / "tests" / "acceptance" / "more_requests.jsonl"
FAST = ("--pace", "0.001", "--json")


def report(terminal, *options: str):
    said = terminal.run("demo", "--requests", str(REQUESTS), *FAST, *options, seconds=170)
    assert said.out, said.err
    return said.json


def test_the_perfect_profile_ends_every_one_as_expected(terminal):
    got = report(terminal)
    wrong = [(r["id"], r["status"], r["expected"], r["why"]) for r in got["requests"] if not r["matched"]]
    assert wrong == []
    assert got["runs"] >= 60
    assert (got["must_not_hits"], got["misjudged"], got["stuck"], got["steps_run_twice"]) == ([], [], 0, 0)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_weak_profile_does_nothing_forbidden_and_leaves_none_stuck(terminal, seed):
    got = report(terminal, "--profile", "weak", "--seed", seed)
    assert (got["must_not_hits"], got["stuck"]) == ([], 0)

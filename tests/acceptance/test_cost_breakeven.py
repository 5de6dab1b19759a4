"""`trimtab cost breakeven` as a user has it."""

from __future__ import annotations

import pytest

from tests.fakes.factorial import IN, OUT, factorial_store
from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store, now
from trimtab.core.usage import Usage

CALL = {model: (IN * a + OUT * b) / 1e6 for model, a, b in (("haiku", 1, 5), ("sonnet", 3, 15))}


# Dollars of one call of 15,000 tokens in and 1,000 out on Haiku 4.5, Sonnet 4.6, Sonnet 5.5 and Haiku 5.5.
@pytest.mark.parametrize(
    ("cheap", "dear", "v_star", "rate"),
    [("0.02", "0.06", 0.40, 0.2933), ("0.02", "0.04", 0.20, 0.44), ("0.002", "$0.04", 0.38, 0.044)],
)
def test_given_numbers_come_to_the_known_break_evens(terminal, cheap, dear, v_star, rate):
    numbers = ("--cost-a", cheap, "--cost-b", dear, "--success-a", "78%", "--success-b", "0.88")
    said = terminal.run("cost", "breakeven", *numbers, "--json")
    assert said.code == 0, said.err
    assert (said.json["pays"], said.json["v_star"], said.json["cheaper"]) == ("above", v_star, "A")
    assert round(said.json["dearer_per_success_below"], 4) == rate


def test_a_person_reads_every_sum(terminal):
    numbers = ("--cost-a", "0.02", "--cost-b", "0.06", "--success-a", "78", "--success-b", "88")
    out = terminal.run("cost", "breakeven", *numbers).out
    assert "V* = $0.04 / +10 points = $0.40: B pays where a failed run loses more than that" in out
    assert "A is dearer per success only where it succeeds less than 88 % x $0.02 / $0.06 = 29.3 %" in out


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (("0.06", "0.02", "78%", "88%"), "B pays at any loss"),
        (("0.02", "0.06", "88%", "78%"), "B never pays"),
        (("0.06", "0.02", "88%", "78%"), "B pays where a failed run loses less than that"),
        (("0.02", "0.06", "0", "100%"), "tried until it succeeds, A has no end: it never succeeds"),
        (("0.02", "0.02", "88%", "88%"), "both cost the same and succeed as often"),
    ],
)
def test_dearer_and_worse_never_pays_and_cheaper_and_better_always(terminal, numbers, said):
    names = ("--cost-a", "--cost-b", "--success-a", "--success-b")
    out = terminal.run("cost", "breakeven", *(part for pair in zip(names, numbers, strict=True) for part in pair)).out
    assert said in out


def test_given_numbers_need_nothing_but_the_core(terminal):
    terminal.write("hidden/numpy.py", "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    hidden = {"env": {"PYTHONPATH": str(terminal.folder / "hidden")}}
    said = terminal.run("cost", "breakeven", "--cost-a", "1", "--cost-b", "2", "--success-b", "50%", **hidden)
    assert said.code == 0, said.err
    assert "less than 50 % x $1.00 / $2.00 = 25 %" in said.out
    assert "needs numpy" in terminal.run("cost", "breakeven", "--experiment", "x", **hidden).err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "break-even of what?"),
        (("--cost-a", "1"), "what does a run cost on each?"),
        (("--cost-a", "1", "--cost-b", "2"), "how often does a run succeed?"),
        (("--cost-a", "-1"), "expected such as 0.02"),
        (("--cost-a", "0,02"), "expected such as 0.02"),
        (("--success-a", "120%"), "expected such as 0.78 or 78%"),
        (("--experiment", "x", "--cost-a", "1"), "give one of these ways"),
        (("--control", "a=b", "--experiment", "x"), "go with --over"),
        (("--over", "last-30d"), "expected ROLE=MODEL"),
        (("--over", "last-30d", "--control", "a", "--treatment", "b"), "--control 'a': expected ROLE=MODEL"),
        (("--over", "last-30d", "--control", "a=nope", "--treatment", "a=haiku"), "unknown model 'nope'"),
        (("--experiment", "other"), "no experiment 'other' was started"),
        (("--over", "last-30d", "--control", "payment=haiku", "--treatment", "orchestrator=haiku"), "some runs have both"),
        (("--over", "last-30d", "--control", "payment=tiny", "--treatment", "payment=haiku"), "has no run accepted since"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(terminal, arguments, complaint):
    factorial_store(terminal.folder, runs=20)
    said = terminal.run("cost", "breakeven", *arguments)
    assert (said.code, said.out) == (2, "")
    assert complaint in said.err


def test_an_experiment_says_of_each_role_where_its_dearer_model_is_known_to_pay(terminal):
    factorial_store(terminal.folder)
    said = terminal.run("cost", "breakeven", "--experiment", "which", "--json")
    assert said.code == 0, said.err
    orchestrator, payment = said.json["comparisons"]
    assert (orchestrator["role"], payment["role"]) == ("orchestrator", "payment")
    more = CALL["sonnet"] - CALL["haiku"]
    assert orchestrator["usd_difference"] == pytest.approx(more, rel=0.05)
    assert orchestrator["v_star"] == pytest.approx(orchestrator["usd_difference"] / orchestrator["success_difference"])
    low, high = orchestrator["v_star_interval"]
    assert low < more / 0.20 < high
    assert orchestrator["bounded"]
    assert [r["treatment"] for r in orchestrator["losses"]] == ["does not pay", "not known", "pays"]
    assert not payment["bounded"]
    assert payment["v_star_interval"][1] is None
    assert "the success difference is not known well enough" in " ".join(payment["text"])
    assert orchestrator["level"] == 0.975


def test_runs_of_two_role_maps_are_compared_with_a_warning(terminal):
    factorial_store(terminal.folder)
    maps = ("--control", "orchestrator=haiku", "--treatment", "orchestrator=claude-sonnet-4-6")
    said = terminal.run("cost", "breakeven", "--over", "last-30d", *maps, "--json")
    assert said.code == 0, said.err
    assert said.json["arms"]["control"]["runs"] + said.json["arms"]["treatment"]["runs"] == 1600
    assert said.json["pays"] == "above"
    assert "nobody drew lots" in said.json["warnings"][0]
    out = terminal.run("cost", "breakeven", "--over", "last-30d", *maps).out
    assert "interval of V*: $" in out
    assert "known, treatment pays" in out


def test_few_runs_say_nothing_and_say_so(terminal):
    factorial_store(terminal.folder, runs=60)
    out = terminal.run("cost", "breakeven", "--experiment", "which").out
    assert "nothing is known of any loss yet" in out
    assert "from 100 runs on, there are 60" in out


def test_a_run_without_a_price_leaves_no_break_even_and_names_what_to_look_at(terminal):
    runs = [
        Recorded(f"r{n}", now(), [Call("orchestrator", model, Usage(1000))], roles={"orchestrator": pinned})
        for n, (model, pinned) in enumerate([(HAIKU, HAIKU), ("anthropic:nobody-knows", HAIKU), (SONNET, SONNET)])
    ]
    store = str(make_store(terminal.folder / "t.db", runs))
    maps = ("--control", f"orchestrator={HAIKU}", "--treatment", f"orchestrator={SONNET}")
    said = terminal.run("cost", "breakeven", "--over", "last-30d", *maps, "--store", store)
    assert said.code == 1
    assert "no break-even: what 1 runs cost is not known (trimtab models check)" in said.out

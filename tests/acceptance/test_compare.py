"""`trimtab compare` on recorded runs as a user has them, straight from the raw tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import ROOT

DATA = ROOT.parent / "shared" / "data"
COLUMNS = ("--unit", "task", "--arm", "model", "--success", "ok")


@pytest.fixture
def recorded():
    def path(name: str) -> str:
        if not (DATA / name).exists():
            pytest.skip(f"the recorded data is not here: no {DATA / name}")
        return str(DATA / name)

    return path


@pytest.fixture
def say(capsys):
    """Show a figure where the tests run, not only whether it is met."""

    def write(figure: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{figure}\n")

    return write


def test_sonnet_4_5_to_4_6_on_500_tasks_is_undecided_and_cheaper(terminal, recorded, say):
    said = terminal.run(
        "compare", recorded("openhands_runs.csv"), "--where", "benchmark=swe-bench", "--where", "agent=openhands",
        "--unit", "instance", "--arm", "model", "--control", "claude-sonnet-4-5", "--treatment", "claude-sonnet-4-6",
        "--success", "resolved", "--cost", "cost_usd", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    told = said.json
    assert told["verdict"] == "undecided"
    assert (told["n_control"], told["n_treatment"], told["n_pairs"]) == (500, 500, 500)
    assert (round(told["success_control"] * 500), round(told["success_treatment"] * 500)) == (371, 372)
    assert (told["fixed"], told["broken"]) == (28, 27)
    assert told["interval"][0] < 0 < told["interval"][1]
    change = told["cost_per_success_treatment"] / told["cost_per_success_control"] - 1
    assert round(change * 100) == -11
    assert any("1 row without a usable cost" in warning for warning in told["warnings"])
    say(f"Sonnet 4.5 -> 4.6: {told['reason']}; cost per success {change:+.1%}")


def test_a_fine_tuned_model_on_40_tasks_ships(terminal, recorded, say):
    said = terminal.run(
        "compare", recorded("tau2_runs.csv"), "--where", "domain=telecom", "--where", "source=sierra-ft-exp",
        "--where", "agent=llm_agent", "--unit", "task_id", "--arm", "agent_model", "--control", "gpt-4.1",
        "--success", "reward", "--cost", "agent_cost_usd", "--json", "--gate",
    )  # fmt: skip
    assert said.code == 0, said.err
    told = said.json
    assert told["verdict"] == "ship"
    assert (told["n_pairs"], told["fixed"], told["broken"]) == (40, 12, 0)
    assert (told["success_control"], told["success_treatment"]) == (18 / 40, 30 / 40)
    assert any("40 of 40 runs" in warning and "not recorded?" in warning for warning in told["warnings"])
    say(f"gpt-4.1 -> fine-tuned: {told['reason']}")


def test_fewer_tools_make_more_right_and_less_harm(terminal, recorded, say):
    said = terminal.run(
        "compare", recorded("workbench_runs.csv"), "--where", "model=gpt-4", "--unit", "domain", "--unit", "task",
        "--arm", "toolset", "--control", "all", "--success", "correct", "--must-not", "unwanted_side_effect", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    told = said.json
    assert told["verdict"] == "ship"
    assert told["n_pairs"] == 690
    assert (round(told["success_control"] * 690), round(told["success_treatment"] * 690)) == (294, 340)
    harm = told["must_not"]["unwanted_side_effect"]
    assert (round(harm["control"] * 690), round(harm["treatment"] * 690)) == (177, 138)
    say(f"all tools -> domain tools: {told['reason']}; side effects 177 -> 138, e-value {harm['e_value']:.0f}")


def write_pairs(terminal, both: int, fixed: int, broken: int, neither: int) -> str:
    kinds = [(1, 1)] * both + [(0, 1)] * fixed + [(1, 0)] * broken + [(0, 0)] * neither
    rows = [f"{n},{model},{ok}" for n, pair in enumerate(kinds) for model, ok in zip(("old", "new"), pair, strict=True)]
    return str(terminal.write("runs.csv", "task,model,ok\n" + "\n".join(rows) + "\n"))


def test_pairs_find_what_two_groups_of_the_same_runs_do_not(terminal, say):
    # 333 against 357 of 500 equal tasks; p = 0.0009 by pairs leaves one possible table: 37 fixed, 13 broken.
    table = write_pairs(terminal, 320, 37, 13, 130)
    by_pairs = terminal.run("compare", table, *COLUMNS, "--control", "old", "--json").json
    by_groups = terminal.run("compare", table, *COLUMNS, "--control", "old", "--unpaired", "--json").json
    assert (by_pairs["verdict"], by_groups["verdict"]) == ("ship", "undecided")
    assert by_pairs["p_value"] == pytest.approx(0.0009, abs=0.00005)
    assert by_groups["p_value"] == pytest.approx(0.10, abs=0.005)
    say(f"Haiku 4.5 -> Sonnet 4.5: unpaired p = {by_groups['p_value']:.2f}, paired p = {by_pairs['p_value']:.4f}")


def test_a_gate_leaves_with_1_unless_the_verdict_is_ship(terminal):
    better, worse = write_pairs(terminal, 10, 12, 0, 10), ("--control", "new", "--gate")
    assert terminal.run("compare", better, *COLUMNS, "--control", "old", "--gate").code == 0
    stopped = terminal.run("compare", better, *COLUMNS, *worse)
    assert (stopped.code, stopped.out.split()[0]) == (1, "stop")
    assert terminal.run("compare", better, *COLUMNS, "--control", "new").code == 0


def test_the_whole_of_what_is_printed(terminal):
    said = terminal.run("compare", write_pairs(terminal, 10, 12, 0, 10), *COLUMNS)
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert lines == [
        "ship  success +37.5 points (95 % interval +7.6 to +63.9 points); e-value 117, 20 was needed",
        "",
        "         old (control)  new (treatment)        change       interval  e-value",
        "success          31.2%            68.8%  +37.5 points  +7.6 to +63.9      117",
        "",
        "32 and 32 runs with a known outcome; 32 pairs: 12 fixed, 0 broken, 10 right in both, 10 in neither",
        "exact McNemar test: p = 0.000488, for one look at a size fixed before; the verdict rests on the e-value; the interval of that one look is +22.8 to +54.7 points (Tango)",
        "alpha 0.05 is all the goal's; an e-value decides the goal at 20",
        "warning: no --control: 'old' is taken as control, it stands first in the file",
    ]


def test_a_report_and_a_picture_are_written(terminal):
    table = write_pairs(terminal, 10, 12, 0, 10)
    said = terminal.run("compare", table, *COLUMNS, "--html", "report.html", "--png", "plots.png", "--json")
    assert said.json["verdict"] == "ship"
    assert said.err.splitlines() == ["wrote report.html", "wrote plots.png"]
    assert "<b>ship</b>" in (terminal.folder / "report.html").read_text("utf-8")
    assert (terminal.folder / "plots.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--success", "okay"], "did you mean --success 'ok'?"),
        (["--where", "model"], "expected COL=VALUE"),
        (["--where", "model=newer"], "did you mean 'new'?"),
        (["--alpha", "5"], "alpha is 5"),
        (["--propensity", "50"], "between 0 and 1"),
        (["--margin", "-2"], "expected points of success"),
        (["--margin", "nan"], "expected points of success"),
        (["--cost-limit", "+10%"], "--cost-limit without --cost"),
        (["--cost", "ok", "--cost-limit", "lots"], "expected a percentage"),
        (["--html", "no/such/folder.html"], "cannot write"),
        (["--control", "mew"], "did you mean --control 'new'?"),
    ],
)
def test_a_wrong_use_is_one_clear_error(terminal, more, told):
    said = terminal.run("compare", write_pairs(terminal, 2, 2, 0, 0), *COLUMNS, *more)
    assert said.code == 2, said
    assert said.err.startswith("error: ")
    assert told in said.err
    assert "hint: " in said.err
    assert "Traceback" not in said.err


def test_standard_input_is_a_table_too(terminal):
    table = write_pairs(terminal, 10, 12, 0, 10)
    command = [sys.executable, "-m", "trimtab", "compare", "-", *COLUMNS, "--json"]
    with Path(table).open("rb") as stream:
        said = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=True, env=terminal.env)
    assert '"fixed": 12' in said.stdout


def test_without_the_extra_one_error_says_how_to_get_it(terminal):
    code = "import sys; sys.modules['numpy'] = None; from trimtab.cli import main; main(['compare', 'x.csv', *sys.argv[1:]])"
    said = subprocess.run(
        [sys.executable, "-c", code, *COLUMNS], capture_output=True, text=True, check=False, env=terminal.env
    )
    assert said.returncode == 2
    assert (
        said.stderr
        == "error: `trimtab compare` needs numpy, which is not installed\nhint: pip install 'trimtab[learn]'\n"
    )


def test_help_does_not_import_the_extra(terminal):
    code = "import sys; from trimtab.cli import _run; _run(['compare', '--help']); print([m for m in ('numpy', 'scipy', 'matplotlib') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=terminal.env)
    assert said.stdout.splitlines()[-1] == "[]"

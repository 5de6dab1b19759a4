"""`trimtab cost advise` as a user has it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from tests.fakes.factorial import IN, OUT, POLICY, factorial_store
from trimtab.policy.load import load
from trimtab.rollouts.moves import move_rollout, start_rollout

A_MONTH = 100 * 30  # runs
HAIKU, SONNET, TINY = ((IN * a + OUT * b) / 1e6 * A_MONTH for a, b in ((1, 5), (3, 15), (0.1, 0.5)))


def told(terminal, *arguments: str, code: int = 0):
    said = terminal.run("cost", "advise", *arguments, "--json")
    assert said.code == code, said.err
    return said.json


def test_the_upgrade_that_is_known_to_help_is_advised_where_the_cap_allows(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "160")
    assert found["now"]["usd_per_month"] == pytest.approx(2 * HAIKU, rel=1e-4)
    assert found["now"]["runs_per_month"] == pytest.approx(A_MONTH, rel=1e-4)
    assert found["chosen"]["changes"] == ["orchestrator haiku -> sonnet"]
    assert found["chosen"]["usd_per_month"] == pytest.approx(HAIKU + SONNET, rel=1e-4)
    low, high = found["chosen"]["gain_interval"]
    assert 0 < low < 0.20 < high
    assert [choice["chosen"] for choice in found["choices"]] == [False, True]
    payment = next(change for change in found["measured"] if change["change"] == "payment haiku -> sonnet")
    assert payment["gain_interval"][0] < 0 < payment["gain_interval"][1]


def test_under_a_lower_cap_everything_stays(terminal):
    factorial_store(terminal.folder)
    assert told(terminal, "--cap", "80")["chosen"]["changes"] == []


def test_a_downgrade_that_was_never_measured_is_named_and_not_advised(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "50", code=1)
    assert found["chosen"] is None
    first = found["measure_next"][0]
    assert (first["from"], first["to"]) == ("anthropic:claude-haiku-4-5", "anthropic:claude-haiku-5-5")
    assert first["usd_per_month"] == pytest.approx(TINY - HAIKU, rel=1e-4)
    assert first["command"] == f"trimtab replay --set {first['role']}=tiny --over last-30d"
    out = terminal.run("cost", "advise", "--cap", "50").out
    assert "nothing that was measured brings it under the cap of $50.00" in out
    assert "measure this next" in out


def test_a_shipped_upgrade_may_be_taken_back_by_the_effect_that_was_measured(terminal):
    """Payment gained nothing by its dearer model, which the policy has now."""
    factorial_store(terminal.folder, runs=3000, policy=POLICY)
    terminal.write("trimtab.toml", POLICY.replace('default = "haiku"', 'default = "haiku"\npayment = "sonnet"'))
    found = told(terminal, "--cap", "200")
    back = next(change for change in found["measured"] if change["change"] == "payment sonnet -> haiku")
    assert back["usd_difference"] < 0
    low, high = back["gain_interval"]
    assert low < 0 < high
    # As it is now 187 runs a day cost 225 + 75 dollars a month or so: under a tight cap the known little loss is taken.
    tight = told(terminal, "--cap", "160")
    assert tight["chosen"]["changes"] == ["payment sonnet -> haiku"]


def test_a_floor_holds_only_where_it_is_known_to_be_held(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "160", "--floor", "85%", code=1)
    assert found["chosen"] is None
    assert found["hopeful"]["changes"] == ["orchestrator haiku -> sonnet"]
    assert "nothing is known to hold the floor of 85.0%" in found["verdict"]
    assert told(terminal, "--cap", "160", "--floor", "0.60")["chosen"]["changes"] == ["orchestrator haiku -> sonnet"]


def test_a_map_on_which_no_run_has_failed_yet_is_not_known_never_to_fail(terminal):
    factorial_store(terminal.folder, runs=900)
    connection = sqlite3.connect(terminal.folder / "trimtab.db")
    with connection:
        connection.execute("UPDATE outcome SET status = 'completed', intended_end = 1, first_plan_faultless = 1")
    connection.close()
    found = told(terminal, "--cap", "1000", "--floor", "95%")
    assert found["now"]["success"] == 1.0
    assert 0.95 < found["now"]["success_interval"][0] < 0.99
    assert told(terminal, "--cap", "1000", "--floor", "99.9%", code=1)["chosen"] is None


def test_the_table_marks_what_is_advised_and_the_page_and_the_picture_are_written(terminal):
    factorial_store(terminal.folder)
    said = terminal.run("cost", "advise", "--cap", "$160/month", "--html", "a.html", "--png", "a.png")
    assert said.code == 0, said.err
    (marked,) = [line for line in said.out.splitlines() if line.startswith("->")]
    assert "orchestrator haiku -> sonnet" in marked
    assert '  [roles] of the policy: orchestrator = "anthropic:claude-sonnet-4-6"' in said.out
    assert "in no choice: payment haiku -> sonnet" in said.out
    page = (terminal.folder / "a.html").read_text("utf-8")
    assert "<svg " in page
    assert "advised: orchestrator haiku -&gt; sonnet" in page
    assert "$" + "title" not in page
    assert (terminal.folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_effect_that_does_not_start_from_the_map_as_it_is_is_named_and_not_used(terminal):
    factorial_store(terminal.folder)
    terminal.write("trimtab.toml", POLICY.replace('default = "haiku"', 'default = "tiny"'))
    found = told(terminal, "--cap", "160")
    assert found["measured"] == []
    assert found["chosen"]["changes"] == []
    assert any("payment haiku -> sonnet: the policy has neither now" in warning for warning in found["warnings"])


ROLLOUT = """
[rollouts.dearer]
set = { orchestrator = "sonnet" }
stages = [ { environment = "local", weight = 25 }, { environment = "local" } ]
"""


def test_what_a_rollout_brought_to_every_run_is_the_map_as_it_is(terminal):
    loaded, path = load(terminal.write("trimtab.toml", POLICY + ROLLOUT)), terminal.folder / "trimtab.db"
    start_rollout(path, loaded, "dearer", by="olga", at=datetime.now(UTC), evidence={})
    factorial_store(terminal.folder, policy=POLICY + ROLLOUT)

    def move(*events: str) -> None:
        for event in events:
            assert move_rollout(path, "dearer", event, by="olga", at=datetime.now(UTC), reason="seen") is not None

    move("entered")
    part = told(terminal, "--cap", "1000")
    assert part["now"]["usd_per_month"] == pytest.approx(2 * HAIKU, rel=1e-4)
    assert (
        "rollout 'dearer' reaches 25 % of the new runs: all that is said here is said of the others" in part["warnings"]
    )
    move("pass", "entered", "pass")
    whole = told(terminal, "--cap", "1000")
    assert whole["now"]["usd_per_month"] == pytest.approx(HAIKU + SONNET, rel=1e-4)
    assert "orchestrator sonnet -> haiku" in [change["change"] for change in whole["measured"]]
    assert whole["chosen"]["changes"] == []
    said = "rollout 'dearer' is in force: orchestrator as it brought it, which the file does not say"
    assert said in whole["warnings"]
    # Once the file says so too, there is nothing to be said of it.
    terminal.write(
        "trimtab.toml", POLICY.replace('default = "haiku"', 'default = "haiku"\norchestrator = "sonnet"') + ROLLOUT
    )
    same = told(terminal, "--cap", "1000")
    assert same["now"]["roles"] == whole["now"]["roles"]
    assert same["warnings"] == [warning for warning in whole["warnings"] if warning != said]


def test_an_effect_of_another_environment_is_used_and_said_to_be(terminal):
    factorial_store(terminal.folder)
    terminal.write("trimtab.toml", POLICY + "[environments.production]\n")
    connection = sqlite3.connect(terminal.folder / "trimtab.db")
    with connection:
        # The last runs came in where no experiment ran.
        connection.execute("UPDATE run SET environment = 'production' WHERE run_id >= 'r9'")
    connection.close()
    found = told(terminal, "--cap", "16000", "--environment", "production")
    assert "experiment 'which' was measured in local, not in production" in found["warnings"]
    several = terminal.run("cost", "advise", "--cap", "160")
    assert several.code == 2
    assert "has runs of local, production: whose roles?" in several.err


def test_what_to_write_and_what_to_run_are_for_the_environment_that_was_asked_about(terminal):
    staging = POLICY.replace('environment = "local"', 'environment = "staging"') + "[environments.staging]\n"
    factorial_store(terminal.folder, policy=staging)
    connection = sqlite3.connect(terminal.folder / "trimtab.db")
    with connection:
        connection.execute("UPDATE run SET environment = 'staging'")
    connection.close()
    said = terminal.run("cost", "advise", "--cap", "160")
    assert said.code == 0, said.err
    assert '[environments.staging.roles] of the policy: orchestrator = "anthropic:claude-sonnet-4-6"' in said.out
    commands = [unknown["command"] for unknown in told(terminal, "--cap", "160")["measure_next"]]
    assert commands
    assert all(command.endswith("--over last-30d --environment staging") for command in commands)


def test_a_role_that_has_gone_from_the_policy_is_left_out_and_named(terminal):
    factorial_store(terminal.folder, runs=400)
    terminal.write("trimtab.toml", POLICY.replace('default = "haiku"', 'orchestrator = "haiku"'))
    found = told(terminal, "--cap", "160")
    assert found["now"]["roles"] == {"orchestrator": "anthropic:claude-haiku-4-5"}
    assert found["now"]["usd_per_month"] == pytest.approx(HAIKU / 4, rel=1e-4)
    assert "the policy gives payment no model now: what was spent on that is left out" in found["warnings"]
    assert {unknown["role"] for unknown in found["measure_next"]} == {"orchestrator"}


def test_a_role_whose_model_has_no_price_cannot_be_capped(terminal):
    factorial_store(terminal.folder, runs=200)
    terminal.write(
        "trimtab.toml",
        POLICY.replace("claude-haiku-5-5", "claude-haiku-9-9").replace('default = "haiku"', 'default = "tiny"'),
    )
    said = terminal.run("cost", "advise", "--cap", "160")
    assert said.code == 2
    assert "is on 'anthropic:claude-haiku-9-9', whose price is not known" in said.err
    assert "hint: trimtab models check" in said.err


def test_without_a_policy_nobody_knows_what_the_roles_are_now(terminal):
    factorial_store(terminal.folder)
    (terminal.folder / "trimtab.toml").unlink()
    said = terminal.run("cost", "advise", "--cap", "160")
    assert said.code == 2
    assert "which model plays each role now?" in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing option '--cap'"),
        (("--cap", "5/week"), "expected such as 500 or 500/month"),
        (("--cap", "5", "--floor", "x"), "expected such as 0.85 or 85%"),
        (("--cap", "5", "--over", "x"), "is no span of time"),
        (("--cap", "5", "--environment", "moon"), "no model call of a run accepted in 'moon'"),
        (("--cap", "5", "--experiment", "other"), "no experiment 'other' was started"),
        (("--cap", "5", "--html", "no/such/a.html"), "cannot write"),
    ],
)
def test_what_cannot_be_used_is_named(terminal, arguments, complaint):
    factorial_store(terminal.folder, runs=200)
    said = terminal.run("cost", "advise", *arguments)
    assert said.code == 2
    assert complaint in said.err
    assert "Traceback" not in said.err

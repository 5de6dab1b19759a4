"""`trimtab rollout` over hosts, as the one who operates it: one by one, proved, and back with one command."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.shop_hosts import EVERY, open_shop, policy_text
from tests.acceptance.terminal import line_of, stop

BY = ("--by", "olga", "--yes")
HAIKU, SONNET = "claude-haiku-4-5", "claude-sonnet-4-6"
OLD, NEW = dict.fromkeys(EVERY, HAIKU), dict.fromkeys(EVERY, SONNET)


@pytest.fixture
def shop(terminal):
    return open_shop(terminal)


def test_the_change_of_every_file_is_shown_before_anything_is_changed(shop):
    shop.hosts.fault("p2", "down")
    said = shop.run("rollout", "start", "dearer", "--by", "olga")
    assert said.code == 2
    assert (
        f'on s1, p1, p3:\n    /HOST/etc/settings.json: orchestrator: "{HAIKU}" -> "{SONNET}"\n'
        "on p2: unknown: ssh: connect to host p2 port 22: No route to host\n"
    ) in said.out
    assert "2    production 30 %     0s      health    web: p1" in said.out
    assert shop.running() == OLD


def test_every_host_is_changed_and_proved_one_stage_after_the_other_and_undone_with_one_command(shop):
    said = shop.run("rollout", "start", "dearer", *BY, "-w")
    assert said.code == 0
    told = [line.split("  ", 1)[1] for line in said.out.splitlines() if " UTC  " in line]
    assert told.index(f"s1: changed, {SONNET} proved") < told.index("p1: writing")
    assert told.index(f"p1: changed, {SONNET} proved") < told.index("p2: writing")
    assert told[-1].endswith("that was the last stage")
    assert shop.running() == NEW
    status = shop.run("rollout", "status", "dearer", "--json")
    assert (status.code, status.json["state"]) == (0, "passed")
    hosts = [host for stage in status.json["stages"] for host in stage["hosts"]]
    assert {host["host"]: (host["step"], host["answered"]["orchestrator"]) for host in hosts} == dict.fromkeys(
        EVERY, ("changed", SONNET)
    )
    undone = shop.run("rollout", "undo", "dearer", *BY)
    assert undone.code == 0
    assert "dearer is taken back: new runs get the old map; 4 hosts proved back" in undone.out
    assert shop.running() == OLD


def test_a_host_that_does_not_prove_the_change_ends_it_and_every_host_is_put_back(shop):
    shop.hosts.fault("p3", "stubborn")
    said = shop.run("rollout", "start", "dearer", *BY, "-w")
    assert said.code == 1
    assert f"p3: FAILED: orchestrator answers as {HAIKU}" in said.out
    assert "error: dearer is failed: new runs get the old map, and no host is left on the new one" in said.err
    assert shop.running() == OLD
    status = shop.run("rollout", "status", "dearer")
    assert (status.code, "wrong: it failed: p3: orchestrator answers as" in status.out) == (1, True)


def test_a_host_that_cannot_be_put_back_is_not_fine_until_the_same_command_has_done_it(shop):
    assert shop.run("rollout", "start", "dearer", *BY, "-w").code == 0
    shop.hosts.fault("p2", "down")
    undone = shop.run("rollout", "undo", "dearer", *BY)
    assert undone.code == 1
    assert "error: not proved back: p2" in undone.err
    assert "hint: trimtab rollout undo dearer --by olga" in undone.err
    assert shop.running() == OLD | {"p2": SONNET}
    status = shop.run("rollout", "status", "dearer")
    assert status.code == 1
    assert "wrong: not proved back: p2" in status.out
    assert "next: trimtab rollout undo dearer --by WHO" in status.out
    refused = shop.run("rollout", "start", "dearer", *BY)
    assert (refused.code, "is undone, and not proved back: p2" in refused.err) == (2, True)
    shop.hosts.fault("p2", "down", there=False)
    again = shop.run("rollout", "undo", "dearer", *BY)
    assert (again.code, again.out.splitlines()[-1]) == (
        0,
        "dearer is taken back: new runs get the old map; 1 host proved back",
    )
    assert shop.running() == OLD


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_after_the_operators_machine_died_another_one_goes_on_or_takes_it_back(terminal, command):
    shop = open_shop(terminal, more='soak = "30s"')
    process = shop.popen("rollout", "start", "dearer", *BY)
    line_of(process, "s1: healthy; watched for a while", "stdout")
    stop(process, signal.SIGKILL)
    told = shop.run("rollout", "status", "dearer")
    assert "next: trimtab rollout resume dearer --by WHO" in told.out
    assert "s1  soaking" in told.out
    left = shop.run("hosts", "apply", "s1", *BY)
    assert (left.code, "s1: rollout 'dearer' is changing it, and stands at 'soaking'" in left.err) == (1, True)
    terminal.write("trimtab.toml", policy_text())
    said = shop.run("rollout", command, "dearer", *BY, *(("-w",) if command == "resume" else ()))
    assert said.code == 0, said.err
    assert shop.running() == (NEW if command == "resume" else OLD)


def test_whoever_may_not_reach_hosts_leaves_them_to_one_who_may(shop):
    policy = shop.terminal.folder / "trimtab.toml"
    policy.write_text(policy.read_text().replace('"staging", hold = "0s"', '"staging", hold = "2s"'))
    assert shop.run("rollout", "start", "dearer", *BY).code == 0
    looking = shop.popen("rollout", "status", "dearer", "-w")
    line_of(looking, "its hosts are to be looked at before it passes: trimtab rollout resume dearer", "stdout")
    status = shop.run("rollout", "status", "dearer", "--json").json
    assert (status["state"], status["next"]) == ("holding", ["trimtab rollout resume dearer --by WHO"])
    assert shop.running() == OLD | {"s1": SONNET}
    assert shop.run("rollout", "resume", "dearer", *BY).code == 0
    line_of(looking, "that was the last stage", "stdout")
    looking.communicate(timeout=30)
    assert looking.returncode == 0
    assert shop.running() == NEW


def test_a_host_that_was_taken_out_of_the_policy_is_waited_for_no_more_and_said_to_be_unknown(shop):
    assert shop.run("rollout", "start", "dearer", *BY, "-w").code == 0
    shop.hosts.fault("p2", "down")
    assert shop.run("rollout", "undo", "dearer", *BY).code == 1
    policy = shop.terminal.folder / "trimtab.toml"
    policy.write_text(policy.read_text().replace("'p2', ", ""))
    said = shop.run("rollout", "status", "dearer")
    assert said.code == 0
    assert "p2 is not in trimtab.toml any more, and was not proved back: nobody knows what it runs" in said.out
    assert shop.run("rollout", "undo", "dearer", *BY).code == 0
    assert shop.run("rollout", "start", "dearer", *BY).code == 0

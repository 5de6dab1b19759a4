"""`trimtab hosts`: what runs where, and bringing it back to what is wanted."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.shop_hosts import open_shop, policy_text

HAIKU, SONNET, OPUS = "claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-6"
BY = ("--by", "olga", "--yes")


@pytest.fixture
def shop(terminal):
    return open_shop(terminal)


def rows(shop, *arguments):
    said = shop.run("hosts", "status", *arguments, "--json")
    return said.code, {(row["host"], row["role"]): row for row in said.json if row["group"] != "this machine"}


def set_model(shop, host: str, model: str, *, restart: bool = True) -> None:
    for name in ("etc/settings.json", "running") if restart else ("etc/settings.json",):
        path = shop.hosts.folder(host) / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"orchestrator": model}))


def test_laptop_staging_and_production_are_side_by_side(shop):
    said = shop.run("hosts", "status")
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert ["this", "machine", "local"] in lines
    assert ["stage", "staging"] in lines
    assert ["web", "production"] in lines
    assert ["p1", "orchestrator", HAIKU, "same", "-", "fine"] in lines


def test_drift_and_hosts_out_of_reach_are_not_fine(shop):
    set_model(shop, "p1", OPUS)
    shop.hosts.fault("p2", "down")
    code, found = rows(shop)
    assert code == 1
    drifting = found["p1", "orchestrator"]
    assert (drifting["state"], drifting["configured"], drifting["wanted"]) == ("drift", [OPUS], [f"anthropic:{HAIKU}"])
    assert (found["p2", ""]["state"], found["p2", ""]["why"]) == (
        "unknown",
        "not reached: ssh: connect to host p2 port 22: No route to host",
    )
    assert found["p3", "orchestrator"]["state"] == "fine"
    assert "p2: not reached: ssh: connect to host p2" in shop.run("hosts", "status").out
    assert rows(shop, "stage")[0] == 0


def test_what_a_rollout_brought_is_what_is_wanted_and_its_proof_the_last_answer(shop):
    assert shop.run("rollout", "start", "dearer", *BY).code == 0
    code, found = rows(shop)
    told = found["s1", "orchestrator"]
    assert (code, told["wanted"], told["answered"], told["decided"]) == (0, [f"anthropic:{SONNET}"], SONNET, "dearer")
    assert told["at"] is not None


def test_an_apply_shows_the_change_first_proves_it_and_a_restore_proves_what_was_before(shop):
    set_model(shop, "p1", OPUS)
    refused = shop.run("hosts", "apply", "p1", "--by", "olga")
    assert refused.code == 2
    assert f'on p1:\n    /HOST/etc/settings.json: orchestrator: "{OPUS}" -> "{HAIKU}"\n' in refused.out
    assert "production is changed only after a yes\nhint: add --yes" in refused.err
    said = shop.run("hosts", "apply", "p1", *BY)
    assert said.code == 0
    assert said.out.endswith(f"p1: runs what is wanted, proved: {HAIKU}\n")
    assert shop.hosts.running("p1")["orchestrator"] == HAIKU
    assert shop.hosts.running("p1")["secret"] == "s3cret"
    back = shop.run("hosts", "restore", "p1", *BY)
    assert back.code == 0
    assert f'    /HOST/etc/settings.json: orchestrator: "{HAIKU}" -> "{OPUS}"\n' in back.out
    assert f"p1: runs what it ran before, proved: orchestrator {OPUS}, payment {HAIKU}" in back.out
    assert shop.hosts.running("p1")["orchestrator"] == OPUS
    assert shop.run("hosts", "restore", "p1", *BY).code == 2


def test_an_apply_during_a_rollout_keeps_what_the_rollout_brought(shop):
    assert shop.run("rollout", "start", "dearer", *BY).code == 0
    set_model(shop, "s1", OPUS)
    assert shop.run("hosts", "apply", "stage", *BY).code == 0
    assert shop.hosts.running("s1")["orchestrator"] == SONNET
    code, found = rows(shop, "s1")
    assert (code, found["s1", "orchestrator"]["wanted"]) == (0, [f"anthropic:{SONNET}"])
    assert shop.run("rollout", "undo", "dearer", *BY).code == 0
    assert shop.hosts.running("s1")["orchestrator"] == HAIKU


def test_a_host_that_fails_an_apply_is_put_back_and_no_other_follows(shop):
    for host in ("p1", "p2"):
        set_model(shop, host, OPUS)
    shop.hosts.fault("p1", "no-restart")
    said = shop.run("hosts", "apply", "web", *BY)
    assert said.code == 1
    assert "p2: untouched" in said.out
    assert shop.hosts.configured("p1")["orchestrator"] == OPUS
    assert shop.hosts.running("p2")["orchestrator"] == OPUS


def test_nothing_is_changed_while_one_of_the_hosts_is_out_of_reach(shop):
    set_model(shop, "p1", OPUS)
    shop.hosts.fault("p2", "down")
    said = shop.run("hosts", "apply", "web", *BY)
    assert (said.code, "error: p2 is unknown" in said.err, "nothing was changed" in said.err) == (1, True, True)
    assert shop.hosts.running("p1")["orchestrator"] == OPUS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "p9"), "unknown host or group 'p9', expected one of 'p1', 'p2', 'p3', 's1', 'stage', 'web'"),
        (("apply", "wep", "--by", "o"), "hint: did you mean 'web'?"),
        (("apply", "--by", "o"), "Missing argument 'GROUP|HOST...'"),
        (("restore", "p1", "--by", "o"), "no change by `trimtab hosts apply` is kept of p1"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(shop, arguments, said):
    refused = shop.run("hosts", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_what_a_rollout_wrote_is_taken_back_by_the_rollout(shop):
    shop.run("rollout", "start", "dearer", *BY)
    refused = shop.run("hosts", "restore", "s1", *BY)
    assert refused.code == 2
    assert "'s1' was changed last by rollout 'dearer'\nhint: trimtab rollout undo dearer" in refused.err


def test_a_policy_without_hosts_shows_this_machine_only(terminal):
    terminal.write("trimtab.toml", policy_text().partition("[rollouts")[0])
    said = terminal.run("hosts", "status", "--json")
    assert (said.code, {row["group"] for row in said.json}) == (0, {"this machine"})
    refused = terminal.run("hosts", "apply", "web", "--by", "o")
    assert (refused.code, "has no hosts\nhint: declare them: [hosts.GROUP]" in refused.err) == (2, True)

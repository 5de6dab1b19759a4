from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.hosts import NEW, OLD, SETTINGS, group_of, make_hosts

from trimtab.cli.hosts_rows import rows_of
from trimtab.core.errors import UsageError
from trimtab.policy.load import parse
from trimtab.policy.rollout_spec import FileSpec, StageSpec
from trimtab.rollouts.fleet import apply_stage
from trimtab.rollouts.fleet_status import read_hosts
from trimtab.rollouts.moves import find, move_rollout, start_rollout

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD_ID, NEW_ID = OLD.partition(":")[2], NEW.partition(":")[2]
TEXT = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
orchestrator = "haiku"
payment = "haiku"
[environments.production]
[terminal]
model = "claude-haiku-4-5"
[rollouts.better]
set = { orchestrator = "sonnet" }
stages = [{ environment = "production", weight = 50 }, { environment = "production", weight = 100 }]
"""


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    made = make_hosts(tmp_path / "hosts", "p1", "p2", "p3")
    monkeypatch.setenv("TRIMTAB_SSH", str(made.program))
    return made


@pytest.fixture
def policy(tmp_path):
    read = replace(parse(TEXT), source=str(tmp_path / "trimtab.toml"))
    return replace(read, hosts={"apps": group_of("apps", "production", "p1", "p2", last="/HOST/ask")})


async def wanted_of(policy, role="orchestrator"):
    return {
        standing.host: next((r.wanted or "", r.drift) for r in standing.roles if r.role == role)
        for standing in await read_hosts(policy)
    }


async def reach(policy, weight):
    done = await apply_stage(
        policy.store, policy, "better", 1, StageSpec("production", weight), {"orchestrator": NEW}, "anna",
        lambda _: None, lambda: None,
    )  # fmt: skip
    assert done.ok, done.why


def move(policy, event):
    move_rollout(policy.store, "better", event, by="anna", at=NOON)
    return find(policy.store, "better").rollout.state


async def test_a_rollout_decides_on_the_hosts_it_has_reached_and_then_on_all(hosts, policy):
    assert await wanted_of(policy) == {"p1": (OLD, False), "p2": (OLD, False)}
    start_rollout(policy.store, policy, "better", by="anna", at=NOON, evidence={})
    assert await wanted_of(policy) == {"p1": (OLD, False), "p2": (OLD, False)}
    await reach(policy, 0.5)
    assert await wanted_of(policy) == {"p1": (NEW, False), "p2": (OLD, False)}
    move(policy, "entered")
    move(policy, "promote")
    assert await wanted_of(policy) == {"p1": (NEW, False), "p2": (OLD, False)}
    await reach(policy, 1.0)
    move(policy, "entered")
    assert move(policy, "promote") == "passed"
    grown = replace(policy, hosts={"apps": replace(policy.hosts["apps"], addresses=("p1", "p2", "p3"))})
    assert await wanted_of(grown) == {"p1": (NEW, False), "p2": (NEW, False), "p3": (NEW, True)}
    assert {standing.decided for standing in await read_hosts(grown)} == {"better"}
    assert move(policy, "undo") == "undone"
    assert (await wanted_of(policy))["p1"] == (OLD, True)


async def test_a_terminal_is_to_run_what_the_policy_says(hosts, policy):
    spec = FileSpec("claude", SETTINGS, "terminal", {"terminal": "model"})
    there = replace(policy, hosts={"apps": group_of("apps", "production", "p1", files=(spec,))})
    (standing,) = await read_hosts(there)
    role = standing.roles[0]
    assert (role.wanted, role.configured, role.answered, role.drift) == (OLD_ID, None, None, True)


async def test_without_a_command_that_tells_the_newest_proof_is_the_last_answer(hosts, policy):
    silent = replace(policy, hosts={"apps": group_of("apps", "production", "p1")})
    assert [role.answered for role in (await read_hosts(silent))[0].roles] == [None, None]
    await reach(silent, 1.0)
    (standing,) = await read_hosts(silent)
    assert {role.role: role.answered for role in standing.roles} == {"orchestrator": NEW_ID, "payment": None}
    assert standing.step == "changed"


async def test_a_role_that_the_policy_does_not_know_is_wanted_nowhere(hosts, policy):
    spec = FileSpec("settings", SETTINGS, "json", {"extraction": "orchestrator"})
    bare = replace(policy, roles={}, hosts={"apps": group_of("apps", "production", "p1", files=(spec,))})
    assert await wanted_of(bare, "extraction") == {"p1": ("", False)}


async def test_one_host_that_is_gone_or_cannot_be_read_hides_no_other(hosts, policy):
    hosts.fault("p1", "down")
    (hosts.folder("p2") / "etc/settings.json").write_text("{,}")
    grown = replace(policy, hosts={"apps": replace(policy.hosts["apps"], addresses=("p1", "p2", "p3"))})
    gone, broken, fine = await read_hosts(grown)
    assert (gone.reachable, gone.roles, gone.why[:4]) == (False, (), "ssh:")
    assert (broken.reachable, broken.roles) == (True, ())
    assert f"{SETTINGS}: line 1, column 2" in broken.why
    assert [role.drift for role in fine.roles] == [False, False]


async def test_a_group_that_is_not_there_is_said(policy):
    with pytest.raises(UsageError, match="no group of hosts 'web'; there are: apps"):
        await read_hosts(policy, ["web"])


async def test_a_role_that_stands_in_two_files_drifts_where_either_of_them_does(hosts, policy):
    etc = hosts.folder("p1") / "etc"
    (etc / "charter.env").write_text(f"ORCHESTRATOR={OLD}\n")
    files = (
        FileSpec("settings", SETTINGS, "json", {"orchestrator": "orchestrator"}),
        FileSpec("variables", "/HOST/etc/charter.env", "env", {"orchestrator": "ORCHESTRATOR"}, ids="full"),
    )
    both = replace(policy, hosts={"apps": group_of("apps", "production", "p1", files=files, last="/HOST/ask")})
    assert [role.drift for role in (await read_hosts(both))[0].roles] == [False, False]
    settings = etc / "settings.json"
    settings.write_text(settings.read_text().replace(OLD_ID, NEW_ID))
    (standing,) = await read_hosts(both)
    assert [(role.configured, role.drift) for role in standing.roles] == [(NEW_ID, True), (OLD, False)]
    assert [(row.state, row.why) for row in rows_of([standing], {})] == [("drift", f"in {SETTINGS}"), ("fine", "")]

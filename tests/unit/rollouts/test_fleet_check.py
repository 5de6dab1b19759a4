from __future__ import annotations

from datetime import timedelta

import pytest
from tests.fakes.hosts import NEW, OLD, SETTINGS, group_of, make_hosts
from tests.fakes.killed_operator import policy_of

from trimtab.policy.rollout_spec import FileSpec, StageSpec
from trimtab.rollouts.fleet import apply_stage
from trimtab.rollouts.fleet_check import Checked, check_stage
from trimtab.rollouts.fleet_lines import restored

PRODUCTION, WANTED = StageSpec("production"), {"orchestrator": NEW}


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    made = make_hosts(tmp_path / "hosts", "p1", "p2", "p3")
    monkeypatch.setenv("TRIMTAB_SSH", str(made.program))
    return made


async def test_hosts_of_a_stage_are_as_the_rollout_left_them_or_it_is_said_why_not(hosts, tmp_path):
    policy = policy_of(group_of("apps", "production", "p1", "p2", "p3", max_failures=1, timeout=timedelta(seconds=1)))
    store = tmp_path / "store.db"
    hosts.fault("p2", "stubborn")
    done = await apply_stage(store, policy, "r", 1, PRODUCTION, WANTED, "anna", lambda _: None, lambda: None)
    assert done.ok
    # The one that failed was taken back, as one may: it is not to run the new map.
    back = restored(store, "r", 1)
    assert back == {("apps", "p2")}
    assert await check_stage(policy, PRODUCTION, WANTED, back) == Checked()
    old = hosts.configured("p2")["orchestrator"]
    told = f"{SETTINGS} says {old} for orchestrator, somebody changed it"
    assert await check_stage(policy, PRODUCTION, WANTED) == Checked({"p2": told})
    hosts.fault("p1", "sick")
    hosts.fault("p3", "down")
    found = await check_stage(policy, PRODUCTION, {"default": NEW}, {("apps", "p2")})
    assert "says claude-haiku-4-5 for payment" in found.sick["p1"]
    assert "No route to host" in found.unknown["p3"]
    found = await check_stage(policy, PRODUCTION, WANTED, back)
    assert found.sick == {"p1": "not healthy: exit code 1, and nothing said"}


async def test_each_file_that_names_a_role_is_looked_at_in_its_own_way_of_writing_models(hosts, tmp_path):
    variables = hosts.folder("p1") / "etc/charter.env"
    variables.write_text(f"ORCHESTRATOR={OLD}\n")
    files = (
        FileSpec("settings", SETTINGS, "json", {"orchestrator": "orchestrator"}),
        FileSpec("variables", "/HOST/etc/charter.env", "env", {"orchestrator": "ORCHESTRATOR"}, ids="full"),
    )
    policy = policy_of(group_of("apps", "production", "p1", files=files))
    done = await apply_stage(tmp_path / "s.db", policy, "r", 1, PRODUCTION, WANTED, "a", lambda _: None, lambda: None)
    assert done.ok, done.why
    assert await check_stage(policy, PRODUCTION, WANTED) == Checked()
    settings = hosts.folder("p1") / "etc/settings.json"
    settings.write_text(settings.read_text().replace(NEW.partition(":")[2], OLD.partition(":")[2]))
    found = await check_stage(policy, PRODUCTION, WANTED)
    assert found.sick == {"p1": f"{SETTINGS} says claude-haiku-4-5 for orchestrator, somebody changed it"}

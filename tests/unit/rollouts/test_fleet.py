from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.hosts import NEW, OLD, SETTINGS, group_of, make_hosts
from tests.fakes.killed_operator import policy_of

from trimtab.engine.handin import hand_in
from trimtab.hosts.lock import Guard
from trimtab.hosts.ssh import Busy, connections
from trimtab.journal import rollouts
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.policy.rollout_spec import FileSpec, HealthSpec, StageSpec
from trimtab.rollouts.fleet import STEPS, apply_stage, hosts_of, restore_all, to_restore

ALL = ("p1", "p2", "p3")
WANTED = {"orchestrator": NEW}
PRODUCTION = StageSpec("production")
OLD_ID, NEW_ID = OLD.partition(":")[2], NEW.partition(":")[2]


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    made = make_hosts(tmp_path / "hosts", "s1", *ALL)
    monkeypatch.setenv("TRIMTAB_SSH", str(made.program))
    return made


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def begun(store):
    """A store as a rollout that was started leaves it: hosts of one batch must not find it half made by one another."""
    hand_in(store, SqliteFacts(), lambda _: None)


def apps(**given):
    return policy_of(group_of("apps", "production", *ALL, **given))


async def apply(store, policy, *, stage=PRODUCTION, wanted=WANTED, told=None, still_good=None, rollout="r", attempt=1):
    return await apply_stage(
        store, policy, rollout, attempt, stage, wanted, "anna", told or (lambda _: None), still_good or (lambda: None)
    )


async def restore(store, policy, *, rollout="r", attempt=1):
    return await restore_all(store, policy, rollout, attempt, "anna", lambda _: None)


def steps(store, host):
    with Journal(store) as journal:
        return [fact.step for fact in journal.read(rollouts.host_lines) if fact.host == host]


def runs(hosts, *addresses):
    """What each host runs, where that is what its file says."""
    for address in addresses:
        assert hosts.running(address)["orchestrator"] == hosts.configured(address)["orchestrator"]
        assert not hosts.left_over(address)
    return [hosts.running(address)["orchestrator"] for address in addresses]


@pytest.mark.parametrize(
    ("weight", "there"), [(0.01, 1), (0.05, 1), (1 / 3, 1), (0.34, 2), (0.5, 2), (0.7, 3), (1.0, 3)]
)
def test_a_share_of_each_group_is_rounded_up_and_growing_it_only_adds_hosts(weight, there):
    policy = policy_of(
        group_of("apps", "production", *ALL),
        group_of("web", "production", "w1"),
        group_of("other", "staging", "s1"),
    )
    places = hosts_of(policy, StageSpec("production", weight))
    assert places == (*(("apps", host) for host in ALL[:there]), ("web", "w1"))


async def test_every_host_is_changed_and_proved_and_taken_back_to_the_byte(hosts, store):
    before = {address: (hosts.folder(address) / "etc/settings.json").read_bytes() for address in ALL}
    news = []
    done = await apply(store, apps(), told=news.append)
    assert done.ok
    assert {end.step for end in done.hosts.values()} == {"changed"}
    assert done.hosts["p2"].answered == {"orchestrator": NEW_ID}
    assert runs(hosts, *ALL) == [NEW_ID] * 3
    assert steps(store, "p1") == ["writing", "restarting", "proving", "checking", "changed"]
    assert [line.host for line in news if line.step == "changed"] == [*ALL]
    writing = next(line for line in news if line.step == "writing")
    assert writing.text == f'{SETTINGS}: orchestrator: "{OLD_ID}" -> "{NEW_ID}"'
    back = await restore(store, apps())
    assert back.ok
    assert {end.step for end in back.hosts.values()} == {"restored"}
    assert to_restore(store, "r", 1) == ()
    assert runs(hosts, *ALL) == [OLD_ID] * 3
    for address, content in before.items():
        path = hosts.folder(address) / "etc/settings.json"
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o640)


async def test_the_store_holds_nothing_of_the_files_but_the_keys_that_change(hosts, store):
    await apply(store, apps())
    kept = b"".join(path.read_bytes() for path in store.parent.glob("store.db*"))
    assert NEW_ID.encode() in kept
    assert b"s3cret" not in kept


async def test_said_again_nothing_is_written_or_restarted(hosts, store):
    await apply(store, apps())
    again = await apply(store, apps())
    assert again.ok
    assert [hosts.restarts(address) for address in ALL] == [1, 1, 1]
    assert to_restore(store, "r", 1) == tuple(("apps", host) for host in ALL)


async def test_a_greater_weight_changes_only_the_hosts_it_adds(hosts, store):
    await apply(store, apps(), stage=StageSpec("production", 0.34))
    assert runs(hosts, *ALL) == [NEW_ID, NEW_ID, OLD_ID]
    await apply(store, apps())
    assert runs(hosts, *ALL) == [NEW_ID] * 3
    assert [hosts.restarts(address) for address in ALL] == [1, 1, 1]
    await restore(store, apps())
    assert runs(hosts, *ALL) == [OLD_ID] * 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no-restart", "the restart failed: charter.service: cannot start"),
        ("stubborn", f"orchestrator answers as {OLD_ID}, expected {NEW}"),
    ],
)
async def test_a_host_that_fails_is_taken_back_and_no_other_is_changed(fault, told, hosts, store):
    hosts.fault("p2", fault)
    done = await apply(store, apps(timeout=timedelta(seconds=1)))
    assert (done.ok, done.stopped) == (False, "failed")
    assert [done.hosts[address].step for address in ALL] == ["changed", "restored", "untouched"]
    assert told in done.why
    assert runs(hosts, *ALL) == [NEW_ID, OLD_ID, OLD_ID]
    assert steps(store, "p2")[-3:] == ["failed", "restoring", "restored"]
    assert (await restore(store, apps())).ok
    assert runs(hosts, *ALL) == [OLD_ID] * 3


@pytest.mark.usefixtures("begun")
async def test_a_host_that_is_sick_with_the_new_model_is_taken_back(hosts, store):
    sick = (HealthSpec(command=f"! grep -q {NEW_ID} /HOST/running"),)
    done = await apply(store, apps(health=sick, batch=3))
    assert not done.ok
    assert {end.step for end in done.hosts.values()} == {"restored"}
    assert "p3: not healthy" in done.why
    assert runs(hosts, *ALL) == [OLD_ID] * 3


async def test_so_many_hosts_may_fail(hosts, store):
    hosts.fault("p2", "stubborn")
    done = await apply(store, apps(max_failures=1, timeout=timedelta(seconds=1)))
    assert done.ok
    assert [done.hosts[address].step for address in ALL] == ["changed", "restored", "changed"]
    assert runs(hosts, *ALL) == [NEW_ID, OLD_ID, NEW_ID]


async def test_nothing_is_changed_where_a_host_cannot_be_reached(hosts, store):
    hosts.fault("p3", "down")
    done = await apply(store, apps())
    assert (done.ok, done.stopped) == (False, "refused")
    assert [done.hosts[address].step for address in ALL] == ["untouched", "untouched", "unknown"]
    assert "no host was changed: p3: ssh: connect to host p3 port 22: No route to host" in done.why
    assert runs(hosts, *ALL) == [OLD_ID] * 3
    assert not store.exists()


@pytest.mark.parametrize(
    ("text", "told"), [('{"orchestrator": "x",}', "a comma with nothing behind it"), ("\xff", "not UTF-8 text")]
)
async def test_nothing_is_changed_where_a_file_cannot_be_read(text, told, hosts, store):
    (hosts.folder("p3") / "etc/settings.json").write_bytes(text.encode("latin-1"))
    done = await apply(store, apps())
    assert (done.stopped, hosts.restarts("p1")) == ("refused", 0)
    assert f"p3: {SETTINGS}: " in done.why
    assert told in done.why


async def test_nothing_is_changed_where_a_host_does_not_answer_as_it_is(hosts, store):
    (hosts.folder("p3") / "running").unlink()
    done = await apply(store, apps(timeout=timedelta(seconds=1)))
    assert done.stopped == "refused"
    assert "p3: it does not answer as it is: orchestrator did not answer: charter is not running" in done.why
    assert runs(hosts, "p1", "p2") == [OLD_ID] * 2


async def test_a_host_that_goes_away_is_unknown_until_it_is_back_and_proved(hosts, store):
    policy = apps(timeout=timedelta(seconds=1))

    def told(news):
        if (news.host, news.step) == ("p2", "proving"):
            hosts.fault("p2", "down")

    done = await apply(store, policy, told=told)
    assert [done.hosts[address].step for address in ALL] == ["changed", "unknown", "untouched"]
    back = await restore(store, policy)
    assert not back.ok
    assert [back.hosts[address].step for address in ("p1", "p2")] == ["restored", "unknown"]
    assert "p2: " in back.why
    assert to_restore(store, "r", 1) == (("apps", "p2"),)
    hosts.fault("p2", "down", there=False)
    assert (await restore(store, policy)).ok
    assert runs(hosts, *ALL) == [OLD_ID] * 3


async def test_a_guardrail_that_turns_bad_while_hosts_soak_stops_it(hosts, store):
    asked = []

    def still_good():
        asked.append(runs(hosts, *ALL))
        return "success fell" if len(asked) > 1 else None

    done = await apply(store, apps(soak=timedelta(seconds=60)), still_good=still_good)
    assert (done.ok, done.why) == (False, "success fell")
    assert asked[-1] == [NEW_ID, OLD_ID, OLD_ID]
    assert steps(store, "p1")[-1] == "soaking"
    assert (await restore(store, apps())).ok
    assert runs(hosts, *ALL) == [OLD_ID] * 3


@pytest.mark.usefixtures("begun")
async def test_a_host_that_turns_sick_while_it_soaks_is_taken_back(hosts, store):
    policy = apps(batch=2, soak=timedelta(seconds=0.5))

    def told(news):
        if (news.host, news.step) == ("p1", "soaking"):
            hosts.fault("p1", "sick")
        if (news.host, news.step) == ("p1", "failed"):
            hosts.fault("p1", "sick", there=False)

    done = await apply(store, policy, told=told)
    assert [done.hosts[address].step for address in ALL] == ["restored", "changed", "untouched"]
    assert "not healthy while it was watched" in done.why


async def test_a_second_operator_is_refused_and_told_who_is_there(hosts, store):
    async with connections() as connect:
        ssh = connect("p2", (), "", 10.0)
        other = Guard(ssh, (SETTINGS,), "bert (other-rollout)")
        assert isinstance(await other.token(), str)
        done = await apply(store, apps())
        assert (done.ok, done.stopped) == (False, "busy")
        assert "p2: somebody else is changing it: bert (other-rollout) since 20" in done.why
        assert runs(hosts, *ALL) == [OLD_ID] * 3
        refused = await Guard(ssh, (SETTINGS,), "carl").token()
        assert isinstance(refused, Busy)
        await other.release()
    assert (await apply(store, apps())).ok


async def test_taking_back_where_another_operator_is_waits_and_writes_nothing_down(hosts, store):
    await apply(store, apps())
    async with connections() as connect:
        other = Guard(connect("p2", (), "", 10.0), (SETTINGS,), "bert")
        assert isinstance(await other.token(), str)
        back = await restore(store, apps())
        assert [back.hosts[address].step for address in ALL] == ["restored", "unknown", "restored"]
        assert "p2: somebody else is changing it: bert since 20" in back.why
        assert steps(store, "p2")[-1] == "changed"
        await other.release()
    assert (await restore(store, apps())).ok
    assert runs(hosts, *ALL) == [OLD_ID] * 3


async def test_what_somebody_changed_meanwhile_stays_and_only_our_keys_are_put_back(hosts, store):
    await apply(store, apps())
    path = hosts.folder("p1") / "etc/settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "theirs": 1, "payment": "claude-opus-5-5"}))
    assert (await restore(store, apps())).ok
    assert hosts.configured("p1") == {
        "orchestrator": OLD_ID,
        "payment": "claude-opus-5-5",
        "secret": "s3cret",
        "theirs": 1,
    }
    assert runs(hosts, *ALL) == [OLD_ID] * 3


async def test_what_drifted_between_two_stages_is_written_again_and_the_first_state_is_put_back(hosts, store):
    await apply(store, apps(), stage=StageSpec("production", 0.3))
    path = hosts.folder("p1") / "etc/settings.json"
    theirs = {"orchestrator": "claude-opus-5-5", "payment": OLD_ID, "theirs": True}
    path.write_text(json.dumps(theirs))
    assert (await apply(store, apps())).ok
    assert runs(hosts, *ALL) == [NEW_ID] * 3
    assert hosts.configured("p1") == {**theirs, "orchestrator": NEW_ID}
    assert (await restore(store, apps())).ok
    assert hosts.configured("p1") == {**theirs, "orchestrator": OLD_ID}
    assert runs(hosts, *ALL) == [OLD_ID] * 3


async def test_a_file_that_was_not_there_is_taken_away_again(hosts, store):
    files = (FileSpec("settings", "/HOST/etc/models.env", "env", {"orchestrator": "MODEL"}),)
    prove = f"cd /HOST/etc; if [ -e models.env ]; then . ./models.env; else MODEL={OLD_ID}; fi; echo $MODEL"
    policy = apps(files=files, prove=prove, restart=None)
    assert (await apply(store, policy)).ok
    assert (hosts.folder("p1") / "etc/models.env").read_text() == f"MODEL={NEW_ID}\n"
    assert (await restore(store, policy)).ok
    assert not (hosts.folder("p1") / "etc/models.env").exists()


async def test_a_terminal_is_locked_on_hosts_and_unlocked(hosts, store):
    files = (FileSpec("claude", "/HOST/managed/50-trimtab.json", "terminal", {"terminal": "model"}, lock=True),)
    prove = "cat /HOST/managed/50-trimtab.json 2>/dev/null || echo claude-opus-5-5"
    policy = apps(files=files, prove=prove, restart=None, health=())
    assert (await apply(store, policy, wanted={"terminal": NEW})).ok
    assert json.loads((hosts.folder("p1") / "managed/50-trimtab.json").read_text()) == {
        "model": NEW_ID,
        "availableModels": [NEW_ID],
        "availableModelsMatch": "exact",
        "enforceAvailableModels": True,
    }
    assert (await restore(store, policy)).ok
    assert not (hosts.folder("p1") / "managed/50-trimtab.json").exists()


async def test_hosts_that_configure_none_of_the_roles_are_left_alone(hosts, store):
    done = await apply(store, apps(), wanted={"extraction": NEW})
    assert (done.ok, done.hosts) == (True, {})
    default = await apply(store, apps(), wanted={"default": NEW})
    assert default.hosts["p1"].answered == {"orchestrator": NEW_ID, "payment": NEW_ID}


async def test_by_themselves_each_change_is_taken_back_alone(hosts, store):
    other = "anthropic:claude-opus-5-5"
    await apply(store, apps(), rollout="", attempt=0)
    await apply(store, apps(), rollout="", attempt=0, wanted={"orchestrator": other})
    assert runs(hosts, *ALL) == ["claude-opus-5-5"] * 3
    assert (await restore(store, apps(), rollout="", attempt=0)).ok
    assert runs(hosts, *ALL) == [NEW_ID] * 3


KILLED = [*[("apply", "p2", step) for step in STEPS[:4]], ("apply", "p3", "writing"), ("apply", "p1", "changed")]


@pytest.mark.parametrize("then", ["apply", "restore"])
@pytest.mark.parametrize(
    ("what", "host", "step"), [*KILLED, ("restore", "p2", "restoring"), ("restore", "p1", "restored")]
)
@pytest.mark.usefixtures("begun")
async def test_killed_at_any_step_it_is_finished_or_taken_back(  # noqa: PLR0917
    what, host, step, then, hosts, store
):
    policy = apps(batch=2)
    if what == "restore":
        await apply(store, policy)
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.killed_operator", str(store), what, host, step, *ALL),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = (await killed.communicate())[0].decode()
    assert killed.returncode == -signal.SIGKILL, said
    if then == "apply" and what == "apply":
        assert (await apply(store, policy)).ok
        assert runs(hosts, *ALL) == [NEW_ID] * 3
    assert (await restore(store, policy)).ok
    assert runs(hosts, *ALL) == [OLD_ID] * 3
    assert to_restore(store, "r", 1) == ()
    assert all((hosts.folder(address) / "etc/settings.json").stat().st_mode & 0o777 == 0o640 for address in ALL)

"""Hosts reached by the system's ssh: real sshd processes on loopback, with keys and config made here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256

import pytest

from tests.fakes.hosts import NEW, OLD, SETTINGS, group_of, make_hosts
from tests.fakes.killed_operator import policy_of
from tests.fakes.sshd import servers
from trimtab.hosts.lock import Guard
from trimtab.hosts.remote import Found, Refused, Remote, Version
from trimtab.hosts.ssh import Busy, Ran, Unreachable, connections, script, shut
from trimtab.policy.rollout_spec import StageSpec
from trimtab.rollouts.fleet import apply_stage, restore_all, to_restore
from trimtab.rollouts.fleet_status import read_hosts

OLD_ID, NEW_ID = OLD.partition(":")[2], NEW.partition(":")[2]


@pytest.fixture
def hosts(tmp_path):
    return make_hosts(tmp_path / "hosts", "p1", "p2")


@pytest.fixture
def sshd(tmp_path, hosts, monkeypatch):
    with servers(tmp_path / "ssh", hosts, "p1", "p2") as running:
        monkeypatch.setenv("TRIMTAB_SSH", running.program)
        yield running


@pytest.fixture
async def connect(sshd):
    async with connections() as made:
        yield lambda address, *options, become="", timeout=10.0: made(address, options, become, timeout)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


async def test_what_a_command_says_and_how_it_ends_comes_back(connect):
    ran = await connect("p1").run(
        'printf "%s|" "$@"; cat; echo wrong >&2; exit 255', "a'b", "c\nd", "$HOME", stdin=b"in"
    )
    assert ran == Ran(255, b"a'b|c\nd|$HOME|in", b"wrong\n")


async def test_what_a_command_leaves_behind_does_not_keep_us(connect):
    ran = await connect("p1", timeout=20.0).run("sleep 60 & echo $!")
    assert ran.code == 0
    os.kill(int(ran.out), signal.SIGKILL)


async def test_commands_share_a_connection_that_ends_with_the_block(sshd):
    async with connections() as made:
        ssh = made("p1", (), "", 10.0)
        await ssh.run("true")
        folder = ssh.control_dir
        assert len(list(folder.iterdir())) == 1
        first = (await ssh.run("echo $SSH_CONNECTION")).out
        assert (await ssh.run("echo $SSH_CONNECTION")).out == first
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-p", "1"), "Connection refused"),
        (("-o", "PubkeyAuthentication=no"), "Permission denied"),
        (("-o", "UserKnownHostsFile=/dev/null"), "Host key verification failed"),
        (("-o", "HostName=no-such-host.invalid"), "no-such-host.invalid"),
    ],
)
async def test_a_host_that_ssh_cannot_reach_is_told_from_a_command_that_fails(options, why, connect):
    came = await connect("p1", *options).run("true")
    assert isinstance(came, Unreachable)
    assert why in came.why


async def test_a_host_that_hangs_is_given_up(connect):
    slow = connect("p1", timeout=1.0)
    assert await slow.run("sleep 30") == Unreachable("no answer in 1 s")
    assert (await slow.run("echo again", timeout=10.0)).out == b"again\n"


async def test_without_ssh_that_is_said(connect, monkeypatch):
    monkeypatch.setenv("TRIMTAB_SSH", "/no/such/ssh")
    came = await connect("p1").run("true")
    assert came == Unreachable("ssh cannot be started here: No such file or directory")


async def test_a_jump_host_of_the_users_config_is_used(connect, sshd):
    sshd.config.write_text(
        f"Host behind\n  HostName 127.0.0.1\n  Port {sshd.ports['p2']}\n  ProxyCommand ssh -F {sshd.config} -W 127.0.0.1:{sshd.ports['p2']} p1\n"
        + sshd.config.read_text()
    )
    assert (await connect("behind").run("echo here")).out == b"here\n"


async def test_every_command_is_run_by_become(connect):
    ran = await connect("p1", become="env BECAME=root").run("echo $BECAME")
    assert ran.out == b"root\n"


async def test_a_file_is_swapped_whole_with_its_mode_and_links_and_the_last_five_versions(connect, hosts):
    folder = hosts.folder("p1") / "etc"
    (folder / "settings.json").rename(folder / "real.json")
    (folder / "settings.json").symlink_to("real.json")
    (folder / "real.json").chmod(0o604)
    remote = Remote(group_of("apps", "production", "p1"), connect("p1"))
    found = await remote.read(SETTINGS)
    assert isinstance(found, Found)
    assert (found.real, found.owner.split()[0]) == (str(folder / "real.json"), "604")
    before = found.digest
    for number in range(7):
        text = f'{{"n": {number}}}'
        assert await remote.swap("write", SETTINGS, before, digest(text), text.encode()) is None
        before = digest(text)
    assert (folder / "settings.json").is_symlink()
    assert (folder / "real.json").read_text() == '{"n": 6}'
    assert (folder / "real.json").stat().st_mode & 0o777 == 0o604
    versions = await remote.versions(SETTINGS)
    assert [version.digest for version in versions if isinstance(version, Version)] == [
        digest(f'{{"n": {n}}}') for n in range(1, 6)
    ]
    kept = folder / ".real.json.trimtab"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert await remote.swap("restore", SETTINGS, before, digest('{"n": 3}')) is None
    assert (folder / "real.json").read_text() == '{"n": 3}'
    gone = await remote.swap("restore", SETTINGS, digest('{"n": 3}'), digest('{"n": 0}'))
    assert isinstance(gone, Refused)
    assert "no version of it is kept" in gone.why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_owner_of_a_file_is_kept_and_a_new_one_is_its_folders(connect, hosts):
    folder = hosts.folder("p1") / "etc"
    os.chown(folder, 12, 34)
    os.chown(folder / "settings.json", 56, 78)
    remote = Remote(group_of("apps", "production", "p1"), connect("p1"))
    before = (await remote.read(SETTINGS)).digest
    assert await remote.swap("write", SETTINGS, before, digest("x"), b"x") is None
    assert await remote.swap("write", "/HOST/etc/new", "absent", digest("x"), b"x") is None
    owners = [((folder / name).stat().st_uid, (folder / name).stat().st_gid) for name in ("settings.json", "new")]
    assert owners == [(56, 78), (12, 34)]


async def test_what_somebody_else_wrote_is_not_written_over(connect, hosts):
    remote = Remote(group_of("apps", "production", "p1"), connect("p1"))
    trouble = await remote.swap("write", SETTINGS, digest("not this"), digest("x"), b"x")
    assert isinstance(trouble, Refused)
    assert trouble.changed
    made = await remote.swap("write", SETTINGS, "absent", digest("x"), b"x")
    assert isinstance(made, Refused)
    assert hosts.configured("p1")["orchestrator"] == OLD_ID
    assert hosts.left_over("p1") == []


async def test_half_of_what_was_sent_is_never_written(connect, hosts):
    before = (await Remote(group_of("apps", "production", "p1"), connect("p1")).read(SETTINGS)).digest
    ran = await connect("p1").run(script("swap"), "write", SETTINGS, before, digest("whole"), "644", "", stdin=b"who")
    assert ran.code == 1
    assert b"what arrived is not what was sent" in ran.err
    assert hosts.configured("p1")["orchestrator"] == OLD_ID
    assert hosts.left_over("p1") == []


async def test_a_connection_that_dies_while_a_file_is_sent_leaves_the_old_one(connect, sshd, hosts):
    remote = Remote(group_of("apps", "production", "p1"), connect("p1"))
    before = (await remote.read(SETTINGS)).digest
    text = "x" * 8_000_000
    sending = asyncio.create_task(remote.swap("write", SETTINGS, before, digest(text), text.encode()))
    while not hosts.left_over("p1"):  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.001)
    sshd.kill("p1")
    came = await sending
    assert came is None or isinstance(came, Unreachable)
    sshd.start("p1")
    now = await remote.read(SETTINGS)
    assert isinstance(now, Found)
    assert now.digest in {before, digest(text)}
    guard = Guard(connect("p1"), (SETTINGS,), "anna")
    assert (
        await Remote(remote.group, connect("p1"), guard).swap("write", SETTINGS, now.digest, digest("y"), b"y") is None
    )
    await guard.release()
    assert hosts.left_over("p1") == []


@pytest.mark.parametrize("there", ["folder", "nothing to see"])
async def test_what_is_no_file_is_said(there, connect, hosts):
    path = hosts.folder("p1") / "etc/settings.json"
    path.unlink()
    if there == "folder":
        path.mkdir()
        told = "directory, expected a file"
    else:
        path.symlink_to("settings.json")
        told = "symbolic link, expected a file"
    found = await Remote(group_of("apps", "production", "p1"), connect("p1")).read(SETTINGS)
    assert isinstance(found, Refused)
    assert told in found.why


async def test_the_lock_of_a_dead_operator_is_free(connect, hosts):
    ssh = connect("p1")
    first = Guard(ssh, (SETTINGS,), "anna")
    token = await first.token()
    assert isinstance(token, str)
    assert await first.token() == token
    assert isinstance(await Guard(ssh, (SETTINGS, "/HOST/etc/other"), "bert").token(), Busy)
    assert first._lock
    first._lock.process.kill()
    await first._lock.process.wait()
    second = Guard(ssh, ("/HOST/etc/other", SETTINGS), "bert")
    assert isinstance(await second.token(), str)
    again = await first.token()
    assert isinstance(again, Busy)
    assert "bert since 20" in again.why
    await second.release()
    assert isinstance(await first.token(), str)
    await first.release()


async def test_a_lock_ends_when_nobody_is_heard_any_more(connect):
    ran = await connect("p1").start(script("lock"), "anna", "token", "0.3", SETTINGS)
    assert ran.stdin
    assert ran.stdout
    await ran.stdout.readuntil(b"held\n")
    assert isinstance(await Guard(connect("p1"), (SETTINGS,), "bert").token(), str)
    await ran.wait()
    shut(ran)


async def test_nothing_is_written_without_the_lock(connect, hosts):
    ssh = connect("p1")
    guard = Guard(ssh, (SETTINGS,), "anna")
    await guard.token()
    before = (await Remote(group_of("apps", "production", "p1"), ssh).read(SETTINGS)).digest
    refused = await ssh.run(script("swap"), "write", SETTINGS, before, digest("x"), "644", "another", stdin=b"x")
    await guard.release()
    free = await ssh.run(script("swap"), "write", SETTINGS, before, digest("x"), "644", "another", stdin=b"x")
    assert (refused.code, free.code) == (5, 5)
    assert hosts.configured("p1")["orchestrator"] == OLD_ID


async def test_a_rollout_over_real_connections_is_made_and_taken_back(sshd, hosts, tmp_path):
    policy = policy_of(group_of("apps", "production", "p1", "p2"))
    store, stage, wanted = tmp_path / "store.db", StageSpec("production"), {"orchestrator": NEW}
    done = await apply_stage(store, policy, "r", 1, stage, wanted, "anna", lambda _: None, lambda: None)
    assert done.ok, done.why
    assert [hosts.running(address)["orchestrator"] for address in ("p1", "p2")] == [NEW_ID] * 2
    back = await restore_all(store, policy, "r", 1, "anna", lambda _: None)
    assert back.ok, back.why
    assert [hosts.running(address)["orchestrator"] for address in ("p1", "p2")] == [OLD_ID] * 2


async def test_an_sshd_that_is_killed_after_the_write_is_waited_for_and_the_host_taken_back(sshd, hosts, tmp_path):
    policy = policy_of(group_of("apps", "production", "p1", "p2", timeout=timedelta(seconds=10)))
    store, stage, wanted = tmp_path / "store.db", StageSpec("production"), {"orchestrator": NEW}

    def told(news):
        if (news.host, news.step) == ("p1", "restarting"):
            sshd.kill("p1")
        if (news.host, news.step) == ("p1", "restoring"):
            sshd.start("p1")

    done = await apply_stage(store, policy, "r", 1, stage, wanted, "anna", told, lambda: None)
    assert [done.hosts[address].step for address in ("p1", "p2")] == ["restored", "untouched"]
    assert hosts.running("p1") == hosts.configured("p1")
    assert hosts.running("p1")["orchestrator"] == OLD_ID
    assert to_restore(store, "r", 1) == ()


async def test_what_hosts_run_is_read_without_changing_anything(sshd, hosts, tmp_path):
    group = group_of("apps", "production", "p1", "p2", last="/HOST/ask")
    policy = policy_of(group, source=str(tmp_path / "trimtab.toml"))
    hosts.fault("p1", "stubborn")
    path = hosts.folder("p1") / "etc/settings.json"
    path.write_text(json.dumps({**hosts.configured("p1"), "orchestrator": NEW_ID}))
    sshd.kill("p2")
    first, second = await read_hosts(policy_with_roles(policy, NEW))
    assert (first.reachable, first.decided, first.step) == (True, "policy", None)
    by_role = {role.role: (role.configured, role.answered, role.drift) for role in first.roles}
    assert by_role == {"orchestrator": (NEW_ID, OLD_ID, True), "payment": (OLD_ID, OLD_ID, True)}
    assert not second.reachable
    assert "Connection refused" in second.why
    assert hosts.restarts("p1") == 0


def policy_with_roles(policy, model):
    from dataclasses import replace

    from trimtab.policy.spec import EnvironmentSpec, RoleSpec

    roles = {role: RoleSpec(model) for role in ("orchestrator", "payment")}
    return replace(policy, roles=roles, environments={"production": EnvironmentSpec("production")})


async def test_an_operator_who_is_killed_leaves_no_lock_and_no_half_written_file(sshd, hosts, tmp_path):
    store = tmp_path / "store.db"
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.killed_operator", str(store), "apply", "p1", "restarting", "p1", "p2"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = (await killed.communicate())[0].decode()
    assert killed.returncode == -signal.SIGKILL, said
    assert ("apps", "p1") in to_restore(store, "r", 1)
    policy = policy_of(group_of("apps", "production", "p1", "p2"))
    back = await restore_all(store, policy, "r", 1, "anna", lambda _: None)
    assert back.ok, back.why
    assert [hosts.running(address)["orchestrator"] for address in ("p1", "p2")] == [OLD_ID] * 2

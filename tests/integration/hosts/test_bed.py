"""The bed itself, with plain ssh: what the tests beside this one stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.integration.hosts.bed import HOSTS, ROOT, remove_stale
from tests.integration.hosts.host import command_of, ip, running, until
from tests.integration.hosts.machine import OLD

ASK = "curl -fsS http://127.0.0.1:8080/ask"
# A bed in a process of its own, which tells that it stands and waits to be killed.
STANDING = """\
import time
from tests.integration.hosts.bed import made
with made():
    print("up", flush=True)
    time.sleep(60)
"""


def test_every_host_is_reached_with_the_systems_ssh_by_the_names_of_the_users_config(bed):
    for name in HOSTS:
        done = bed.run("ssh", name, "hostname; pwd")
        assert (done.stdout.split(), done.stderr) == ([name, "/root"], "")


def test_a_jump_host_of_the_users_config_is_gone_through(bed):
    assert bed.run("ssh", "production-2", "echo $SSH_CONNECTION").stdout.split()[0] == "10.77.0.1"
    assert bed.run("ssh", "production-3", "echo $SSH_CONNECTION").stdout.split()[0] == bed.bastion.address


def test_a_host_whose_key_is_another_is_not_reached(bed):
    known = bed.home / ".ssh/known_hosts"
    kept = known.read_text()
    try:
        known.write_text(kept.replace(HOSTS["production-1"], "10.77.0.99"))
        done = bed.run("ssh", "-o", "BatchMode=yes", "production-1", "true")
    finally:
        known.write_text(kept)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_hosts_share_no_folder_that_can_be_written(bed):
    folders = "/etc/charter /etc /srv /run /var /tmp /root /home"
    for name in HOSTS:
        assert bed.run("ssh", name, f"for f in {folders}; do echo {name} >> $f/mine; done").stderr == ""
        assert "Read-only" in bed.run("ssh", name, "touch /usr/mine").stderr
    for name in HOSTS:
        said = bed.run("ssh", name, f"for f in {folders}; do cat $f/mine; rm $f/mine; done").stdout
        assert said.split() == [name] * 8


def test_a_service_runs_what_its_settings_said_when_it_was_started(bed):
    host = bed.hosts["staging-1"]
    settings = host.path("/etc/charter/settings.json")
    settings.write_text(settings.read_text().replace("haiku-4-5", "sonnet-4-6"))
    assert host.ask() == OLD
    assert (
        bed.run("ssh", "staging-1", "systemctl restart charter.service && systemctl is-active charter").stdout
        == "active\n"
    )
    new = {**OLD, "orchestrator": "claude-sonnet-4-6", "pricing": "claude-sonnet-4-6"}
    assert host.ask() == new
    assert bed.run("ssh", "staging-1", "curl -fsS http://127.0.0.1:8080/last").stdout.count("claude-sonnet-4-6") == 2
    assert bed.hosts["production-1"].ask() == OLD


def test_a_service_that_may_not_read_its_settings_does_not_start(bed):
    done = bed.run(
        "ssh", "staging-1", "chown root:root /etc/charter/settings.json && systemctl restart charter.service"
    )
    assert done.returncode == 1
    assert "Job for charter.service failed" in done.stderr
    assert bed.hosts["staging-1"].ask() == {}


def test_what_goes_wrong_on_a_host_does_so_where_the_new_model_stands(bed):
    host = bed.hosts["staging-1"]
    for name, command in (
        ("model", ASK),
        ("health", "curl -fsS http://127.0.0.1:8080/health"),
        ("restart", "systemctl restart charter"),
    ):
        host.fault(name, "claude-other", when="sonnet")
        assert bed.run("ssh", "staging-1", command).returncode == 0
        host.fault(name, "claude-other", when="haiku")
        said = bed.run("ssh", "staging-1", command)
        assert said.returncode != 0 or said.stdout.count("claude-other") == 3
        host.mend()


def test_a_disk_is_full_but_for_what_is_left(bed):
    host = bed.hosts["staging-1"]
    host.fill(leave=64 << 10)
    done = bed.run(
        "ssh",
        "staging-1",
        "head -c 200000 /dev/zero > /etc/charter/big; stat -c %s /etc/charter/big; rm /etc/charter/big",
    )
    assert "No space left on device" in done.stderr
    assert 0 < int(done.stdout) <= 64 << 10


def test_an_sshd_that_is_killed_takes_its_sessions_with_it_and_comes_back(bed):
    host = bed.hosts["staging-1"]
    session = bed.popen("ssh", "staging-1", "echo in; cat; sleep 60")
    assert session.stdout.readline() == "in\n"
    host.kill_sshd()
    session.communicate(timeout=20)
    assert session.returncode == 255
    until(lambda: bed.run("ssh", "staging-1", "true").returncode == 0, "sshd again")


def test_a_host_that_is_cut_off_is_not_reached_until_it_is_joined_again(bed):
    host = bed.hosts["production-1"]
    host.cut()
    assert bed.run("ssh", "-o", "ConnectTimeout=1", "production-1", "true").returncode == 255
    host.join()
    until(lambda: bed.run("ssh", "-o", "ConnectTimeout=1", "production-1", "true").returncode == 0, "the link")


def test_nothing_is_left_of_a_bed_whose_test_run_was_killed():
    run = subprocess.Popen([sys.executable, "-c", STANDING], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "up\n"
    namespace = f"trimtab-{run.pid}-"
    assert ip("netns", "list").count(namespace) == len(HOSTS) + 2
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    until(lambda: not any(f"trimtab-hosts-{run.pid}-" in command_of(pid) for pid in running()), "their end")
    remove_stale()
    assert namespace not in ip("netns", "list")

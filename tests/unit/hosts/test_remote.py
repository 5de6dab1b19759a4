from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.fakes.hosts import SETTINGS, group_of, make_hosts

from trimtab.hosts.answer import Answered
from trimtab.hosts.change import Ended, ask, health, prove
from trimtab.hosts.remote import Remote
from trimtab.hosts.ssh import Refused, Unreachable, connections
from trimtab.policy.rollout_spec import HealthSpec


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    made = make_hosts(tmp_path / "hosts", "p1")
    monkeypatch.setenv("TRIMTAB_SSH", str(made.program))
    return made


@pytest.fixture
async def remote(hosts):
    async with connections() as connect:
        yield lambda become="", **given: Remote(
            group_of("apps", "production", "p1", **given), connect("p1", (), become, 10.0)
        )


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 - named so in the standard library
        pass


@pytest.fixture
def url():
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def only(tmp_path, *programs):
    """A folder with these programs and nothing else, for PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in (*programs, "sh", "timeout"):
        (folder / program).symlink_to(shutil.which(program) or pytest.skip(f"{program} is not installed"))
    return f"env PATH={folder}"


@pytest.mark.parametrize("program", ["curl", "wget"])
async def test_only_2xx_is_healthy(program, remote, url, tmp_path):
    there = remote(only(tmp_path, program))
    assert await there.healthy(HealthSpec(http=f"{url}/204"), None) is None
    for code in (302, 404, 503):
        assert isinstance(await there.healthy(HealthSpec(http=f"{url}/{code}"), None), Refused)
    assert isinstance(await there.healthy(HealthSpec(http="http://127.0.0.1:1/"), None), Refused)


async def test_a_host_without_curl_and_wget_is_said(remote, url, tmp_path):
    trouble = await remote(only(tmp_path)).healthy(HealthSpec(http=url), None)
    assert trouble == Refused("neither curl nor wget is installed")


async def test_a_check_that_hangs_is_ended_there(remote):
    trouble = await remote(timeout=timedelta(seconds=0.3)).healthy(HealthSpec(command="sleep 30"), None)
    assert trouble == Refused("no end in 0.3 s")


def runs_of(hosts, *runs):
    """A `trimtab` there that lists these runs."""
    listed = [{"status": status, "accepted_at": at.isoformat()} for status, at in runs]
    (hosts.folder("p1") / "runs.json").write_text(json.dumps(listed))
    program = hosts.folder("p1") / "trimtab"
    program.write_text('#!/bin/sh\n[ "$7" = /etc/trimtab.toml ] || exit 2\ncat "$(dirname "$0")/runs.json"\n')
    program.chmod(0o755)


async def test_a_run_that_was_accepted_after_the_change_has_to_complete(remote, hosts, monkeypatch):
    now = datetime.now(UTC)
    before, after = now - timedelta(seconds=1), now + timedelta(seconds=1)
    monkeypatch.setenv("PATH", str(hosts.folder("p1")), prepend=":")
    there = remote(timeout=timedelta(seconds=0.5))
    check = HealthSpec(journal="/etc/trimtab.toml")
    for runs, told in (
        ([], "none began"),
        ([("completed", before)], "none began"),
        ([("failed", after), ("running", after)], "2 began, none completed"),
    ):
        runs_of(hosts, *runs)
        trouble = await there.healthy(check, now)
        assert trouble == Refused(f"no run completed within 0.5 s after the change: {told}")
    runs_of(hosts, ("failed", after), ("completed", after))
    assert await there.healthy(check, now) is None
    assert await there.healthy(check, None) is None
    (hosts.folder("p1") / "runs.json").write_text("[1]")
    assert await there.healthy(check, now) == Refused(
        "`trimtab runs list --json --policy /etc/trimtab.toml` there did not print runs"
    )


async def test_the_first_check_that_fails_is_told(remote):
    checks = (HealthSpec(command="true"), HealthSpec(command="echo broken; exit 3"), HealthSpec(command="exit 1"))
    assert await health(remote(health=checks)) == Refused("broken")


async def test_what_a_program_there_says_cannot_steer_the_terminal_of_who_reads_it(remote):
    loud = HealthSpec(command=r"printf 'gone \033[2J\007 \342\200\224 \303\251' >&2; exit 3")
    assert await health(remote(health=(loud,))) == Refused("gone [2J \u2014 é")


async def test_a_restart_tells_the_hosts_time_after_it(remote):
    before = datetime.now(UTC)
    for given in ({"restart": "echo started; sleep 0.1"}, {"restart": None}):
        at = await remote(**given).restart()
        assert isinstance(at, datetime)
        assert before <= at <= datetime.now(UTC)
    assert await remote(restart="echo no >&2; exit 1").restart() == Refused("no")


async def test_a_unit_is_restarted_by_systemctl(remote, hosts, monkeypatch):
    program = hosts.folder("p1") / "systemctl"
    program.write_text('#!/bin/sh\necho "$@" >>"$(dirname "$0")/asked"\necho LimitNOFILE=65536\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(hosts.folder("p1")), prepend=":")
    there = remote(restart=None, unit="charter.service")
    assert isinstance(await there.restart(), datetime)
    looked = await there.look()
    assert looked["LimitNOFILE"] == "65536"
    asked = (hosts.folder("p1") / "asked").read_text().splitlines()
    assert asked[0] == "restart -- charter.service"
    assert asked[1].startswith("show ")


async def test_an_answer_is_asked_for_until_it_is_right(remote, hosts):
    slow = "echo x >>/HOST/asked; if [ $(wc -l </HOST/asked) -lt 3 ]; then echo old-1; else echo claude-sonnet-4-6; fi"
    there = remote(prove=slow, timeout=timedelta(seconds=20))
    expected = {"orchestrator": ("anthropic:claude-sonnet-4-6",)}
    assert await prove(there, expected) == Ended({"orchestrator": "claude-sonnet-4-6"})
    assert len((hosts.folder("p1") / "asked").read_text().splitlines()) == 3
    assert await prove(there, {}) == Ended()


@pytest.mark.parametrize(
    ("output", "models", "why"),
    [
        ("echo claude-opus-5-5", ("opus",), ""),
        ("echo claude-opus-5-5", ("opus", "claude-haiku-4-5"), ""),
        ("echo claude-opus-5-5", ("sonnet",), "orchestrator answers as claude-opus-5-5, expected sonnet"),
        ("echo claude-opus-5-5", (), ""),
        ("echo oops >&2; exit 1", (), "orchestrator did not answer: oops"),
        ("exit 9", (), "orchestrator did not answer: exit code 9, and nothing said"),
    ],
)
async def test_what_is_wrong_with_an_answer_is_said(output, models, why, remote):
    assert (await ask(remote(), output, {"orchestrator": models})).why == why


async def test_an_answer_that_nobody_gave_is_told_from_a_host_that_is_gone(remote, hosts):
    assert await remote().ask("true", frozenset({"a"})) == Answered(why="it printed nothing")
    hosts.fault("p1", "down")
    assert isinstance(await remote().ask("true", frozenset({"a"})), Unreachable)
    assert isinstance(await remote().read(SETTINGS), Unreachable)
    assert isinstance(await remote().versions(SETTINGS), Unreachable)
    assert isinstance(await remote().look(), Unreachable)

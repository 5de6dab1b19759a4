"""Alerts over real channels: a web server, a mail server, a program; and watches that are killed, or are two."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from tests.fakes.spending import HAIKU, NOW, call, history, run, write
from trimtab.alerts.deliver import BACK_OFF, deliver, next_due
from trimtab.alerts.watch import Watch, keep_watching
from trimtab.core.records import RunFact
from trimtab.journal import alerts
from trimtab.journal.reader import Journal
from trimtab.policy.load import parse
from trimtab.policy.spec import Policy

ROOT = Path(__file__).parents[2]
POLICY = f'[models]\nhaiku = "{HAIKU}"\n[roles]\ndefault = "haiku"\n[environments.production]\n'
SECRET = "hunter2-never-told"


class HeldClock:
    """Time that moves when somebody sleeps."""

    def __init__(self, now=NOW):
        self.time = now
        self.slept = []

    def now(self):
        return self.time

    async def sleep_until(self, at):
        self.slept.append(at)
        self.time = max(self.time, at)
        await asyncio.sleep(0)


def policy_with(channels: str) -> Policy:
    return parse(POLICY + channels)


def spiked(folder: Path, now=NOW) -> Path:
    """A store in whose last hour every run cost four times as much."""
    return write(folder / "t.db", history(5, now=now, dearer=4.0, since=timedelta(hours=1)))


def a_round(store: Path, policy: Policy, now=NOW):
    watching = Watch(store, policy)
    return watching.note(watching.look(now))


@pytest.fixture
async def hook():
    """A web server that answers as it is told (then with 200), and keeps what it was sent."""
    got, answers = [], []

    async def take(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.json()))
        return web.Response(status=answers.pop(0) if answers else 200)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/hook", got, answers
    await runner.cleanup()


async def test_a_webhook_that_fails_twice_is_told_the_third_time_and_never_again(tmp_path, hook, monkeypatch):
    url, got, answers = hook
    monkeypatch.setenv("HOOK_TOKEN", SECRET)
    answers += [500, 503]
    policy = policy_with(
        f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\nheaders_env = {{ Authorization = "HOOK_TOKEN" }}\n'
    )
    store, clock = spiked(tmp_path), HeldClock()
    assert [fact.cause for fact in a_round(store, policy).moved] == ["spend_spike/local"]

    outcomes = []
    while (due := next_due(store, policy.alerts.channels.values(), clock.now())) is not None:
        clock.time = max(clock.time, due)
        outcomes += [told.reason for told in await deliver(store, policy.alerts.channels, clock)]
    assert outcomes == ["status 500", "status 503", ""]
    assert clock.time - NOW == sum(BACK_OFF[:2], timedelta(0))
    clock.time += timedelta(days=1)
    assert await deliver(store, policy.alerts.channels, clock) == []

    headers, body = got[0]
    assert {(h["Idempotency-Key"], b["id"]) for h, b in got} == {(body["id"], body["id"])}
    assert headers["Authorization"] == SECRET
    assert (body["cause"], body["state"], body["weight"]) == ("spend_spike/local", "open", "error")
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_a_missing_secret_is_told_by_its_name_and_nothing_is_sent(tmp_path, hook, monkeypatch):
    url, got, _ = hook
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    policy = policy_with(
        f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\nheaders_env = {{ Authorization = "HOOK_TOKEN" }}\n'
    )
    store = spiked(tmp_path)
    a_round(store, policy)
    assert [t.reason for t in await deliver(store, policy.alerts.channels, HeldClock())] == ["HOOK_TOKEN is not set"]
    assert got == []


class Letters:
    """What a mail server took."""

    def __init__(self):
        self.taken = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[int, list]]:
    letters = Letters()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(letters, hostname="127.0.0.1", port=port)
    controller.start()
    yield port, letters.taken
    controller.stop()


async def test_an_alert_and_its_end_go_out_by_mail_with_ids_of_their_own(tmp_path, mail):
    port, taken = mail
    policy = policy_with(
        f'[alerts.channels.mail]\nkind = "email"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'
        'from = "trimtab@example.org"\nto = ["olga@example.org", "paul@example.org"]\n'
    )
    store, clock = spiked(tmp_path), HeldClock()
    a_round(store, policy)
    assert [t.reason for t in await deliver(store, policy.alerts.channels, clock)] == [""]
    # A usual hour later it is over.
    write(store, history(1 / 12, now=NOW + timedelta(hours=2), name="later"))
    clock.time = NOW + timedelta(hours=2)
    assert [fact.state for fact in a_round(store, policy, clock.time).moved] == ["closed"]
    await deliver(store, policy.alerts.channels, clock)

    opened, closed = (envelope.content.decode() for envelope in taken)
    assert taken[0].rcpt_tos == ["olga@example.org", "paul@example.org"]
    assert "Subject: [trimtab] error: spend_spike/local" in opened
    assert "Subject: [trimtab] resolved: spend_spike/local" in closed
    ids = [next(line for line in text.splitlines() if line.startswith("Message-ID")) for text in (opened, closed)]
    assert len(set(ids)) == 2


async def test_no_mail_is_sent_in_clear_to_a_server_without_tls(tmp_path, mail):
    port, taken = mail
    policy = policy_with(
        f'[alerts.channels.mail]\nkind = "email"\nhost = "127.0.0.1"\nport = {port}\nfrom = "a@example.org"\nto = "b@example.org"\n'
    )
    store = spiked(tmp_path)
    a_round(store, policy)
    (told,) = await deliver(store, policy.alerts.channels, HeldClock())
    assert told.reason == "SMTPNotSupportedError"
    assert taken == []


async def test_a_program_gets_json_and_one_that_fails_or_hangs_is_tried_again(tmp_path):
    policy = policy_with(
        f"""
[alerts.channels.good]
kind = "command"
argv = ["sh", "-c", "cat > {tmp_path}/got.json"]
[alerts.channels.bad]
kind = "command"
argv = ["sh", "-c", "exit 3"]
[alerts.channels.slow]
kind = "command"
argv = ["sleep", "60"]
timeout = "1s"
[alerts.channels.none]
kind = "command"
argv = ["/no/such/program"]
"""
    )
    store, clock = spiked(tmp_path), HeldClock()
    a_round(store, policy)
    told = {t.channel: t.reason for t in await deliver(store, policy.alerts.channels, clock)}
    assert told == {
        "good": "",
        "bad": "sh left with 3",
        "slow": "no answer within 1 s",
        "none": "FileNotFoundError: No such file or directory",
    }
    assert json.loads((tmp_path / "got.json").read_text())["cause"] == "spend_spike/local"
    clock.time += timedelta(minutes=1)
    assert {t.channel: t.attempt for t in await deliver(store, policy.alerts.channels, clock)} == {
        "bad": 2,
        "slow": 2,
        "none": 2,
    }


async def test_what_was_being_told_at_a_kill_9_is_told_after_it_with_the_same_id(tmp_path, hook):
    url, got, _ = hook
    now = datetime.now(UTC)
    store = spiked(tmp_path, now)
    a_round(store, policy_with(""), now)
    (tmp_path / "trimtab.toml").write_text(
        POLICY
        + f"""[alerts.channels.ops]
kind = "command"
argv = ["sh", "-c", "echo $$ > {tmp_path}/pid; cat > {tmp_path}/asked; exec sleep 60"]
"""
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trimtab", "watch", "--once", "--store", str(store), cwd=tmp_path
    )
    asked = tmp_path / "asked"
    while not (asked.exists() and asked.read_text().endswith("\n")):
        assert process.returncode is None
        await asyncio.sleep(0.02)
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    policy = policy_with(f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\n')
    with Journal(store) as journal:
        (waiting,) = journal.read(lambda c: alerts.undelivered(c, "ops", now - timedelta(days=1)))
    assert (waiting.outcome, waiting.attempts) == ("begun", 1)
    assert waiting.at is not None
    assert await deliver(store, policy.alerts.channels, HeldClock(waiting.at)) == []  # whoever began may still be at it
    late = HeldClock(waiting.at + timedelta(seconds=31))
    assert [(t.attempt, t.reason) for t in await deliver(store, policy.alerts.channels, late)] == [(2, "")]
    assert [body["id"] for _, body in got] == [json.loads(asked.read_text())["id"]]


async def test_two_watches_at_once_open_one_alert_and_tell_it_once(tmp_path, hook):
    url, got, _ = hook
    store = spiked(tmp_path)
    policy = policy_with(f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\n')
    both = await asyncio.gather(*(asyncio.to_thread(a_round, store, policy) for _ in range(4)))
    assert sum(len(seen.moved) for seen in both) == 1
    told = await asyncio.gather(*(deliver(store, policy.alerts.channels, HeldClock()) for _ in range(4)))
    assert sum(map(len, told)) == 1
    assert len(got) == 1


async def test_a_watch_beside_a_worker_outlives_a_store_that_cannot_be_read(tmp_path, caplog):
    store = tmp_path / "t.db"
    store.write_text("no store")
    clock = HeldClock()
    watching = asyncio.ensure_future(keep_watching(store, policy_with(""), clock))
    for _ in range(2000):
        await asyncio.sleep(0.001)
        if sum("could not look" in record.message for record in caplog.records) >= 2:
            break
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert "the watch could not look" in caplog.text


def test_hours_that_are_over_are_read_once_and_give_the_same_again(tmp_path):
    store = write(tmp_path / "t.db", history(4) + history(4, environment="production", name="p", seed=2))
    policy = policy_with("")
    seen = [Watch(store, policy)._reading.watched("local", NOW)]
    a_round(store, policy)
    seen.append(Watch(store, policy)._reading.watched("local", NOW))
    with Journal(store) as journal:
        assert journal.read(lambda c: c.execute("SELECT count(*) FROM spent_hour").fetchone()[0]) > 150
    assert [h.at for h in seen[0].hours] == [h.at for h in seen[1].hours]
    assert [h.spent.runs for h in seen[0].hours] == [h.spent.runs for h in seen[1].hours]
    assert [h.usd for h in seen[0].settled] == pytest.approx([h.usd for h in seen[1].settled])
    assert sum(h.runs for h in seen[1].settled) == pytest.approx(480 * 4, rel=0.1)


def test_only_the_environment_that_is_asked_for_is_added_up(tmp_path):
    facts = [
        *run("a", NOW - timedelta(minutes=9), 1.0),
        *run("b", NOW - timedelta(minutes=9), 5.0, environment="production"),
    ]
    facts += [
        call("a", NOW - timedelta(minutes=8), None, step="do/b/0/1", requested_model="x:new", response_model="other")
    ]
    store = write(tmp_path / "t.db", facts)
    watched = Watch(store, policy_with(""))._reading.watched("local", NOW)
    assert (watched.hour.usd, watched.hour.calls, watched.hour.runs, watched.hour.unpriced) == (1.0, 2, 1, 1)
    assert [(a.requested, a.response) for a in watched.answered] == [("x:new", "other")]
    assert [u.model for u in watched.unpriced] == ["x:new"]
    assert [(h.runs, h.successes, h.usd, h.unpriced) for h in watched.settled] == [(1, 1, 1.0, 1)]


def test_arrivals_are_counted_by_ten_minutes_and_a_watch_that_goes_on_counts_the_same(tmp_path):
    local = history(3)
    store = write(tmp_path / "t.db", local + history(3, environment="production", name="p", seed=2))
    policy = policy_with("")
    reading = Watch(store, policy)._reading
    reading.watched("local", NOW - timedelta(hours=1, minutes=7))
    arrivals = reading.watched("local", NOW).arrivals
    assert arrivals == Watch(store, policy)._reading.watched("local", NOW).arrivals
    whole = int(NOW.timestamp()) // 600
    came = [int(fact.accepted_at.timestamp()) // 600 for fact in local if isinstance(fact, RunFact)]
    assert arrivals == {slot: came.count(slot) for slot in set(came) if slot < whole}

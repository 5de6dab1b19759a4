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
from trimtab.core.watched import AlertFact
from trimtab.journal import alerts
from trimtab.journal.reader import Journal
from trimtab.journal.rows import query
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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def mail() -> Iterator[tuple[int, list]]:
    letters = Letters()
    port = _free_port()
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


async def test_who_took_a_letter_does_not_get_it_again_while_another_refuses_it(tmp_path):
    class Picky(Letters):
        async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
            if address.startswith("olga") and len(self.taken) < 2:
                self.taken += [] if envelope.rcpt_tos else [None]
                return "450 later"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    letters = Picky()
    controller = Controller(letters, hostname="127.0.0.1", port=_free_port())
    controller.start()
    policy = policy_with(
        f'[alerts.channels.mail]\nkind = "email"\nhost = "127.0.0.1"\nport = {controller.port}\ntls = "none"\n'
        'from = "trimtab@example.org"\nto = ["paul@example.org", "olga@example.org"]\n'
    )
    store, clock, reasons = spiked(tmp_path), HeldClock(), list[str]()
    a_round(store, policy)
    for _ in range(4):
        reasons += [t.reason for t in await deliver(store, policy.alerts.channels, clock)]
        clock.time += timedelta(hours=1)
    controller.stop()
    assert reasons == ["refused for olga@example.org"] * 2 + [""]
    got = [address for envelope in letters.taken if envelope for address in envelope.rcpt_tos]
    assert got == ["paul@example.org", "olga@example.org"]


async def test_a_mail_server_has_one_time_for_all_its_answers_and_sends_nothing_after_it(tmp_path):
    taken = []

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: bytes) -> None:
            await asyncio.sleep(0.4)
            writer.write(line + b"\r\n")

        await say(b"220 hello")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                taken.append(line)
            await say(b"250 fine")
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    policy = policy_with(
        f'[alerts.channels.mail]\nkind = "email"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\ntimeout = "1s"\n'
        'from = "trimtab@example.org"\nto = "olga@example.org"\n'
    )
    store = spiked(tmp_path)
    a_round(store, policy)
    assert [t.reason for t in await deliver(store, policy.alerts.channels, HeldClock())] == ["no answer within 1 s"]
    await asyncio.sleep(2)
    server.close()
    assert taken == []


async def test_the_end_of_an_alert_is_not_told_before_its_beginning(tmp_path, hook):
    url, got, answers = hook
    policy = policy_with(f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\n')
    store, clock = spiked(tmp_path), HeldClock()
    a_round(store, policy)
    answers += [503] * 5
    for wait in (*BACK_OFF[:4], timedelta(minutes=1)):
        await deliver(store, policy.alerts.channels, clock)
        clock.time += wait
    opened = AlertFact("spend_spike/local", 0, "closed", "note", "over", "trimtab runs list", {}, clock.time)
    write(store, [opened])
    assert await deliver(store, policy.alerts.channels, clock) == []  # the beginning is not due yet
    due = next_due(store, policy.alerts.channels.values(), clock.now())
    assert due is not None
    assert due > clock.now()
    clock.time = due
    assert [t.alert.state for t in await deliver(store, policy.alerts.channels, clock)] == ["open", "closed"]
    assert [body["state"] for _, body in got[5:]] == ["open", "closed"]


async def test_what_failed_while_the_clock_was_ahead_is_sent_when_it_is_right_again(tmp_path, hook):
    url, _, answers = hook
    policy = policy_with(f'[alerts.channels.ops]\nkind = "webhook"\nurl = "{url}"\n')
    store, ahead = spiked(tmp_path), NOW + timedelta(days=30)
    answers.append(503)
    write(store, [AlertFact("usd_per_hour/local", 0, "open", "error", "much", "trimtab runs list", {}, ahead)])
    assert [t.reason for t in await deliver(store, policy.alerts.channels, HeldClock(ahead))] == ["status 503"]
    assert [t.reason for t in await deliver(store, policy.alerts.channels, HeldClock())] == [""]


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


def _is_running(pid: int) -> bool:
    # One that ended stays in the table until somebody asks for it.
    stat = Path("/proc", str(pid), "stat")
    try:
        return " Z " not in stat.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_program_that_hangs_ends_with_all_that_it_started(tmp_path):
    policy = policy_with(
        f"""
[alerts.channels.slow]
kind = "command"
argv = ["sh", "-c", "(sleep 60 & echo $! > {tmp_path}/started); sleep 61; true"]
timeout = "1s"
"""
    )
    store = spiked(tmp_path)
    a_round(store, policy)
    assert [t.reason for t in await deliver(store, policy.alerts.channels, HeldClock())] == ["no answer within 1 s"]
    started = int((tmp_path / "started").read_text())
    for _ in range(500):
        if not _is_running(started):
            break
        await asyncio.sleep(0.01)
    assert not _is_running(started)


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


async def test_a_watch_whose_clock_is_set_back_goes_on_looking(tmp_path):
    store, clock, looks = spiked(tmp_path), HeldClock(), list[datetime]()

    def shown(seen):
        looks.append(seen.now)
        if len(looks) == 2:
            clock.time -= timedelta(days=30)

    watching = asyncio.ensure_future(keep_watching(store, policy_with(""), clock, channels={}, shown=shown))
    for _ in range(5000):
        await asyncio.sleep(0.002)
        if len(looks) >= 4:
            break
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert looks[2] - (looks[1] - timedelta(days=30)) <= timedelta(minutes=10)


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


def test_an_environment_that_nobody_watches_is_charged_to_no_other(tmp_path):
    store = write(tmp_path / "t.db", history(3))
    policy = policy_with('[alerts]\nenvironments = ["local"]\n')
    a_round(store, policy)
    # Accepted before the last hour that was kept, and busy after it.
    other = [RunFact("s", "w", "s", "staging", {}, NOW - timedelta(hours=9))]
    other += [
        call("s", NOW - timedelta(minutes=n), 50.0, step=f"do/a/0/{n}", response_model="other") for n in range(1, 50)
    ]
    write(store, other)
    reading = Watch(store, policy)._reading
    watched = reading.watched("local", NOW)
    assert watched.hour.usd < 10
    assert watched.answered == []
    assert reading.environments(["local"]) == ["local"]
    assert Watch(store, policy_with(""))._reading.environments(None) == ["local", "staging"]


def test_hours_kept_while_the_clock_was_ahead_do_not_hide_those_since(tmp_path):
    store = write(tmp_path / "t.db", history(3))
    policy = policy_with("")
    ahead = NOW + timedelta(days=20)
    write(store, [*run("ahead", ahead - timedelta(hours=5), 1.0)])
    a_round(store, policy, ahead)
    before = Watch(store, policy)._reading.watched("local", NOW)
    write(store, history(1, now=NOW + timedelta(days=1), name="later"))
    after = Watch(store, policy)._reading.watched("local", NOW + timedelta(days=1))
    assert len(before.hours) > 60
    assert len(after.hours) >= len(before.hours) + 20


def test_an_alert_closed_after_the_clock_was_set_back_is_closed(tmp_path):
    store, policy = spiked(tmp_path), policy_with("")
    a_round(store, policy)
    assert [fact.state for fact in a_round(store, policy, NOW - timedelta(hours=2)).moved] == ["closed"]
    assert a_round(store, policy, NOW - timedelta(hours=2)).open == []


def test_runs_that_came_to_stand_are_read_by_their_own_lines_of_spend(tmp_path):
    store = write(tmp_path / "t.db", history(1))
    given = {"since": "2026", "until": "2027", "environment": "local"}
    with Journal(store) as journal:
        sql = "EXPLAIN QUERY PLAN " + query("watch_settled").replace("{mine}", "")
        plan = [row[3] for row in journal.read(lambda c: c.execute(sql, given).fetchall())]
    assert any("SEARCH s USING PRIMARY KEY (spender=?)" in line for line in plan)
    assert not any(line.startswith(("MATERIALIZE", "SCAN s")) for line in plan)


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

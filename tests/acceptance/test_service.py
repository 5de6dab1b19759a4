"""`trimtab service`: the unit of the worker as it is shown, installed, found by the doctor, and run by a real systemd."""

from __future__ import annotations

import json
import os
import pwd
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.real_systemd import PROGRAM, driven
from tests.acceptance.terminal import line_of, stop

POLICY = """
[app]
factory = "shop_app:workflows"
[providers.anthropic]
kind = "anthropic"
base_url = "http://127.0.0.1:9"
[roles]
default = "anthropic:claude-haiku-4-5"
[environments.production]
"""
UNIT = "trimtab-worker.service"
PLACE = f"machine/etc/systemd/system/{UNIT}"
BELOW = ("--root", "machine")


@pytest.fixture
def shop(terminal):
    terminal.write("trimtab.toml", POLICY)
    shutil.copy(Path(__file__).with_name("shop_app.py"), terminal.folder)
    terminal.write("machine/proc/meminfo", "MemTotal: 983040 kB\n")
    terminal.write("machine/proc/sys/fs/nr_open", "1048576\n")
    return terminal


def value_of(told, key: str) -> str:
    return next(setting["value"] for setting in told["settings"] if setting["key"] == key)


def test_what_would_be_installed_is_printed_with_the_reason_for_each_number(shop):
    said = shop.run("service", "show", *BELOW, "--environment", "production")
    assert said.code == 0, said.err
    assert "\nMemoryMax=720M\n" in said.out
    assert "# 75% of 960 MB" in said.out
    assert "LimitNOFILE=65536" in said.out
    assert f" worker --wait --policy {shop.folder}/trimtab.toml --environment production\n" in said.out
    assert said.out.startswith("# Made by: trimtab service install --policy ")
    assert f"{PLACE}: not installed" in said.err
    assert not (shop.folder / PLACE).exists()


def test_as_json_it_is_whole(shop):
    told = shop.run("service", "show", *BELOW, "--json").json
    assert (told["unit"], told["installed"], told["same"]) == (UNIT, False, False)
    assert value_of(told, "TasksMax") == "720"
    assert all(setting["key"] in told["text"] for setting in told["settings"])
    if shutil.which("systemd-analyze"):
        assert (told["verified"], told["faults"]) == (True, [])


def test_it_is_installed_once_and_a_change_keeps_the_one_before(shop):
    first = shop.run("service", "install", *BELOW, "--yes")
    assert first.code == 0, first.err
    assert "+[Service]\n" in first.out
    assert "systemctl daemon-reload\n" in first.out
    assert f"systemctl enable --now {UNIT}\n" in first.out
    unit = shop.folder / PLACE
    before = unit.read_text()
    assert unit.stat().st_mode & 0o777 == 0o644
    assert shop.run("service", "show", *BELOW).code == 0
    again = shop.run("service", "install", *BELOW, "--yes")
    assert (again.code, "says so already" in again.out) == (0, True)
    assert not unit.with_name(f"{UNIT}.before").exists()
    shown = shop.run("service", "show", *BELOW, "--environment", "production")
    assert (shown.code, "is another one" in shown.err) == (1, True)
    assert "+Description=trimtab worker, environment production\n" in shown.out
    changed = shop.run("service", "install", *BELOW, "--yes", "--environment", "production")
    assert changed.code == 0, changed.err
    assert f"systemctl restart {UNIT}\n" in changed.out
    assert unit.with_name(f"{UNIT}.before").read_text() == before
    assert sorted(file.name for file in unit.parent.iterdir()) == [UNIT, f"{UNIT}.before"]


def test_paths_are_named_from_the_root_on_without_steps_back_and_by_their_links(shop):
    (shop.folder / "inner").mkdir()
    (shop.folder / "current").symlink_to(".")
    for given in ("inner/../trimtab.toml", "current/trimtab.toml"):
        told = shop.run("service", "show", *BELOW, "--policy", given, "--json").json
        assert value_of(told, "WorkingDirectory") == str((shop.folder / given.replace("inner/../", "")).parent)
    (shop.folder / "far").symlink_to("machine/proc")
    told = shop.run("service", "show", *BELOW, "--policy", "far/../../trimtab.toml", "--json").json
    assert value_of(told, "WorkingDirectory") == str(shop.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_of_the_store_is_whom_it_runs_as_and_one_without_a_name_is_asked_for(shop):
    os.chown(shop.folder, 1, 1)
    keys = shop.write("shop.env", "A=1\n")
    keys.chmod(0o600)
    os.chown(keys, 12345, 1)
    said = shop.run("service", "show", *BELOW, "--env-file", "shop.env")
    assert f"\nUser={pwd.getpwuid(1).pw_name}\n" in said.out
    assert "belongs to user 12345, who can change what the worker is given" in said.err
    os.chown(shop.folder, 3999999999, 1)
    said = shop.run("service", "show", *BELOW)
    assert (said.code, "hint: name whom the worker runs as: --user-name" in said.err) == (2, True)


def test_nobody_is_asked_where_nobody_sits(shop):
    said = shop.run("service", "install", *BELOW)
    assert said.code == 2
    assert "+[Service]" in said.out
    assert said.err.endswith("nothing was changed\nhint: add --yes\n")
    assert not (shop.folder / PLACE).exists()


def test_keys_are_named_and_never_in_the_unit(shop):
    keys = shop.write("shop.env", "OPS_KEY=sk-ant-very-secret\n")
    keys.chmod(0o600)
    shop.write("trimtab.toml", POLICY + '[credentials.ops]\nenv = "OPS_KEY"\n[credentials.bank]\nenv = "BANK_KEY"\n')
    said = shop.run("service", "install", *BELOW, "--yes", "--env-file", "shop.env")
    assert said.code == 0, said.err
    assert f"EnvironmentFile={keys}\n" in (shop.folder / PLACE).read_text()
    assert "sk-ant" not in said.out + said.err + (shop.folder / PLACE).read_text()
    assert "names BANK_KEY, which the unit does not have" in said.err
    assert "names OPS_KEY" not in said.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--environment", "prod"), "unknown environment 'prod'"),
        (("--policy", "none.toml"), "none.toml"),
        (("--env-file", "none.env"), "hint: install -m 600 /dev/null none.env"),
        (("--env-file", "open.env"), "hint: chmod 600 open.env"),
        (("--env-file", "home"), "no plain file"),
        (("--store", "nowhere/trimtab.db"), "hint: mkdir -p "),
        (("--writable", "nowhere"), "--writable 'nowhere': no such folder"),
        (("--user-name", "no such"), "no name of a user"),
        (("--user-name", "nosuchuser"), "hint: make it: useradd"),
        (("--user-name", "9999999999"), "hint: make it: useradd"),
        (("--user", "--user-name", "root"), "leave one of the two out"),
        (("--name", "../x"), "no name of a unit"),
        (("--root", "nowhere"), "--root 'nowhere': no such folder"),
        (("--start",), "not one of this host"),
        (("--app", "shop_app:nothing"), "the worker would not start: cannot load the application"),
    ],
)
def test_what_cannot_be_installed_is_one_clear_error_and_nothing_is_written(shop, arguments, told):
    shop.write("open.env", "A=1\n").chmod(0o644)
    said = shop.run("service", "install", *BELOW, "--yes", *arguments)
    assert said.code == 2, said.err
    assert said.err.count("error: ") == 1
    assert told in said.err
    assert "Traceback" not in said.err
    assert not (shop.folder / PLACE).exists()


def test_a_masked_unit_and_a_unit_that_is_a_folder_are_left_alone(shop):
    place = shop.folder / PLACE
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/null")
    masked = shop.run("service", "install", *BELOW, "--yes")
    assert (masked.code, "hint: systemctl unmask" in masked.err) == (2, True)
    assert place.is_symlink()
    place.unlink()
    place.mkdir()
    assert shop.run("service", "show", *BELOW).code == 2


def test_drop_ins_are_told_and_a_name_that_the_doctor_would_miss(shop):
    shop.write("machine/etc/systemd/system/shop.service.d/more.conf", "[Service]\nMemoryMax=1G\n")
    said = shop.run("service", "show", *BELOW, "--name", "shop")
    assert "more.conf changes this unit, too" in said.err
    assert "not at shop.service" in said.err


@pytest.mark.parametrize("folder", [".", "a shop, 100% $HOME"])
def test_the_command_of_the_unit_works_within_its_limits_and_stops_when_told(shop, folder):
    shop.write(f"{folder}/trimtab.toml", POLICY)
    shutil.copy(Path(__file__).with_name("shop_app.py"), shop.folder / folder)
    told = shop.run("service", "show", *BELOW, "--policy", f"{folder}/trimtab.toml", "--json").json
    # What systemd makes of quotes and doubled signs; here a shell's words are the same.
    command = shlex.split(value_of(told, "ExecStart").replace("%%", "%").replace("$$", "$"))
    files = min(int(value_of(told, "LimitNOFILE")), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    worker = subprocess.Popen(
        ["prlimit", f"--nofile={files}:{files}", *command], cwd=value_of(told, "WorkingDirectory").replace("%%", "%"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(shop.folder / "home")}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    line_of(worker, "working on shop")
    limits = Path(f"/proc/{worker.pid}/limits").read_text()
    assert re.search(rf"Max open files +{files} +{files} ", limits)
    ended = stop(worker, signal.SIGTERM)
    assert (ended.code, "unfinished runs go on at the next start" in ended.err) == (0, True)
    assert (shop.folder / folder / "trimtab.db").exists()


def test_a_policy_that_is_wrong_leaves_with_the_status_that_is_not_started_again(shop):
    told = shop.run("service", "show", *BELOW, "--json").json
    shop.write("trimtab.toml", POLICY + '[roles.card]\nmodle = "x"\n')
    words = shlex.split(value_of(told, "ExecStart"))
    done = shop.run(*words[words.index("worker") :])
    assert f"{done.code}" == value_of(told, "RestartPreventExitStatus")


def test_it_waits_for_a_store_that_somebody_else_runs_and_can_be_stopped_while_it_waits(shop):
    first = shop.popen("worker")
    line_of(first, "working on shop")
    stopped, waiting = shop.popen("worker", "--wait"), shop.popen("worker", "--wait")
    for worker in (stopped, waiting):
        line_of(worker, rf"waiting: .*is run by another process \(pid {first.pid}\)")
    assert stop(stopped).code == 0
    assert stop(first).code == 0
    line_of(waiting, "working on shop")
    assert stop(waiting).code == 0


def test_a_store_that_breaks_leaves_with_a_status_that_is_started_again(shop):
    shop.write("trimtab.db", "this is no database, " * 100)
    said = shop.run("worker")
    assert (said.code, "no trimtab store" in said.err) == (1, True)


def test_the_doctor_has_nothing_against_a_unit_of_a_user(shop):
    said = shop.run("service", "install", "--user", "--yes")
    assert said.code == 0, said.err
    unit = shop.folder / "home/.config/systemd/user" / UNIT
    assert "ProtectSystem" not in unit.read_text()
    assert "loginctl enable-linger" in said.out
    assert f"systemctl --user enable --now {UNIT}" in said.out
    looked = shop.run("doctor", "--offline", "--json")
    limits = next(check for check in looked.json["checks"] if check["check"] == "limits")
    assert [f for f in limits["findings"] if UNIT in json.dumps(f)] == []
    # It does look at it: a value that is wrong is found.
    unit.write_text(unit.read_text().replace("LimitNOFILE=", "LimitNOFILE=2147483646\n#"))
    again = shop.run("doctor", "--offline", "--json")
    assert UNIT in again.out


DRIVE = r"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
folder='/srv/a shop, 100% $HOME'
trimtab() { "$PYTHON" -m trimtab "$@"; }
mkdir -p "$folder" && cp /out/shop_app.py /out/trimtab.toml "$folder" && cd "$folder" && chown -R daemon "$folder" || exit
# This machine's files are a copy: its Python may be let in where only root is.
at=$(readlink -f "$PYTHON"); while [ "$at" != / ]; do at=$(dirname "$at"); chmod a+x "$at"; done
echo 'A_KEY=of the file' > keys.env && chmod 600 keys.env
trimtab service install --yes --start --env-file keys.env; echo "INSTALLED $?"
pid=$(systemctl show -p MainPID --value trimtab-worker)
for _ in $(seq 100); do [ -s trimtab.db.lock ] && break; sleep 0.2; done
grep -E 'Uid|CapEff|NoNewPrivs|Seccomp:' "/proc/$pid/status"
tr '\0' '\n' < "/proc/$pid/environ" | grep A_KEY
nsenter -m -t "$pid" sh -c 'for f in /etc /usr /root /srv; do touch $f/x 2>/dev/null && echo "WROTE $f"; done'
ls "$folder"
trimtab run shop --request '{"a": "b"}' --key one 2>&1 & handed=$!
for _ in $(seq 50); do trimtab runs list --json | grep -q one && break; sleep 0.2; done
kill $handed
echo "HAS $(trimtab runs list --json | grep -c '"key": "one"')"
systemctl stop trimtab-worker; systemctl show -p Result,ExecMainStatus,ActiveState trimtab-worker
systemctl kill -s KILL trimtab-worker
systemctl start trimtab-worker; systemctl kill -s KILL trimtab-worker; sleep 1
echo "AFTER A CRASH $(systemctl show -p SubState --value trimtab-worker)"
systemctl stop trimtab-worker
echo 'wrong = ' >> trimtab.toml
systemctl start trimtab-worker
for _ in $(seq 50); do systemctl is-failed -q trimtab-worker && break; sleep 0.2; done
echo "WRONG POLICY $(systemctl show -p ExecMainStatus,SubState,NRestarts --value trimtab-worker | tr '\n' ' ')"
"""


DRIVE_OWN = r"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv/home XDG_RUNTIME_DIR=/run/user/1
at=$(readlink -f "$PYTHON"); while [ "$at" != / ]; do at=$(dirname "$at"); chmod a+x "$at"; done
mkdir -p "$HOME/shop" "$XDG_RUNTIME_DIR" && cp /out/shop_app.py /out/trimtab.toml "$HOME/shop" && cd "$HOME/shop" || exit
chown -R daemon "$HOME" "$XDG_RUNTIME_DIR"
cat > /etc/systemd/system/manager.service <<UNIT
[Unit]
DefaultDependencies=no
[Service]
User=daemon
Environment=HOME=$HOME XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR
ExecStart=$SYSTEMD --user --log-target=console --unit=basic.target
Delegate=yes
UNIT
systemctl daemon-reload && systemctl start manager
as() { setpriv --reuid=daemon --regid=daemon --clear-groups "$@"; }
for _ in $(seq 100); do [ -S "$XDG_RUNTIME_DIR/systemd/private" ] && break; sleep 0.2; done
as "$PYTHON" -m trimtab service install --user --yes --start; echo "INSTALLED $?"
for _ in $(seq 100); do [ -s trimtab.db.lock ] && break; sleep 0.2; done
grep -E 'Uid|NoNewPrivs|Seccomp:' "/proc/$(as systemctl --user show -p MainPID --value trimtab-worker)/status"
as systemctl --user stop trimtab-worker
as systemctl --user show -p Result,ExecMainStatus,ActiveState trimtab-worker
systemctl stop manager
"""


def files(**texts: str) -> str:
    return "".join(f"cat > /out/{name} <<'FILE'\n{text}\nFILE\n" for name, text in texts.items())


SHOP = {"shop_app.py": Path(__file__).with_name("shop_app.py").read_text("utf-8"), "trimtab.toml": POLICY}


def test_a_users_own_systemd_runs_it(tmp_path):
    given = f"PYTHON={sys.executable}\nSYSTEMD={PROGRAM}\n{files(**SHOP)}{DRIVE_OWN}"
    said = driven(tmp_path / "machine", given)
    assert "INSTALLED 0\n" in said, said
    assert re.search(r"Uid:\s1\s1\s", said)
    assert re.search(r"NoNewPrivs:\s1\nSeccomp:\s2\n", said)
    assert "Result=success\nExecMainStatus=0\nActiveState=inactive\n" in said


def test_a_real_systemd_runs_it_walled_in_stops_it_and_leaves_a_wrong_policy_alone(tmp_path):
    said = driven(tmp_path / "machine", f"PYTHON={sys.executable}\n{files(**SHOP)}{DRIVE}")
    assert "INSTALLED 0\n" in said, said
    assert re.search(r"Uid:\s1\s1\s", said)
    assert re.search(r"CapEff:\s0+\n", said)
    assert re.search(r"NoNewPrivs:\s1\n", said)
    assert re.search(r"Seccomp:\s2\n", said)
    assert "\nA_KEY=of the file\n" in said
    assert "WROTE" not in said
    assert "\ntrimtab.db-wal\n" in said
    assert "HAS 1\n" in said, said
    assert "Result=success\nExecMainStatus=0\nActiveState=inactive\n" in said
    assert "AFTER A CRASH auto-restart\n" in said
    assert re.search(r"WRONG POLICY (0 )?2 failed", said), said

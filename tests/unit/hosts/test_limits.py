from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.hosts.limits import limits_findings, own_limits

PLENTY = {"NOFILE": (65536, 1048576), "NPROC": (None, None), "AS": (None, None)}


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "proc/sys/fs/nr_open", "1048576\n")
    write(tmp_path, "proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def service(root: Path, *lines: str, name: str = "trimtab-worker.service") -> Path:
    return write(root, f"etc/systemd/system/{name}", "\n".join(["[Unit]", "[Service]", "MemoryMax=2G", *lines, ""]))


def found(root: Path, **more):
    return limits_findings(root, own=more.pop("own", PLENTY), **more)


def test_a_host_without_anything_is_fine(root):
    assert found(root) == []


def test_the_number_of_the_error_message_can_never_be_set_by_a_unit(root):
    file = service(root, "LimitNOFILE=2147483646")
    (only,) = found(root)
    assert only.what == "trimtab-worker.service: LimitNOFILE=2147483646 can never be set"
    assert only.where == f"{file}:4"
    assert "says nothing" in only.why
    assert "no 64-bit Linux" in only.why
    assert only.mend.endswith("LimitNOFILE=65536")
    assert not only.is_fine


@pytest.mark.parametrize("value", ["infinity", "1048577", "1024:2147483646"])
def test_what_is_above_nr_open_is_clamped(root, value):
    service(root, f"LimitNOFILE={value}")
    assert [f.what for f in found(root)] == [f"trimtab-worker.service: LimitNOFILE={value} can never be set"]


@pytest.mark.parametrize(
    "line", ["LimitNOFILE=65536", "LimitNOFILE=1024:1048576", "MemoryMax=80%", "MemoryMax=1.5G", "TasksMax=infinity"]
)
def test_values_that_hold_are_fine(root, line):
    service(root, line)
    assert found(root) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("LimitNOFILE=many", "is no value"),
        ("LimitNOFILE=64K", "is no value"),
        ("LimitNOFILE=64", "is low"),
        ("LimitNOFILE=4096:1024", "soft limit is above the hard one"),
        ("LimitNPROC=10", "is low"),
        ("TasksMax=12", "is low"),
        ("MemoryMax=100M", "is low"),
        ("MemoryMax=64G", "is more than the host has"),
        ("MemoryMax=140%", "is no value"),
        ("MemoryMax=8 Gigabytes", "is no value"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(root, line, told):
    service(root, line)
    (only,) = found(root)
    assert told in only.what
    assert line in only.what


def test_the_last_drop_in_counts_and_is_named(root):
    service(root, "LimitNOFILE=65536")
    write(root, "usr/lib/systemd/system/trimtab-worker.service.d/10-a.conf", "[Service]\nLimitNOFILE=7\n")
    last = write(
        root, "etc/systemd/system/trimtab-worker.service.d/20-b.conf", "# why\n[Service]\nLimitNOFILE=\\\n 2147483646\n"
    )
    (only,) = found(root)
    assert only.where == f"{last}:3"
    # A namesake in /etc hides it, and an empty value takes back what was said before.
    write(root, "etc/systemd/system/trimtab-worker.service.d/10-a.conf", "[Service]\n")
    last.write_text("[Service]\nLimitNOFILE=\n")
    assert found(root) == []


def test_templates_users_units_and_named_units_are_read(root, tmp_path):
    home = tmp_path / "home"
    service(root, name="other.service").write_text("[Service]\nMemoryMax=1G\nLimitNOFILE=infinity\n")
    write(home, ".config/systemd/user/trimtab@.service", "[Service]\nMemoryMax=1G\nTasksMax=3\n")
    assert [f.what for f in found(root, home=home)] == ["trimtab@.service: TasksMax=3 is low"]
    assert [f.what for f in found(root, units=["other"])] == ["other.service: LimitNOFILE=infinity can never be set"]


def test_a_masked_unit_is_no_unit(root):
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / "trimtab.service").symlink_to("/dev/null")
    assert found(root) == []


def test_a_unit_without_a_memory_limit_is_only_noted(root):
    write(root, "etc/systemd/system/trimtab.service", "[Service]\nExecStart=/usr/bin/trimtab worker\n")
    (only,) = found(root)
    assert only.is_fine


@pytest.mark.parametrize(
    "line", ["ulimit -n 2147483646", "  ulimit -Sn unlimited || true", "x; ulimit -H -n '2147483646'"]
)
def test_a_shell_that_asks_for_what_can_never_be_set_is_named_with_its_line(root, tmp_path, line):
    file = write(tmp_path / "home", ".bashrc", f"# ulimit -n 2147483646\n\n{line}\n")
    (only,) = found(root, home=tmp_path / "home")
    assert only.where == f"{file}:3"
    assert "can never be set" in only.what
    assert "Operation not permitted" in only.why


def test_a_shell_that_asks_for_more_than_its_hard_limit_is_noted(root):
    write(root, "etc/profile.d/limits.sh", "ulimit -n 65536\n")
    own = {**PLENTY, "NOFILE": (1024, 20000)}
    (only,) = found(root, own=own)
    assert "above the hard limit 20000" in only.what


def test_limits_of_logins_that_fail_are_errors(root):
    file = write(root, "etc/security/limits.d/90.conf", "# x\n* soft nofile 65536\nalice - nofile 2147483646 # max\n")
    (only,) = found(root)
    assert (only.where, only.weight) == (f"{file}:3", "error")


def test_low_limits_of_this_process_are_found(root):
    low = {"NOFILE": (64, 64), "NPROC": (20, 20), "AS": (2**29, None)}
    assert [f.what for f in found(root, own=low)] == [
        "64 open files at most",
        "20 processes and threads at most",
        "512 MB of addresses at most",
    ]
    assert set(own_limits()) == set(low)


def test_both_versions_of_cgroups_are_read_on_the_way_up(root):
    write(root, "proc/self/cgroup", "0::/a/b\n")
    write(root, "sys/fs/cgroup/a/b/memory.max", "max\n")
    file = write(root, "sys/fs/cgroup/a/memory.max", f"{300 * 2**20}\n")
    assert [(f.what, f.where) for f in found(root)] == [("300 MB of memory at most", str(file))]
    write(root, "proc/self/cgroup", "4:memory:/gone\n8:cpu,pids:/\n0::/\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root, "sys/fs/cgroup/pids/pids.max", "50\n")
    assert [f.what for f in found(root)] == ["50 processes and threads at most"]


def test_this_host_can_be_looked_at():
    assert isinstance(limits_findings(), list)

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.errors import UsageError
from trimtab.hosts.cgroup import Cgroup
from trimtab.hosts.env_file import variables
from trimtab.hosts.limits import Host, limits_findings
from trimtab.hosts.service import WORKER_BYTES, Worker, unit_settings, unit_text
from trimtab.hosts.service_words import command_line, lone_file, lone_path, path_list
from trimtab.hosts.systemd import exposure_of, faults_of

MB = 2**20
NAME = "trimtab-worker.service"
PLENTY = {"NOFILE": (65536, 1048576), "NPROC": (None, None), "AS": (None, None)}
WORKER = Worker(
    command=["/opt/trimtab/bin/trimtab", "worker", "--policy", "/srv/shop/trimtab.toml", "--environment", "production"],
    folder=Path("/srv/shop"),
    writes=[Path("/srv/shop/store")],
    program=[Path("/opt/trimtab"), Path("/usr")],
    environment="production",
    made_by="trimtab service install",
    at_once=32,
    user="shop",
)
SPECIAL = st.text(st.sampled_from("a %$\"'\\;#{}[]~-+@:!éß=,"), min_size=1, max_size=12)
needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def host(ram: int | None = 8192 * MB, nr_open: int = 1048576, cgroup: Cgroup | None = None) -> Host:
    return Host(nr_open, ram, cgroup or Cgroup())


def chosen(worker: Worker = WORKER, on: Host | None = None) -> dict[str, str]:
    return {setting.key: setting.value for setting in unit_settings(worker, on or host())}


def text_of(worker: Worker = WORKER, on: Host | None = None) -> str:
    return unit_text(worker, unit_settings(worker, on or host()))


def megabytes(value: str) -> int:
    assert value.endswith("M")
    return int(value.removesuffix("M"))


def unquoted(line: str) -> list[str]:
    """Read words as systemd.syntax(7) and the command lines of systemd.service(5) say."""
    words, rest = [], line
    while rest:
        if rest.startswith('"'):
            word, at = "", 1
            while rest[at] != '"':
                at += rest[at] == "\\"
                word, at = word + rest[at], at + 1
            rest = rest[at + 1 :]
            assert rest[:1] in {"", " "}
        else:
            word, _, rest = rest.partition(" ")
            rest = f" {rest}" if rest else ""
        words.append(word)
        rest = rest.removeprefix(" ")
    return words


@given(st.lists(SPECIAL, max_size=5))
def test_every_argument_reaches_the_program_as_it_was(arguments):
    program, *read = unquoted(command_line(["/opt/a b/trimtab", *arguments]))
    assert program == "/opt/a b/trimtab"
    assert all(word.replace("%%", "").count("%") == 0 for word in read)
    assert all(word.replace("$$", "").count("$") == 0 for word in read)
    assert [word.replace("%%", "%").replace("$$", "$") for word in read] == arguments


@given(st.lists(SPECIAL, min_size=1, max_size=4))
def test_every_path_of_a_list_is_the_one_that_was_meant(names):
    paths = [Path("/srv") / name for name in names]
    assert [Path(word.replace("%%", "%")) for word in unquoted(path_list(paths))] == paths


def test_a_lone_path_has_no_quotes():
    assert lone_path(Path("/srv/a shop, 100%")) == "/srv/a shop, 100%%"
    assert lone_file(Path("/etc/a b.env")) == "/etc/a b.env"


@pytest.mark.parametrize("path", ["/srv/a\nUser=root", "/srv/\x07", "/srv/\udcff", "/srv/a\\", "/srv/a "])
def test_a_path_that_no_unit_can_name_is_refused_before_it_is_written(path):
    with pytest.raises(UsageError, match="unit file"):
        chosen(replace(WORKER, folder=Path(path)))


def test_a_file_of_keys_is_no_pattern():
    with pytest.raises(UsageError, match="pattern"):
        chosen(replace(WORKER, env_file=Path("/etc/keys[1].env")))


def test_a_newline_in_any_word_is_refused():
    for changed in ({"command": ["/bin/x", "a\nb"]}, {"environment": "a\nb"}, {"made_by": "a\nb"}):
        with pytest.raises(UsageError, match="control characters"):
            text_of(replace(WORKER, **changed))


@given(st.integers(300 * MB, 4 * 2**40), st.integers(1024, 2**31 - 64))
def test_the_limits_fit_the_host_whatever_its_size(ram, nr_open):
    values = chosen(on=host(ram, nr_open))
    most, high = megabytes(values["MemoryMax"]) * MB, megabytes(values["MemoryHigh"]) * MB
    assert WORKER_BYTES < high < most <= ram * 0.75
    assert 32 * 4 < int(values["LimitNOFILE"]) <= nr_open
    assert 512 <= int(values["TasksMax"]) <= 4096


def test_a_small_machine_of_1_gb_has_room_for_a_worker_and_a_terminal_and_keeps_some():
    values = chosen(on=host(960 * MB))
    assert (values["MemoryMax"], values["MemoryHigh"], values["TasksMax"]) == ("720M", "624M", "720")


def test_a_container_counts_with_what_it_may_take():
    assert chosen(on=host(64 * 1024 * MB, cgroup=Cgroup(memory=2048 * MB)))["MemoryMax"] == "1536M"


def test_where_the_size_is_not_known_shares_are_named():
    values = chosen(on=host(None))
    assert (values["MemoryMax"], values["MemoryHigh"]) == ("75%", "65%")


@pytest.mark.parametrize("ram", [700 * MB, 960 * MB, 4096 * MB, 512 * 1024 * MB])
@pytest.mark.parametrize("nr_open", [4096, 1048576])
def test_the_doctor_finds_nothing_in_the_unit(tmp_path, ram, nr_open):
    for name, text in (
        ("proc/sys/fs/nr_open", f"{nr_open}\n"),
        ("proc/meminfo", f"MemTotal: {ram // 1024} kB\n"),
        (f"etc/systemd/system/{NAME}", text_of(on=host(ram, nr_open))),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    assert limits_findings(tmp_path, own=PLENTY) == []


def test_it_stops_by_a_signal_to_the_worker_alone_and_does_not_come_back_to_a_wrong_policy():
    values = chosen()
    assert (values["KillSignal"], values["KillMode"]) == ("SIGTERM", "mixed")
    assert (values["Restart"], values["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert "WatchdogSec" not in values


def test_nothing_but_the_stores_folder_can_be_written():
    values = chosen()
    assert (values["ProtectSystem"], values["ReadWritePaths"]) == ("strict", "/srv/shop/store")
    assert (values["ProtectHome"], values["PrivateTmp"]) == ("yes", "yes")
    assert values["CapabilityBoundingSet"] == ""
    assert "ReadOnlyPaths" not in values


@pytest.mark.parametrize(
    "changed", [{"folder": "/home/olga/shop"}, {"program": "/root/.venv"}, {"writes": "/home/o/db"}]
)
def test_a_home_that_is_used_is_not_hidden(changed):
    ((key, path),) = changed.items()
    given = Path(path) if key == "folder" else [Path(path)]
    settings = unit_settings(replace(WORKER, **{key: given}), host())
    (setting,) = [s for s in settings if s.key == "ProtectHome"]
    assert setting.value == "read-only"
    assert path in setting.why


def test_a_store_in_tmp_is_not_hidden_and_programs_still_find_a_place_for_scratch():
    values = chosen(replace(WORKER, writes=[Path("/tmp/x/store")]))
    assert (values["PrivateTmp"], values["ReadWritePaths"]) == ("no", "/tmp /var/tmp")


def test_a_program_beside_the_store_stays_as_it_is():
    venv = Path("/srv/shop/.venv")
    values = chosen(replace(WORKER, writes=[Path("/srv/shop")], program=[venv, venv / "lib", Path("/srv/shop")]))
    assert values["ReadOnlyPaths"] == "/srv/shop/.venv"


def test_a_unit_of_a_user_has_nothing_that_only_the_systems_manager_can_do():
    values = chosen(replace(WORKER, own=True, user=None))
    assert not {key for key in values if key.startswith(("Protect", "Private", "Capability", "ReadWrite"))}
    assert "User" not in values
    assert values["WantedBy"] == "default.target"
    assert "After" not in values
    assert values["NoNewPrivileges"] == "yes"


def test_a_file_of_keys_is_named_and_not_read():
    values = chosen(replace(WORKER, env_file=Path("/etc/trimtab/keys.env")))
    assert values["EnvironmentFile"] == "/etc/trimtab/keys.env"
    assert "Environment" not in values


@needs_analyze
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("folder", ["/srv/shop", "/srv/a shop, 100% $HOME \"q\" 'r' \\s é"])
def test_systemd_finds_no_fault(tmp_path, own, folder):
    program = shutil.which("true")
    given = replace(WORKER, command=[program, "worker", folder], folder=Path(folder), writes=[Path(folder)], own=own)
    text = text_of(replace(given, user=None if own else "daemon", env_file=Path("/etc/a b.env")))
    assert faults_of(NAME, text, own=own) == []
    assert faults_of(NAME, text.replace("UMask=0077", "UMask=nine"), own=own) != []


@needs_analyze
def test_the_unit_is_little_exposed():
    exposure = exposure_of(NAME, text_of())
    if exposure is None:
        pytest.skip("this systemd-analyze does not look at files")
    assert exposure < 3, f"exposure {exposure} of 10"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\n# B=2\n;C=3\n\n D = 4 \nE='a b'\nF=\"#\"\nno line\nA=5", {"A": "5", "D": "4", "E": "a b", "F": "#"}),
        ("KEY=", {"KEY": ""}),
        ("1A=x\nexport B=y\nC='", {"C": "'"}),
        ("", {}),
    ],
)
def test_a_file_of_keys_is_read_as_systemd_reads_it(text, found):
    assert variables(text) == found

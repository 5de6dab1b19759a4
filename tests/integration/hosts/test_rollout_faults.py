"""Rollouts over hosts with real sshd while something goes wrong: every host ends on one proved map, no file is torn, the log is whole.

A selection; `python bench/chaos/rollouts.py` does every fault at every step.
"""

from __future__ import annotations

import pytest
from tests.integration.hosts.faults import (
    ABORT,
    FAULTS,
    NEW_EVERYWHERE,
    NEW_MODEL,
    OLD_EVERYWHERE,
    RESUME,
    START,
    UNDO,
    disturbed,
    frozen,
    killed,
    strange,
)
from tests.integration.hosts.host import until
from tests.integration.hosts.trial import Trial

LARGE = 3 << 20
# Host, when (see `disturbed`), what. The first program calls of a write are those that read; `cat 5` takes in the new file.
SELECTED = [
    ("production-1", "", "the cable is pulled"),
    ("production-2", "production-2 writing 1 noted", "the cable is pulled"),
    ("production-2", "production-2 writing 1 noted", "the disk is full"),
    ("production-2", "production-2 writing 1 noted", "a file is immutable"),
    ("production-2", "production-2: mv 1", "sshd is killed"),
    ("production-2", "production-2: mv 2", "sshd is killed"),
    ("staging-1", "", "the restart fails with the new map"),
    ("production-3", "production-3 restarting 1 noted", "the restart is refused"),
    ("production-3", "", "another model answers with the new map"),
    ("production-1", "production-1 checking 1 noted", "it is not healthy with the new map"),
]


@pytest.mark.parametrize(("host", "point", "what"), SELECTED)
def test_whatever_goes_wrong_on_a_host_every_host_ends_on_one_proved_map(bed, tmp_path, host, point, what):
    trial = Trial(bed, tmp_path, timeout="4s" if "cable" in what else "8s")
    ended = disturbed(trial, bed.hosts[host], point, FAULTS[what])
    assert ended.wrong == []
    assert ended.code == 1


def test_hosts_that_are_changed_at_once_are_taken_back_with_the_one_that_fails(bed, tmp_path):
    trial = Trial(bed, tmp_path, more="batch = 3\n")
    ended = disturbed(trial, bed.hosts["production-2"], "production-2: mv 2", FAULTS["sshd is killed"])
    assert ended.wrong == []
    assert ended.code == 1


@pytest.mark.parametrize("what", ["sshd is killed", "the disk is full"])
def test_what_arrives_in_part_takes_no_place(bed, tmp_path, what):
    bed.reset(ballast=LARGE)
    trial = Trial(bed, tmp_path, ballast=LARGE)
    ended = disturbed(trial, bed.hosts["production-2"], "production-2: cat 5", FAULTS[what])
    assert ended.wrong == []
    assert ended.code == 1


def test_a_host_that_goes_away_while_it_is_taken_back_is_unknown_and_then_taken_back(bed, tmp_path):
    trial = Trial(bed, tmp_path, timeout="4s")
    host = bed.hosts["production-2"]
    host.fault("restart", when=NEW_MODEL)
    process = trial.waiting("production-2 restoring 1 noted", *START)
    host.cut()
    trial.go_on()
    said = trial.ended(process)
    assert said.returncode == 1
    status = trial.trimtab("rollout", "status", "sonnet")
    assert status.returncode == 1
    assert "production-2" in status.stdout
    assert "unknown" in status.stdout
    host.join()
    assert trial.trimtab(*ABORT).returncode == 0
    assert trial.wrong(OLD_EVERYWHERE) == []


@pytest.mark.parametrize(
    ("point", "recover"),
    [
        ("production-1 changed 1 noting", RESUME),
        ("production-2 ssh 6 asked", ABORT),
        ("production-2 restarting 1 noted", ABORT),
    ],
)
def test_an_operator_that_is_killed_is_gone_on_for_by_another(bed, tmp_path, point, recover):
    ended = killed(Trial(bed, tmp_path), point, *recover)
    assert ended.wrong == []


def test_an_operators_machine_that_loses_its_power_while_a_file_is_on_its_way_hinders_nobody(bed, tmp_path):
    """No host hears that it is gone: its lock is free after half a minute, and what it had begun to write takes no place."""
    bed.reset(ballast=LARGE)
    trial = Trial(bed, tmp_path, ballast=LARGE)
    host = bed.hosts["production-2"]
    host.watch_steps("cat 5")
    process = trial.start(*START)
    until(lambda: host.waits or process.poll() is not None, "the file is on its way", 60)
    bed.vanish()
    trial.ended(process)
    assert trial.torn() == []
    host.mend()
    said = until(lambda: (done := trial.trimtab(*RESUME)).returncode == 0 and done, "that it goes on", 90)
    assert said.stderr == ""
    assert trial.wrong(NEW_EVERYWHERE) == []


def test_an_operator_that_slept_until_another_had_recovered_changes_nothing_any_more(bed, tmp_path):
    ended = frozen(Trial(bed, tmp_path), "production-2 writing 1 noted", *ABORT)
    assert ended.wrong == []


def test_killed_in_every_life_a_rollout_still_passes_and_is_still_taken_back(bed, tmp_path):
    trial = Trial(bed, tmp_path)
    lives = [
        (START, "staging-1 writing 1 noted"),
        (RESUME, "staging-1 changed 1 noting"),
        (RESUME, "production-1 ssh 7 asked"),
        (RESUME, "production-1 proving 1 noting"),
        (RESUME, "production-2 changed 1 noted"),
        (RESUME, ""),
        (UNDO, "staging-1 restoring 1 noted"),
        (UNDO, "production-1 ssh 3 asked"),
        (UNDO, "production-2 restored 1 noting"),
        (UNDO, ""),
    ]
    for command, point in lives:
        said = trial.trimtab(*command, stop=f"kill {point}")
        assert said.returncode == (-9 if point else 0), f"{command} to {point}: {said.stdout}{said.stderr}"
        assert trial.torn() == []
        if not point:
            assert list(strange(said.returncode, said.stdout + said.stderr)) == []
            assert trial.wrong(NEW_EVERYWHERE if command is RESUME else OLD_EVERYWHERE) == []

"""Rollouts over hosts with real sshd, undisturbed, and among other people: the command line as the operator runs it.

The bed is one of network namespaces (see bed.py); what its services run is asked of the services themselves.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store
from tests.integration.hosts import service
from tests.integration.hosts.faults import ABORT, NEW_EVERYWHERE, OLD_EVERYWHERE, START, UNDO, strange
from tests.integration.hosts.trial import NEW, POLICY, PRODUCTION, Trial

from trimtab.core.usage import Usage
from trimtab.engine.handin import hand_in
from trimtab.journal.writer import SqliteFacts

STAGED = POLICY.replace(
    '{ environment = "production", hold',
    '{ environment = "production", weight = 34, hold = "0s", gate = "health" },\n  { environment = "production", hold',
)
BY_RUNS = POLICY.replace(
    '{ environment = "production", hold = "0s", gate = "health" }', '{ environment = "production", hold = "1d" }'
).replace("stages = [", 'guardrails = { tokens_per_success = "+40%" }\nstages = [')


def test_a_rollout_passes_host_by_host_and_one_command_takes_every_host_back(bed, tmp_path):
    trial = Trial(bed, tmp_path, policy=STAGED)
    said = trial.trimtab(*START)
    assert (said.returncode, said.stderr) == (0, "")
    assert trial.wrong(NEW_EVERYWHERE) == []
    proved = [row["host"] for row in trial.rows("host_change") if row["step"] == "changed"]
    assert list(dict.fromkeys(proved)) == ["staging-1", "production-1", "production-2", "production-3"]
    writes = [row["host"] for row in trial.rows("host_change") if row["step"] == "writing"]
    assert writes == list(dict.fromkeys(proved))
    assert [row["event"] for row in trial.rows("rollout")] == ["start", *["entered", "pass"] * 3]
    status = trial.trimtab("rollout", "status", "sonnet", "--json")
    assert status.returncode == 0

    said = trial.trimtab(*UNDO)
    assert (said.returncode, said.stderr) == (0, "")
    assert trial.wrong(OLD_EVERYWHERE) == []
    assert {row["host"] for row in trial.rows("host_change") if row["step"] == "restored"} == set(bed.hosts)
    assert bed.operators() == []
    assert [host.name for host in bed.hosts.values() if host.sessions()] == []


def test_a_guardrail_that_turns_bad_while_production_soaks_takes_every_host_back(bed, tmp_path):
    trial = Trial(bed, tmp_path, policy=BY_RUNS, more='soak = "3s"\n')
    serve(trial, 120)
    process = trial.waiting("production-2 soaking 1 noted", *START)
    assert trial.maps() == dict.fromkeys(bed.hosts, "new") | {"production-3": "old"}
    serve(trial, 120, dear=True)
    trial.go_on()
    said = trial.ended(process)
    assert said.returncode == 1
    assert "production-3: writing" not in said.stdout
    (failed,) = [row for row in trial.rows("rollout") if row["event"] == "fail"]
    assert "tokens_per_success" in failed["reason"]
    assert trial.wrong(OLD_EVERYWHERE) == []


def test_a_second_operator_is_refused_by_the_lock_on_the_host_and_told_who_is_there(bed, tmp_path):
    trial = Trial(bed, tmp_path)
    process = trial.waiting("production-1 restarting 1 noted", *START)
    # Of another machine, with a store of its own: nothing but the host tells them of each other.
    other = Trial(bed, made(tmp_path / "other"))
    second = other.trimtab("rollout", "start", "sonnet", "--by", "zoe", "--yes")
    assert second.returncode == 1
    assert "somebody else is changing it: ann (sonnet) since" in second.stdout + second.stderr
    assert not any(row["step"] == "writing" and row["host"] in PRODUCTION for row in other.rows("host_change"))
    trial.go_on()
    first = trial.ended(process)
    assert first.returncode == 0, first.stdout + first.stderr
    assert {trial.maps()[host] for host in PRODUCTION} == {"new"}


def test_an_abort_by_somebody_else_while_hosts_are_changed_ends_with_every_host_taken_back(bed, tmp_path):
    trial = Trial(bed, tmp_path)
    process = trial.waiting("production-1 changed 1 noted", *START)
    aborting = trial.trimtab(*ABORT, log="other.log")
    assert list(strange(aborting.returncode, aborting.stdout + aborting.stderr)) == []
    trial.go_on()
    said = trial.ended(process)
    assert said.returncode == 1
    assert trial.trimtab(*ABORT).returncode == 0
    assert trial.wrong(OLD_EVERYWHERE) == []


def test_a_file_that_somebody_changed_after_it_was_read_is_not_written_over(bed, tmp_path):
    trial = Trial(bed, tmp_path)
    process = trial.waiting("production-2 writing 1 noted", *START)
    theirs = trial.texts["old"][str(service.ENV)] + b"CHARTER_LOG=debug\n"
    bed.hosts["production-2"].path(str(service.ENV)).write_bytes(theirs)
    trial.go_on()
    said = trial.ended(process)
    assert said.returncode == 1
    assert "was changed by somebody else meanwhile" in said.stdout + said.stderr
    assert bed.hosts["production-2"].path(str(service.ENV)).read_bytes() == theirs
    assert trial.wrong(OLD_EVERYWHERE, touched={"production-2": [str(service.ENV)]}) == []


def test_what_somebody_changed_after_it_was_written_stays_when_it_is_taken_back(bed, tmp_path):
    trial = Trial(bed, tmp_path)
    assert trial.trimtab(*START).returncode == 0
    host, path = bed.hosts["production-3"], f"{service.RELEASE}/settings.json"
    ours = host.path(path).read_bytes()
    host.path(path).write_bytes(ours.replace(b'"max_tokens": 4096', b'"max_tokens": 8192', 1))
    said = trial.trimtab(*UNDO)
    assert (said.returncode, said.stderr) == (0, "")
    meant = trial.texts["old"][path].replace(b'"max_tokens": 4096', b'"max_tokens": 8192', 1)
    assert host.path(path).read_bytes() == meant
    assert trial.wrong(OLD_EVERYWHERE, touched={"production-3": [path]}) == []


def test_what_runs_elsewhere_by_hand_is_not_taken_for_the_rollouts(bed, tmp_path):
    """A host on which the new model was set by hand before is left as it was by an undo."""
    host = bed.hosts["production-3"]
    service.install(host.path("/"), NEW)
    host.restart()
    trial = Trial(bed, tmp_path)
    assert trial.trimtab(*START).returncode == 0
    assert trial.trimtab(*UNDO).returncode == 0
    assert trial.maps() == dict.fromkeys(bed.hosts, "old") | {"production-3": "new"}


def serve(trial: Trial, count: int, *, dear: bool = False) -> None:
    """Runs of production: before the rollout on the old map, or in its second stage on the new one, where they cost five times as much."""
    # The store of a worker: the engine's tables are in it, too.
    hand_in(trial.store, SqliteFacts(), lambda _: None)
    make_store(
        trial.store,
        [
            Recorded(
                f"{'new' if dear else 'old'}-{n}",
                datetime.now(UTC) - (count - n) * (timedelta(milliseconds=1) if dear else timedelta(hours=1)),
                [
                    Call(
                        "orchestrator",
                        SONNET if dear else HAIKU,
                        Usage(input=(5000 if dear else 1000) + n % 7, output=100),
                    )
                ],
                environment="production",
                arms={"sonnet@1.2": ("treatment", 1.0, 1.0)} if dear else {},
            )
            for n in range(count)
        ],
    )


def made(folder):
    folder.mkdir()
    return folder

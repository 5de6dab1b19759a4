"""What calls cost, added up: against sums made one by one over random journals, and over recorded runs of real models."""

from __future__ import annotations

import csv
import gzip
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.journal.test_writer import CALL, END, RUN

from trimtab.core.outcome import Status
from trimtab.core.records import AssignmentFact, Fact, ModelCallFact, OutcomeFact, RungFact, SubtaskFact
from trimtab.core.usage import Usage
from trimtab.journal import costs
from trimtab.journal.costs import BY, Period, Spent
from trimtab.journal.migrate import migrate, shipped
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.models.catalogue import Catalogue

DATA = Path(__file__).parents[4] / "shared" / "data"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)

# -- random journals ---------------------------------------------------------------------------------------------------

amounts = st.decimals(min_value=0, max_value=10_000, places=24) | st.decimals(min_value=0, max_value=2, places=8)
saved = st.decimals(min_value=-5, max_value=5, places=16)
tokens = st.integers(0, 2**31)
few = st.integers(0, 3)


@dataclass
class Ran:
    """One run with its calls, and what is said of the talks and subtasks they belong to."""

    outcomes: Sequence[tuple[Status, bool, str, bool, int]]
    environment: str
    workflow: str
    arms: Sequence[str]
    talks: Sequence[tuple[str, str, list[Mapping[str, Any]]]]
    facts: list[Fact] = field(default_factory=list)


calls = st.fixed_dictionaries(
    {
        "day": few, "model": st.sampled_from(["a:one", "b:two"]), "host": st.sampled_from(["", "alpha", "beta"]),
        "cost": st.none() | amounts, "saved": st.none() | saved, "tokens": st.tuples(*[tokens] * 5),
        "simulated": st.booleans(), "error": st.sampled_from(["", "", "overloaded"]), "rung": st.sampled_from(["", "", "retry", "repair"]),
    }
)  # fmt: skip
talks = st.tuples(
    st.sampled_from(["plan", "plan/on1", "replan/0", "do/a/model", "do/a/on1/model", "do/b/again0/model"]),
    st.sampled_from(["", "", "escalate", "person", "replan"]),
    st.lists(calls, max_size=3),
)
outcomes = st.tuples(
    st.sampled_from([Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.AWAITING_APPROVAL, Status.NEEDS_YOU]),
    st.booleans(),
    st.sampled_from(["", "", "SubtaskFailed", "Cancelled"]),
    st.booleans(),
    st.integers(0, 1),
)
ran = st.builds(
    Ran,
    st.lists(outcomes, max_size=2),
    st.sampled_from(["local", "production"]),
    st.sampled_from(["charter", "refit"]),
    st.lists(st.sampled_from(["x", "y"]), unique=True, max_size=2),
    st.lists(talks, max_size=4, unique_by=lambda talk: talk[0]),
)


def standing(run: Ran) -> tuple[str, str]:
    """How a run stands, and whether that is success, failure, or giving up."""
    if not run.outcomes:
        return "running", ""
    status, final, error, faultless, replans = max(
        enumerate(run.outcomes), key=lambda at: (at[1][1], at[0])
    )[1]  # fmt: skip
    if status is Status.CANCELLED or (not final and error == "Cancelled"):
        return status, "given up"
    if (final and not status.intended) or (not final and error):
        return status, "failed"
    return status, "succeeded" if faultless and status.intended and not replans else ""


def written(runs: Sequence[Ran], replaced: str) -> list[tuple[Ran, ModelCallFact, str]]:
    """Give each run its facts, and every call with what its answer came to."""
    found: list[tuple[Ran, ModelCallFact, str]] = []
    for number, run in enumerate(runs):
        run_id = f"r{number}"
        run.facts = [replace(RUN, run_id=run_id, key=run_id, environment=run.environment, workflow=run.workflow)]
        run.facts += [AssignmentFact(run_id, name, "control", 0.5, 0.5) for name in run.arms]
        run.facts += [
            replace(END, run_id=run_id, number=n, status=s, final=f, error=e, first_plan_faultless=good, intended_end=s.intended, replans=r)
            for n, (s, f, e, good, r) in enumerate(run.outcomes)
        ]  # fmt: skip
        subtasks = {name.split("/")[1] for name, _, _ in run.talks if name.startswith("do/")}
        if replaced in subtasks:
            run.facts.append(SubtaskFact(run_id, replaced, "replaced", "payment", "charge", None, "", AT))
        _, end = standing(run)
        for name, rung, made in run.talks:
            subtask = name.split("/")[1] if name.startswith("do/") else None
            for turn, one in enumerate(made):
                call = _call(run_id, f"{name}/{turn}/1", subtask, one)
                run.facts.append(call)
                if one["rung"]:
                    run.facts.append(RungFact(run_id, call.step, one["rung"], call.role, subtask, "a:one", "", AT))
                used = not (one["error"] or one["rung"] or rung)
                came = {"failed": "failed", "given up": "abandoned"}.get(end) or (
                    "abandoned" if subtask == replaced and subtask else "" if used else "retried"
                )
                found.append((run, call, came))
            if rung and made:
                last = f"{name}/{len(made) - 1}/1"
                run.facts.append(RungFact(run_id, last, rung, "payment", subtask, "b:two", "", AT))
    return found


def _call(run_id: str, step: str, subtask: str | None, one: Mapping[str, Any]) -> ModelCallFact:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    return replace(
        CALL, run_id=run_id, step=step, subtask=subtask, role=subtask or "orchestrator", requested_model=one["model"], host=one["host"],
        cost=one["cost"], cache_saved=one["saved"], simulated=one["simulated"], error_class=one["error"],
        at=AT + timedelta(days=one["day"]), **dict(zip(names, one["tokens"], strict=True)),
    )  # fmt: skip


def groups_of(run: Ran, call: ModelCallFact, by: Sequence[str]) -> list[tuple[str, ...]]:
    one = {
        "role": call.role, "model": call.requested_model, "workflow": run.workflow, "outcome": str(standing(run)[0]),
        "day": call.at.date().isoformat(), "host": call.host,
    }  # fmt: skip
    arms = [f"{name}/control" for name in run.arms] or [""]
    return list(dict.fromkeys(tuple(arm if name == "arm" else one[name] for name in by) for arm in arms))


def summed(found: Sequence[tuple[Ran, ModelCallFact, str]]) -> Spent:
    """Add up calls one by one."""
    runs = {c.run_id: standing(r)[1] for r, c, _ in found}
    uncosted = [c for _, c, _ in found if c.cost is None]
    used = [
        Usage(c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_5m_tokens, c.cache_write_1h_tokens)
        for _, c, _ in found
    ]
    with localcontext() as context:
        context.prec = 80

        def usd(*kinds: str) -> Decimal:
            return sum((c.cost or Decimal(0) for _, c, came in found if came in kinds or not kinds), start=Decimal(0))

        return Spent(
            runs=len(runs),
            succeeded=sum(end == "succeeded" for end in runs.values()),
            calls=len(found),
            unpriced=len(uncosted),
            usd=usd(),
            failed=usd("failed"),
            retried=usd("retried"),
            abandoned=usd("abandoned"),
            saved_unknown=sum(
                c.cache_saved is None and u.prompt > u.input for (_, c, _), u in zip(found, used, strict=True)
            ),
            cache_saved=sum((c.cache_saved or Decimal(0) for _, c, _ in found), start=Decimal(0)),
            usage=sum(used, start=Usage()),
        )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ran, max_size=4), st.lists(st.sampled_from(BY), max_size=3, unique=True), st.booleans(), st.none() | few,
    st.none() | st.just("production"), st.randoms(use_true_random=False), st.integers(1, 3), st.sampled_from([7, 10**4]),
)  # fmt: skip
def test_a_report_is_the_sum_of_its_calls_to_the_last_digit(  # noqa: PLR0917 - what hypothesis draws
    runs, by, real, since, environment, dice, at_once, written_at
):
    found = written(runs, "a")
    facts = [fact for run in runs for fact in run.facts]
    # Facts of one class keep their order; a journal may get the classes in any.
    kinds = list({type(fact) for fact in facts})
    dice.shuffle(kinds)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(costs, "_SHARE", 1)
        patched.setattr("os.cpu_count", lambda: at_once)
        store = Path(folder) / "t.db"
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            # Some stores were written before runs were told by numbers.
            migrate(connection, [m for m in shipped() if m.number <= written_at])
            for kind in kinds:
                SqliteFacts().write(connection, [fact for fact in facts if type(fact) is kind])
            SqliteFacts().migrate(connection)
        period = Period() if since is None else Period((AT + timedelta(days=since)).date())
        with Journal(store) as journal:
            told = journal.costs(by, period=period, environment=environment)[0 if real else 1]
    kept = [
        (run, call, came) for run, call, came in found
        if call.simulated is not real and (since is None or call.at.date() >= period.since) and environment in (None, run.environment)
    ]  # fmt: skip
    labels = {label for run, call, _ in kept for label in groups_of(run, call, by)}
    expected = {label: [one for one in kept if label in groups_of(one[0], one[1], by)] for label in labels}
    assert dict(told.groups) == {label: summed(ones) for label, ones in expected.items()}
    assert told.total == summed(kept)
    assert told.total.wasted <= told.total.usd


@settings(max_examples=200, deadline=None)
@given(st.none() | amounts, st.none() | saved, st.tuples(*[tokens] * 5), st.booleans())
def test_a_call_adds_what_its_row_says_also_where_its_run_is_written_later(cost, was_saved, used, run_first):
    one = {
        "model": "a:one",
        "host": "",
        "cost": cost,
        "saved": was_saved,
        "tokens": used,
        "simulated": False,
        "error": "",
        "day": 0,
    }
    columns = "day, simulated, unpriced, usd_e8, usd_e16, usd_e24, saved_unknown, saved_e8, saved_e16, saved_e24, input_tokens, output_tokens"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        SqliteFacts().migrate(connection)
        facts = [replace(RUN, run_id="r1"), _call("r1", "plan/0/1", None, one)]
        SqliteFacts().write(connection, facts if run_first else facts[::-1])
        added, row = (
            connection.execute(f"SELECT {columns} FROM {table}").fetchall() for table in ("spend", "call_money")
        )
    assert added == row


# -- one by one --------------------------------------------------------------------------------------------------------


def report(folder: Path, *facts: Fact, by: Sequence[str] = ()) -> costs.Costs:
    with closing(sqlite3.connect(folder / "t.db", isolation_level=None)) as connection:
        SqliteFacts().migrate(connection)
        SqliteFacts().write(connection, facts)
    with Journal(folder / "t.db") as journal:
        return journal.costs(by)[0]


def call(step: str, usd: str | None = "1", **more: Any) -> ModelCallFact:
    return replace(
        CALL, step=step, simulated=False, cost=None if usd is None else Decimal(usd), cache_saved=Decimal(0), **more
    )


def test_the_whole_talk_with_a_model_that_was_of_no_use_is_wasted_and_no_other(tmp_path):
    talks = ("do/a/model/0/1", "do/a/model/1/1", "do/a/on1/model/0/1", "do/ab/model/0/1", "plan/0/1")
    given_up = RungFact("r1", "do/a/model/1/1", "escalate", "payment", "a", "b:two", "loop", AT)
    total = report(tmp_path, RUN, *map(call, talks), given_up).total
    assert (total.usd, total.retried, total.wasted) == (5, 2, 2)


def test_a_dollar_is_wasted_once_whatever_went_wrong_with_it(tmp_path):
    replaced = SubtaskFact("r1", "a", "replaced", "payment", "charge", None, "", AT)
    step = "do/a/model/0/1"
    rungs = [RungFact("r1", step, rung, "payment", "a", "b:two", "", AT) for rung in ("retry", "escalate", "replan")]
    failed = replace(END, status=Status.FAILED, intended_end=False)
    one = call(step, subtask="a", error_class="overloaded")
    standing = report(tmp_path, RUN, one, replaced, *rungs).total
    assert (standing.failed, standing.retried, standing.abandoned) == (0, 0, 1)
    ended = report(tmp_path, failed).total
    assert (ended.failed, ended.retried, ended.abandoned) == (1, 0, 0)


def test_without_success_there_are_no_dollars_per_success_and_without_prices_no_share(tmp_path):
    total = report(tmp_path, RUN, call("plan/0/1", None), replace(END, replans=1)).total
    assert (total.usd_per_success, total.share_wasted, total.unpriced) == (None, None, 1)


def test_nothing_was_spent_in_an_empty_store(tmp_path):
    empty = report(tmp_path, by=["role"])
    assert (empty.groups, empty.total) == ({}, Spent())


def test_a_call_written_again_is_counted_once(tmp_path):
    report(tmp_path, RUN, call("plan/0/1"))
    assert report(tmp_path, call("plan/0/1")).total.usd == 1


def test_what_an_older_trimtab_wrote_is_added_up_when_the_store_is_brought_up_to_date(tmp_path):
    columns = [f.name for f in fields(ModelCallFact)][:-3]
    costs_before = ["0.10", "1.0E-7", "0E-8", None]
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as connection:
        migrate(connection, [m for m in shipped() if m.number < 5])
        for number, cost in enumerate(costs_before):
            row = [
                "r1",
                f"plan/{number}/1",
                "orchestrator",
                None,
                1,
                "p:big",
                "big",
                "id",
                10,
                5,
                3,
                0,
                0,
                "end",
                "",
                "",
                1.0,
                cost,
                0,
                AT.isoformat(),
            ]
            connection.execute(f"INSERT INTO model_call ({', '.join(columns)}) VALUES ({', '.join('?' * 20)})", row)
    total = report(tmp_path, RUN).total
    assert (total.calls, total.usd, total.unpriced, total.saved_unknown) == (4, Decimal("0.1000001"), 1, 4)
    with Journal(tmp_path / "t.db") as journal:
        assert {(c.host, c.price_list, c.cache_saved) for c in journal.model_calls("r1")} == {("", None, None)}


def test_a_large_bill_is_exact_down_to_its_smallest_part(tmp_path):
    many = [call(f"plan/{n}/1", "9000000.000000000000000000000001") for n in range(12)]
    assert report(tmp_path, RUN, *many).total.usd == Decimal("108000000.000000000000000000000012")


def test_usage_that_nobody_can_have_does_not_keep_a_call_from_being_written(tmp_path):
    most = 2**63 - 1
    many = [call(f"plan/{n}/1", "9e30", input_tokens=most, cache_read_tokens=most) for n in range(3)]
    assert report(tmp_path, RUN, *many).total.calls == 3


# -- recorded runs -----------------------------------------------------------------------------------------------------


def recorded(model: str) -> tuple[list[Fact], Decimal]:
    """A journal of recorded turns of a model, priced by the catalogue, and the sum of what they were billed at."""
    path = DATA / "tau2_turns.csv.gz"
    if not path.exists():
        pytest.skip(f"the recorded data is not here: no {path}")
    facts: dict[str, Fact] = {}
    numbers, billed, prices, on = count(), Decimal(0), Catalogue(), date(2026, 6, 1)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if (row["agent_model"], row["role"]) != (model, "assistant") or not row["prompt_tokens"]:
                continue
            run_id = f"{row['source']}/{row['domain']}/{row['task_id']}"
            facts.setdefault(run_id, replace(RUN, run_id=run_id, key=run_id))
            usage, name = Usage(int(row["prompt_tokens"]), int(row["completion_tokens"])), f"anthropic:{model}"
            used = {
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "cache_read_tokens": 0,
                "cache_write_5m_tokens": 0,
            }
            step = f"plan/{next(numbers)}/1"
            facts[step] = replace(
                CALL, run_id=run_id, step=step, requested_model=name, cost=prices.cost(name, usage, on), simulated=False,
                cache_write_1h_tokens=0, cache_saved=Decimal(0), **used,
            )  # fmt: skip
            billed += Decimal(row["cost_usd"])
    return list(facts.values()), billed


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-6"])
def test_recorded_turns_cost_what_they_were_billed_at_to_the_cent(tmp_path, model):
    facts, billed = recorded(model)
    told = report(tmp_path, *facts, by=["model"])
    assert told.total.calls > 400
    assert round(told.total.usd, 2) == round(billed, 2)
    assert told.groups[f"anthropic:{model}",] == told.total


@pytest.mark.parametrize(
    ("model", "prompt", "answer", "cents"),
    [("claude-sonnet-4-5", 76_767, 3_904, "0.2889")],
)
def test_a_published_total_is_met(tmp_path, model, prompt, answer, cents):
    usd = Catalogue().cost(f"anthropic:{model}", Usage(prompt, answer), date(2026, 6, 1))
    assert round(report(tmp_path, RUN, call("plan/0/1", str(usd))).total.usd, 4) == Decimal(cents)


def test_the_outcome_that_counts_is_the_latest_one(tmp_path):
    waits = replace(END, final=False, status=Status.AWAITING_APPROVAL, intended_end=True, replans=0)
    later: OutcomeFact = replace(END, number=1, status=Status.COMPLETED, intended_end=True, replans=0)
    told = report(tmp_path, RUN, call("plan/0/1"), waits, later, by=["outcome"])
    assert [(label, spent.succeeded) for label, spent in told.groups.items()] == [(("completed",), 1)]

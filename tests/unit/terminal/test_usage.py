from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.fakes.transcripts import START, Session

from trimtab.cli.terminal_usage_prices import TerminalPrices
from trimtab.models.catalogue import Catalogue
from trimtab.terminal.index import open_index
from trimtab.terminal.index_fill import fill, price
from trimtab.terminal.usage import BY, Span, read
from trimtab.terminal.usage_week import week

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "claude_code"
LATER = START + timedelta(days=3)
PRICES = TerminalPrices(Catalogue())
USD = Decimal("0.0045")  # 1,000 tokens in and 100 out, on claude-sonnet-4-6


@pytest.fixture
def recorded(tmp_path):
    """The recordings, where the terminal had them."""
    if not RECORDED.exists():
        pytest.skip("the recorded transcripts are not here")
    base = tmp_path / "projects" / "-home-dev"
    session = base / "9f631192-fc8d-4cb3-89b5-a0b9d59aa29a"
    (session / "subagents").mkdir(parents=True)
    shutil.copy(RECORDED / "01_main_tools_errors_retry_subagent_fallback.jsonl", session.with_suffix(".jsonl"))
    for end in ("jsonl", "meta.json"):
        shutil.copy(RECORDED / f"01_subagent.{end}", session / "subagents" / f"agent-ad5b01f0f0f231c96.{end}")
    for name in ("03_mcp_tools", "04_tui_session"):
        shutil.copy(RECORDED / f"{name}.jsonl", base)
    return tmp_path


def look(folder, by="model", *, now=LATER, since=START - timedelta(days=30), until=None):
    index = open_index(None)
    fill(index.connection, folder)
    price(index.connection, PRICES)
    found = read(index.connection, Span.of(since, until or now), by, now)
    index.close()
    return found


def test_the_recordings_cost_what_the_terminal_wrote_in_them(recorded):
    used = look(recorded, "session", now=datetime(2026, 11, 24, tzinfo=UTC))

    # `cost-state` of the three sessions; the first has one more answer after its last one but one.
    assert {g.name[:8]: g.usd for g in used.groups} == {
        "9f631192": Decimal("0.0525"),
        "28010bbe": Decimal("0.0126"),
        "f634dca7": Decimal("0.0126"),
    }


def test_the_recordings_say_what_happened(recorded):
    used = look(recorded, "agent", now=datetime(2026, 11, 24, tzinfo=UTC))
    total = used.total

    assert [(g.name, g.calls, g.usd) for g in used.groups] == [
        ("main", 13, Decimal("0.0735")),
        ("booking", 2, Decimal("0.0042")),
    ]
    assert (total.prompts, total.turns, total.tools, total.tool_errors) == (6, 13, 8, 3)
    assert (total.retries, total.unwritten, total.fallbacks, total.mismatches) == (3, 0, 1, 0)
    assert used.fallbacks == {"claude-sonnet-4-6 -> claude-haiku-4-5 (overloaded)": 1}
    assert total.lost_pico == 0


@pytest.mark.parametrize("by", BY)
def test_groups_add_up_to_the_total(recorded, by):
    used = look(recorded, by, now=datetime(2026, 11, 24, tzinfo=UTC))

    assert sum(g.pico for g in used.groups) == used.total.pico == 77_700_000_000
    assert sum(g.prompts for g in used.groups) == used.total.prompts == 6
    assert sum(g.tasks for g in used.groups) == used.total.tasks == 3
    assert sum(g.retries for g in used.groups) == used.total.retries == 3
    assert all(g.name for g in used.groups)


def test_an_unknown_price_makes_dollars_unknown_and_is_counted(tmp_path):
    Session().prompt().answer().answer(model="claude-nobody-9").write(tmp_path)
    used = look(tmp_path)

    assert (used.total.usd, used.total.usd_known, used.total.unpriced) == (None, USD, 1)
    assert used.unpriced == {"claude-nobody-9": 1}


def limited(s):
    return s.answer(("Bash", {})).result().row("attachment", attachment={"type": "max_turns_reached"})


def interrupted(s):
    return s.answer(("Bash", {})).row("user", message={"content": [{"type": "text", "text": "[Request interrupted by user]"}]})  # fmt: skip


def failed(s):
    return s.answer(("Bash", {})).result().answer(model="<synthetic>", isApiErrorMessage=True, apiErrorStatus=529)


@pytest.mark.parametrize(
    ("happened", "ending"),
    [
        (limited, "turn limit"),
        (interrupted, "interrupted"),
        (failed, "failed"),
        (lambda s: s.answer(stop="max_tokens"), "cut"),
        (lambda s: s.answer(stop="refusal"), "refused"),
        (lambda s: s.answer(("Bash", {})).result(), "aborted"),
    ],
)
def test_an_iteration_without_an_answer_is_lost_and_the_others_are_not(tmp_path, happened, ending):
    happened(Session().prompt().answer().prompt()).prompt().answer().write(tmp_path)
    used = look(tmp_path)

    assert used.total.lost_dollars == {ending: USD}
    assert used.total.lost_share == pytest.approx(1 / 3)


def test_a_session_at_work_is_not_lost(tmp_path):
    session = Session().prompt().answer(("Bash", {}))
    session.write(tmp_path)

    assert look(tmp_path, now=session.at + timedelta(minutes=5)).total.lost_pico == 0
    assert look(tmp_path, now=session.at + timedelta(minutes=20)).total.lost_pico > 0


def test_an_iteration_that_was_interrupted_and_went_on_to_an_answer_is_not_lost(tmp_path):
    interrupted(Session().prompt()).answer().write(tmp_path)

    assert look(tmp_path).total.lost_pico == 0


def test_a_task_ends_with_a_pause_of_an_hour(tmp_path):
    Session().prompt().answer().prompt().answer().wait(minutes=50).prompt().answer().wait(hours=2).prompt().answer().write(tmp_path)  # fmt: skip
    used = look(tmp_path)

    assert [(task.prompts, task.turns) for task in used.tasks] == [(3, 3), (1, 1)]


def test_a_file_edited_again_after_another_prompt_is_a_rework(tmp_path):
    session = Session().prompt().edit("a").edit("a").edit("b").answer()
    session.prompt().edit("a").edit("a").answer().prompt().edit("a").edit("b").answer().write(tmp_path)
    Session("other").prompt().edit("a").answer().write(tmp_path)

    assert look(tmp_path).total.reworks == 3


def test_answers_of_another_model_are_named(tmp_path):
    Session().prompt().answer(requestedModel="claude-haiku-4-5").write(tmp_path)

    assert look(tmp_path).mismatches == {"claude-haiku-4-5 -> claude-sonnet-4-6": 1}


def test_only_days_that_were_asked_for_count(tmp_path):
    Session().prompt().answer().wait(days=1).prompt().answer().wait(days=1).prompt().answer().write(tmp_path)
    day = datetime(2026, 11, 11, tzinfo=UTC)

    used = look(tmp_path, "day", since=day, until=day + timedelta(days=1))

    assert [(g.name, g.calls, g.prompts) for g in used.groups] == [("2026-11-11", 1, 1)]


def test_the_week_is_summed_up_without_an_index(tmp_path):
    old, new = Session("old").prompt().answer(), Session("new", at=START + timedelta(days=9)).prompt().answer()
    limited(new.prompt()).answer(model="claude-nobody-9", requestedModel="claude-opus-5-5").write(tmp_path)
    old.write(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    found = week(tmp_path, PRICES, START + timedelta(days=10))

    assert (found.usd, found.usd_known, found.unpriced) == (None, 2 * USD, {"claude-nobody-9": 1})
    assert (found.calls, found.sessions, found.whole) == (3, 1, True)
    assert (found.wasted_share, found.wasted_by) == (0.5, {"turn limit": USD})
    assert (found.mismatches, found.versions) == ({"claude-opus-5-5 -> claude-nobody-9": 1}, {"2.1.330": 3})
    assert sorted(tmp_path.rglob("*")) == before


def test_the_week_says_when_time_ran_out(tmp_path):
    Session(at=START).prompt().answer().write(tmp_path)

    found = week(tmp_path, PRICES, START + timedelta(days=1), seconds=-1)

    assert (found.whole, found.calls) == (False, 0)

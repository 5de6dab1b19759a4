from __future__ import annotations

import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from trimtab.core.errors import UsageError
from trimtab.models.simulator import AnswerBook, Profile, profile_names
from trimtab.models.simulator.answers import api_fault, lengthened, speak
from trimtab.models.simulator.dice import Dice
from trimtab.models.simulator.failures import flawed_call, flawed_plan
from trimtab.models.simulator.profile import API_FAULTS, PLAN_FAILURES, Settings
from trimtab.models.simulator.prompts import PlanAsked
from trimtab.models.simulator.speech import Speech, ToolCall

HAIKU, SONNET = "claude-haiku-4-5", "claude-sonnet-4-6"


def subtask(name: str, action: str, inputs: dict[str, Any], *needs: str) -> dict[str, Any]:
    specialist, action = action.split(".")
    return {"id": name, "specialist": specialist, "action": action, "inputs": inputs, "needs": list(needs)}


BOOK = AnswerBook.from_entries(
    [
        {
            "request": "ein Boot",
            "plan": {
                "subtasks": [
                    subtask("a", "calendar.hold", {"vessel": "larkspur", "hours": 24}),
                    subtask("b", "payment.link", {"hold": "$a.hold_id", "amount": 420}, "a"),
                    subtask("c", "notification.message", {"language": "de", "link": "$b.url"}, "b"),
                ]
            },
            "forbidden": ["calendar.confirm"],
            "language": "de",
        },
        {
            "request": "confirm it",
            "plan": {"subtasks": [subtask("a", "calendar.confirm", {"vessel": "heron", "hold": "$z.id", "slot": 4})]},
        },
    ]
)
GERMAN, SHORT = BOOK.entries


def settings(name: str, model: str = HAIKU) -> Settings:
    found = Profile.load(name).settings(model)
    assert found is not None
    return found


def always(tmp_path: Path, *failures: str) -> Settings:
    rates = "".join(f'{name} = {{ rate = 1.0, source = "test" }}\n' for name in failures)
    return settings(written(tmp_path, f'[one]\nextends = "perfect"\n[one.models."claude-*".failures]\n{rates}'))


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def spoilt(tmp_path: Path, failure: str) -> list[list[dict[str, Any]]]:
    models = always(tmp_path, failure)
    said = [flawed_plan(GERMAN, BOOK, models, Dice(("test", n))) for n in range(30)]
    assert {s.failures for s in said} == {(failure,)}
    return [s.content.arguments["subtasks"] for s in said if isinstance(s.content, ToolCall)]


def test_every_shipped_profile_loads():
    assert profile_names() == ("perfect", "strong", "weak", "mixed", "hostile")
    for name in profile_names():
        profile = Profile.load(name)
        assert profile.about
        assert HAIKU in profile.model_ids
        assert profile.settings("claude-of-tomorrow") is not None
        assert profile.settings("gpt-4o") is None


def test_perfect_never_fails_and_weak_fails_more_than_strong():
    for failure in (*PLAN_FAILURES, "wrong_arguments"):
        perfect, strong, weak = (settings(name).rate(failure) for name in ("perfect", "strong", "weak"))
        assert perfect == 0 < strong < weak
    assert settings("perfect").correct_on_fault == 1.0 > settings("strong").correct_on_fault


def test_mixed_is_weak_for_haiku_and_strong_for_the_rest():
    assert settings("mixed", HAIKU).failures == settings("weak", HAIKU).failures
    assert settings("mixed", SONNET).failures == settings("strong", SONNET).failures


def test_a_dated_id_is_its_model_and_a_family_is_known_by_its_prefix():
    profile = Profile.load("perfect")
    assert profile.settings(f"{HAIKU}-20251001") == profile.settings(HAIKU)
    assert settings("perfect", "claude-haiku-5-5").price.input == 0.1
    assert settings("perfect", "claude-haiku-9").price.input == 1.0
    assert settings("perfect", "claude-haiku-9").latency.median < settings("perfect", SONNET).latency.median


def test_drawn_latencies_have_the_quantiles_given():
    latency = settings("perfect").latency
    drawn = [latency.at(Dice(("test", n)).roll("latency")) for n in range(20_000)]
    cuts = statistics.quantiles(drawn, n=100)
    assert cuts[49] == pytest.approx(latency.median, rel=0.02)
    assert cuts[94] == pytest.approx(latency.p95, rel=0.03)


@pytest.mark.parametrize("name", ["strong", "weak"])
def test_failures_come_at_their_rates(name: str):
    models = settings(name)
    seen: Counter[str] = Counter()
    for n in range(20_000):
        dice = Dice(("test", n))
        seen.update(flawed_plan(GERMAN, BOOK, models, dice).failures)
        seen.update(flawed_call("hold", {"vessel": "x"}, models, dice).failures)
        seen.update(filter(None, [api_fault(models, dice)]))
    for failure in (*PLAN_FAILURES, "wrong_arguments", *API_FAULTS):
        rate = models.rate(failure)
        assert seen[failure] / 20_000 == pytest.approx(rate, abs=4 * (rate / 20_000) ** 0.5)


def test_missing_subtask_drops_one_and_mends_nothing(tmp_path: Path):
    assert {tuple(s["id"] for s in plan) for plan in spoilt(tmp_path, "missing_subtask")} == {
        ("a", "b"), ("a", "c"), ("b", "c"),
    }  # fmt: skip


def test_wrong_order_drops_or_reverses_a_need(tmp_path: Path):
    needs = {tuple(tuple(s["needs"]) for s in plan) for plan in spoilt(tmp_path, "wrong_order")}
    assert needs == {((), (), ("b",)), (("b",), (), ("b",)), ((), ("a",), ()), ((), ("a", "c"), ())}


def test_wrong_specialist_gives_one_subtask_to_another(tmp_path: Path):
    for plan in spoilt(tmp_path, "wrong_specialist"):
        right = [s.specialist for s in GERMAN.subtasks]
        assert sum(s["specialist"] != name for s, name in zip(plan, right, strict=True)) == 1
        assert {s["specialist"] for s in plan} <= set(BOOK.specialists)


def test_extra_forbidden_adds_a_plausible_subtask(tmp_path: Path):
    extra = spoilt(tmp_path, "extra_forbidden")[0][3]
    assert (extra["specialist"], extra["action"]) == ("calendar", "confirm")
    assert extra["inputs"] == {"vessel": "larkspur", "hold": "$a.hold_id", "slot": 4}
    assert extra["needs"] == ["a"]


def test_lost_language_speaks_english(tmp_path: Path):
    assert all(plan[2]["inputs"]["language"] == "en" for plan in spoilt(tmp_path, "lost_language"))


def test_a_failure_with_nothing_to_spoil_does_not_happen(tmp_path: Path):
    models = always(tmp_path, "missing_subtask", "wrong_order", "extra_forbidden", "lost_language")
    assert flawed_plan(SHORT, BOOK, models, Dice(("test",))) == flawed_plan(SHORT, BOOK, settings("perfect"), Dice(()))


def test_the_book_itself_is_never_spoilt(tmp_path: Path):
    before = GERMAN.subtasks[0].as_json()
    for failure in PLAN_FAILURES:
        for n in range(20):
            flawed_plan(GERMAN, BOOK, always(tmp_path, failure), Dice((n,)))
    assert GERMAN.subtasks[0].as_json() == before
    assert (
        speak(PlanAsked(("ein Boot",), (), frozenset({"plan"})), GERMAN, BOOK, settings("perfect"), Dice(())).failures
        == ()
    )


def test_reported_tokens_are_at_least_what_is_said():
    models = settings("perfect")
    long = Speech("text", "word " * 3000)
    assert lengthened(long, 9000, None, models, Dice(()))[1] == 3750
    drawn = [lengthened(Speech("call", ToolCall("t", {})), 9000, None, models, Dice((n,)))[1] for n in range(2000)]
    assert statistics.median(drawn) == pytest.approx(models.call_tokens.median, rel=0.1)


LATENCY = '[own.models."claude-*"]\nlatency = { median = 1.0, p95 = 2.0, source = "s" }\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[own", "cannot read profile file"),
        ("own = 1", "'own' is no table, expected [own]"),
        ("", "expected one profile, found 0"),
        ('[own]\nextend = "weak"', "unknown key 'own.extend'\nhint: did you mean 'extends'?"),
        (
            '[own]\nextends = "weka"',
            "'own' names the profile 'weka', which there is not\nhint: there are perfect, strong, weak",
        ),
        ('[own]\nextends = "own"', "profile 'own' is built on itself"),
        (
            '[own.models."claude-*"]\nlatncy = 1',
            "unknown key 'own.models.claude-*.latncy'\nhint: did you mean 'latency'?",
        ),
        (
            '[own.models."claude-*".latency]\nmedian = 1.0\np95 = 2.0',
            "key 'own.models.claude-*.latency.source' is missing",
        ),
        (LATENCY.replace("2.0", "0.5"), "own.models.claude-*.latency: expected p95 to be at least the median"),
        (
            LATENCY.replace("1.0", "-1.0"),
            "'own.models.claude-*.latency.median': Input should be greater than 0, got -1.0",
        ),
        (
            LATENCY.replace("1.0", '"1"'),
            "'own.models.claude-*.latency.median': Input should be a valid number, got '1'",
        ),
        (LATENCY, "'own.models.claude-*' does not say all that a model needs"),
        (
            '[own]\nextends = "weak"\n[own.models."claude-*".failures]\noverloded = { rate = 1, source = "s" }',
            "unknown key 'own.models.claude-*.failures.overloded'\nhint: did you mean 'overloaded'?",
        ),
        (
            '[own]\nextends = "weak"\n[own.models."claude-*".failures]\noverloaded = { rate = 1, source = "s" }',
            "the rates of its API faults add up to 1.0",
        ),
    ],
)
def test_a_bad_profile_is_refused_by_key_path(tmp_path: Path, text: str, said: str):
    with pytest.raises(UsageError) as caught:
        Profile.load(written(tmp_path, text))
    assert said in str(caught.value)
    assert "own.toml" in str(caught.value)
    assert caught.value.hint


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(UsageError) as caught:
        Profile.load("week")
    assert str(caught.value).startswith("no profile is called 'week'\nhint: ")
    assert all(name in caught.value.hint for name in profile_names())


def test_a_file_may_hold_several_profiles(tmp_path: Path):
    path = written(tmp_path, '[day]\nextends = "strong"\n[night]\nextends = "day"\nabout = "at night"')
    assert Profile.load(f"{path}#night").about == "at night"
    with pytest.raises(UsageError, match="expected one profile, found 2"):
        Profile.load(path)


def test_what_a_profile_says_wins_over_what_it_extends(tmp_path: Path):
    own = f'[own]\nextends = "weak"\n{LATENCY}[own.models."claude-*".failures]\noverloaded = {{ rate = 0.5, source = "s" }}'
    models = settings(written(tmp_path, own), "claude-haiku-5-5")
    assert (models.latency.median, models.price.input, models.rate("overloaded")) == (1.0, 0.1, 0.5)
    assert models.rate("cut_off") == settings("weak").rate("cut_off")


def test_importing_the_simulator_loads_no_provider_sdk():
    code = (
        "import sys, trimtab.models.simulator; print(sorted({'anthropic', 'pydantic_ai', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

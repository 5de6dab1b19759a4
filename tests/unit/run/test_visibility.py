"""Nothing goes out that its reader may not see, however it is written, and no secret does, whoever reads."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.steps import FakeSteps

from trimtab import Handoff, Specialist, Status, Step, Workflow, tool
from trimtab.core.messages import ToolUse
from trimtab.core.pin import Pin
from trimtab.core.plan import Subtask
from trimtab.core.records import ToolCallFact
from trimtab.run.call import Call, Stopped
from trimtab.run.retry import Limits
from trimtab.run.route import Assignment
from trimtab.run.scope import Means, Scope
from trimtab.run.secret import secret_in
from trimtab.run.visibility import Leak, leak
from trimtab.testing import FlatPrices, ScriptedModel, StillClock

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Post(Specialist, role="post"):
    """You send messages."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    @tool("irreversible", reader=lambda arguments: arguments["to"])
    async def send(
        self, step: Step, to: Literal["guest", "crew", "office"], body: str = "", fields: dict[str, Any] | None = None
    ) -> str:
        """Send a message."""
        self.sent.append(body)
        return "sent"

    @tool("irreversible", reader=lambda arguments: arguments["nobody"])
    async def misdeclared(self, step: Step, body: str) -> str:
        """Send to nobody knows whom."""
        self.sent.append(body)
        return "sent"


class Office(Workflow[dict[str, Any], dict[str, Any]], name="office"):
    """You run an office."""

    def may_see(self, field: str, reader: str) -> bool:
        if field == "broken":
            raise ValueError(SECRET)
        return reader == "office" or not field.startswith("closed")

    def conclude(self, request: dict[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
        return dict(results)


def scope(request: dict[str, Any] | None = None, secrets: tuple[str, ...] = ()) -> Scope:
    limits, gate = Limits(), asyncio.Semaphore(1)
    means = Means(ScriptedModel([]), FlatPrices(), StillClock(), limits, gate, secrets=secrets)
    pin = Pin({}, "local", "d", StillClock().now().date())
    return Scope(means, FakeSteps(), Office([Post()]), request or {}, request or {}, pin)


def job_of(made: Scope, *results: Any) -> Assignment:
    post = made.workflow.specialists["post"]
    known = {f"r{n}": result for n, result in enumerate(results)}
    return Assignment(Subtask("s", "post", "send"), post, post.tools["send"], {}, known)


def found(
    body: str,
    *results: Any,
    to: str = "guest",
    request: dict[str, Any] | None = None,
    secrets: tuple[str, ...] = (),
    name: str = "send",
    **arguments: Any,
) -> Leak | None:
    made = scope(request, secrets)
    job = job_of(made, *results)
    given_arguments = {"body": body, **arguments} if name == "misdeclared" else {"to": to, "body": body, **arguments}
    return leak(made, job, job.specialist.tools[name], ToolUse("u", name, given_arguments))


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "Ask Ada Lovelace about it",
        "ask ADA\n\tlovelace.",
        "ask Ada\u200b Love\u00adlace",
        "ask \uff21\uff44\uff41 Lovelace",
        "(ada lovelace's)",
        "x|Ada Lovelace|y",
    ],
)
def test_a_closed_text_is_found_however_it_is_written(body):
    wrong = found(body, {"closed_name": "Ada Lovelace"})
    assert wrong is not None
    assert (wrong.error_class, "closed_name" in wrong.reason, "'guest'" in wrong.reason) == ("leak", True, True)
    assert "lovelace" not in wrong.reason.lower()
    assert found(body, {"closed_name": "Ada Lovelace"}, to="office") is None


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("Ada", "Ada is too short to be told from a word"),
        ("larks", "the larkspur sails"),
        ("2026-06-20", "on 2026-06-20"),
        ("2026-06-20T10:00", "at 2026-06-20T10:00"),
        ("10:30", "at 10:30"),
        ("true", "how true"),
        (True, "True"),
        (None, "None"),
        ("", "nothing"),
    ],
)
def test_what_says_nothing_by_itself_is_no_leak(value, body):
    assert found(body, {"closed": value}) is None


def test_a_script_without_spaces_hides_nothing():
    assert found("明日は山田太郎様です", {"closed": "山田太郎"}) is not None


def test_what_the_reader_may_see_under_another_name_is_no_leak():
    assert found("for B-1008", {"closed_ids": ["B-1008"]}) is not None
    assert found("for B-1008", {"closed_ids": ["B-1008"]}, {"booking": "B-1008"}) is None
    assert found("840 in all", {"closed": 840, "total": "840.00"}) is None


def test_a_part_of_what_the_reader_may_see_is_no_leak_there_and_one_elsewhere():
    known = {"name": "Ada Lovelace", "closed_surname": "Lovelace", "link": "https://x.example/t/1120", "closed": 1120}
    assert found("Dear Ada Lovelace, see https://x.example/t/1120", known) is None
    assert found("Dear Ada Lovelace, dear Lovelace", known) is not None
    assert found("see https://x.example/t/1120 (1120)", known) is not None


def test_inside_a_closed_field_everything_is_closed():
    known = {"closed_rows": [{"who": "Grace Hopper", "paid": {"sum": "420.38"}}]}
    assert found("Grace Hopper", known) is not None
    assert found("420,38", known) is not None


def test_a_closed_name_as_a_key_is_a_leak_at_any_depth():
    assert found("", fields={"total": 1}) is None
    assert found("", fields={"closed_net": None}) is not None
    assert found("", fields={"rows": [{"of": {"closed_net": 1}}]}) is not None
    assert found("", to="office", fields={"closed_net": 1}) is None


def test_every_text_and_number_of_the_arguments_is_searched():
    known = {"closed": "Ada Lovelace", "closed_net": 289.41}
    for value in (["x", {"y": "ada lovelace"}], {"Ada Lovelace": 1}, 289.41, "289.41", {"z": [289.41]}):
        assert found("", known, fields={"a": value}) is not None, value


def test_an_argument_that_is_one_of_a_list_says_nothing():
    assert found("hello", {"closed_role": "guest"}) is None
    assert found("a guest", {"closed_role": "guest"}) is not None


def test_the_request_and_what_the_orchestrator_saw_are_known_too():
    assert found("Ada Lovelace", request={"closed_sender": "Ada Lovelace"}) is not None
    assert found("Ada Lovelace", request={"sender": "Ada Lovelace", "closed": "Ada Lovelace"}) is None


def test_a_closed_value_is_not_opened_by_telling_it_to_a_tool_that_repeats_it():
    made = scope()
    job = job_of(made, {"closed_net": 289.41, "closed_name": "Ada Lovelace"}, {"note": "Ada Lovelace", "sum": "289.41"})
    bodies = ["net 289.41", "ask Ada Lovelace"]
    uses = [ToolUse("u", "send", {"to": "guest", "body": body}) for body in bodies]
    assert [leak(made, job, job.action, use) for use in uses] == [None, None]
    made.steps.begins["do/r1/tool/0.0/1"] = {"subtask": "r1", "arguments": {"note": "ada  lovelace", "sum": 289.41}}
    assert None not in [leak(made, job, job.action, use) for use in uses]


def test_what_the_specialist_read_itself_is_known_too():
    made = scope()
    job = job_of(made)
    use = ToolUse("u", "send", {"to": "guest", "body": "net 289.41"})
    assert leak(made, job, job.action, use) is None
    assert leak(made, job, job.action, use, [{"closed_net": 289.41}]) is not None


def test_what_cannot_be_checked_does_not_go_out_and_says_no_value():
    for wrong in (found("hi", {"broken": 1}), found("hi", name="misdeclared")):
        assert wrong is not None
        assert "cannot be checked" in wrong.reason
        assert SECRET not in wrong.reason


def test_nothing_is_too_deep_to_be_searched():
    deep: Any = {"closed_net": 289.41}
    for _ in range(5_000):
        deep = {"a": [deep]}
    assert found("289.41", deep) is not None
    assert found("", {"closed_net": 289.41}, fields=deep) is not None


# -- amounts -----------------------------------------------------------------------------------------------------------

SPELLINGS = ("840.75", "840,75", "$840.75", "840.75 EUR", "€ 840,75", "USD840.75", "840.750", "-840.75", "(840.75)", "net:840.75", "840.75.", "\uff18\uff14\uff10.\uff17\uff15", "a=840.75&b")  # fmt: skip


@pytest.mark.parametrize("written", SPELLINGS)
@pytest.mark.parametrize("value", [840.75, "840.75", -840.75, "840.7500"])
def test_an_amount_is_found_in_every_usual_writing(written, value):
    assert found(f"they make {written} of it", {"closed_net": value}) is not None


@pytest.mark.parametrize("written", ["1120", "1,120", "1,120.00", "1.120,00", "1 120,00", "1\u202f120,00", "1'120.00", "1120.0", "$1120", "1120 dollars"])  # fmt: skip
def test_a_whole_amount_is_found_with_its_thousands_apart_and_without_cents(written):
    assert found(f"they make {written} of it", {"closed_net": 1120}) is not None


@pytest.mark.parametrize(
    "text",
    ["1840.75", "18,840.75", "840.751", "2026-08-40", "B-840", "840-12", "12:840", "a840b", "x840", "MB-77840", "840/12", "10.840.20"],
)  # fmt: skip
def test_a_number_inside_another_is_not_it(text):
    assert found(f"see {text} there", {"closed": 840.75, "closed_too": 840}) is None


@pytest.mark.parametrize(("text", "told"), [("75 of them", False), ("at 75", False), ("$75", True), ("75.00", True), ("75 EUR", True), ("75 eurobonds", False)])  # fmt: skip
def test_a_small_whole_amount_needs_cents_or_a_currency(text, told):
    assert (found(text, {"closed": 75}) is not None) == told


def test_an_amount_that_begins_an_open_one_is_no_leak():
    assert found("it is 1 120,00", {"closed": 120, "total": 1120}) is None
    assert found("it is 1 120,00", {"closed": 120, "total": 5}) is not None


# -- secrets -----------------------------------------------------------------------------------------------------------

# Put together here, so that no scanner takes the examples for lost keys.
LOOKS = {
    "Anthropic": "sk-ant-" + "api03-R2D2c3poLukeLeia4Ever",
    "OpenAI": "sk-" + "proj-Abc123Def456Ghi789",
    "Stripe": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "Slack": "xoxb-" + "2456-7891-AbCdEfGh",
    "JWT": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "key block": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "bearer": "Authorization: Bearer " + "9f8e7d6c5b4a39281706",
    "password": "the password: hunter2",
    "api key": "API key = zebra",
    "client secret": "client_secret: zebra",
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("to", ["guest", "office"])
def test_what_looks_like_a_secret_goes_to_nobody(look, to):
    wrong = found(f"here: {LOOKS[look]} thanks", to=to)
    assert wrong is not None
    assert wrong.error_class == "secret"
    assert LOOKS[look] not in wrong.reason


@pytest.mark.parametrize("look", ["Anthropic", "OpenAI", "Stripe", "AWS", "GitHub"])
def test_a_light_disguise_hides_no_key(look):
    key = LOOKS[look]
    spaced, unseen = " ".join(key), "\u200b".join(key)
    for text in (spaced, unseen, key.upper(), key.lower(), quote(key, safe=""), "".join(f"%{ord(c):02x}" for c in key)):
        assert secret_in(f"key {text} end", ()), text
    assert secret_in(base64.b64encode(key.encode()).decode(), ())


def test_a_secret_of_the_application_is_known_by_its_value():
    disguised = [
        SECRET,
        SECRET.upper(),
        " ".join(SECRET),
        "\n".join(SECRET),
        "\u200d".join(SECRET),
        quote(SECRET, safe=""),
        quote(quote(SECRET, safe=""), safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(b"the key is " + SECRET.encode() + b", keep it").decode(),
        SECRET.encode().hex(),
    ]
    for text in disguised:
        wrong = found(f"see {text} there", to="office", secrets=(SECRET,))
        assert wrong is not None, text
        assert (wrong.error_class, SECRET in wrong.reason) == ("secret", False)
        assert found(f"see {text[:20]}", to="office", secrets=(SECRET,)) is None


def test_a_secret_in_an_object_is_found_by_its_key():
    assert found("", to="office", fields={"password": "zebra"}).error_class == "secret"
    assert found("", to="office", fields={"rows": [{"sk_live_4eC39HqLyjWDarjtT1zdp7dc": 1}]}).error_class == "secret"


def test_what_the_sender_wrote_may_be_quoted_whole_to_who_may_see_it():
    wrote = "my login broke, password: zebra, help"
    quoted = f"they wrote: {wrote}"
    assert found(quoted, to="office", request={"closed_text": wrote}) is None
    assert found(quoted, request={"closed_text": wrote}).error_class == "secret"
    assert found("their password: zebra", to="office", request={"closed_text": wrote}).error_class == "secret"
    own = f"is this it: {SECRET}"
    assert found(own, to="office", request={"text": own}, secrets=(SECRET,)).error_class == "secret"


@pytest.mark.parametrize(
    "text",
    [
        "The task-force of 12 meets at 10 on the desk-side terrace, 3 guests each",
        "SK 1425 lands at 10, bring 4 jackets and 12 life vests for the 3 guests",
        "Akia, welcome on board tomorrow at ten with all the guests",
        "Forgot your password? It is on the first page.",
        "The bearer of this letter may come on board",
        "the secret is to come early",
        "https://sign.acme.example/qwertyuiopasdfghjklzxcvb",
        "Your API keys are safe with us",
        "M-12, H-3, B-1008, evt_77a",
    ],
)
def test_ordinary_words_are_no_secret(text):
    assert secret_in(text, ("short",)) == ""


def test_a_value_too_short_to_be_a_secret_stops_nothing():
    assert found("test the key", secrets=("test", "key", "")) is None


# -- in a run ----------------------------------------------------------------------------------------------------------


async def test_a_call_that_tells_too_much_is_stopped_once_and_for_all():
    made = scope()
    job = job_of(made, {"closed_net": 289.41})
    call = Call(made, job, job.action, ToolUse("u", "send", {"to": "guest", "body": "net 289.41"}), "do/s/tool/0.0")
    outcome = await call.make()
    assert isinstance(outcome, Stopped | Handoff)
    assert (outcome.status, outcome.stops, outcome.value) == (Status.NEEDS_YOU, True, None)
    [fact] = [f for f in made.steps.facts if isinstance(f, ToolCallFact)]
    assert (fact.outcome, fact.error_class) == ("stopped", "leak")
    assert "289" not in fact.reason
    again = await Call(made, job_of(made), job.action, call.use, call.name).make()
    assert again == outcome
    assert job.specialist.sent == []


async def test_a_call_that_was_begun_before_is_not_scanned_again():
    made = scope()
    job = job_of(made, {"closed_net": 289.41})
    call = Call(made, job, job.action, ToolUse("u", "send", {"to": "guest", "body": "net 289.41"}), "do/s/tool/0.0")
    made.steps.begins[f"{call.name}/1"] = {"key": call.key}
    assert not isinstance(await call.make(), Stopped)


# -- any message -------------------------------------------------------------------------------------------------------

words = (
    st.text(alphabet="abcdefgh ÄßéЖ", min_size=4, max_size=20)
    .map(lambda t: " ".join(t.split()))
    .filter(lambda t: len(t) >= 4)
)
cents = st.integers(100, 9_999_999).map(lambda n: Decimal(n) / 100)
values = words | cents.map(float) | cents.map("{:.2f}".format)


def text_of(value: Any, writing: int = 0) -> str:
    if not isinstance(value, float):
        return str(value)
    return (f"{value:.2f}", f"{value:,.2f}", f"{value:.2f}".replace(".", ","), f"${value:.2f}")[writing % 4]


@given(st.lists(values, max_size=6), st.lists(values, max_size=6), st.integers(0, 3))
def test_a_message_of_open_values_passes(closed, opened, writing):
    known = [{"closed_rows": closed}, {"rows": opened}]
    body = " | ".join(text_of(value, writing) for value in opened)
    assert found(body, *known, fields={"rows": opened}) is None


disguises = st.sampled_from([
    lambda t: t, str.upper, lambda t: t.replace(" ", "\n\t "), lambda t: f"({t})", lambda t: f"\u201c{t}\u201d,",
    "\u200b".join, lambda t: f"«{t}»!",
])  # fmt: skip


@given(values, st.lists(words, max_size=4), st.lists(words, max_size=4), st.integers(0, 3), disguises)
def test_a_message_with_a_closed_value_is_stopped(value, before, after, writing, disguise):
    spelled = disguise(text_of(value, writing))
    wrong = found(" | ".join([*before, spelled, *after]), {"closed": value})
    assert wrong is not None
    assert wrong.error_class == "leak"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i), max_leaves=20))  # fmt: skip
def test_any_json_can_be_searched(value):
    given_fields = value if isinstance(value, dict) else {"v": value}
    assert found("", {"rows": value}, fields=given_fields, to="office") in (
        None,
        found("", fields=given_fields, to="office"),
    )

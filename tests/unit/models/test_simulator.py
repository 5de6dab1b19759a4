"""The simulator over real HTTP, asked by the real SDK."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx2
import pytest

from trimtab.core.errors import UsageError
from trimtab.models.simulator import AnswerBook, Profile, Simulator

MODEL = "claude-haiku-4-5"
TEXT = "Larkspur on Saturday, 8 people.\nBitte auf Deutsch."
HOLD = {
    "id": "a",
    "specialist": "calendar",
    "action": "place_hold",
    "instruction": "Hold it.",
    "inputs": {"vessel": "larkspur", "hours": 24},
    "needs": [],
}
LINK = {
    "id": "b",
    "specialist": "payment",
    "action": "create_link",
    "instruction": "Make a link.",
    "inputs": {"hold": "$a.hold_id", "amount": 420, "text": "for <you>"},
    "needs": ["a"],
}
TELL = {
    "id": "c",
    "specialist": "notification",
    "action": "message",
    "instruction": "Tell the guest.",
    "inputs": {"to": "guest", "language": "de", "link": "$b.url"},
    "needs": ["b"],
}
PLAN = {"subtasks": [HOLD, LINK, TELL]}
TWICE = {
    "request": "hold it, then look again",
    "plan": {"subtasks": [HOLD | {"inputs": {"vessel": "heron"}}]},
    "calls": {
        "a": [
            {"tool": "place_hold", "arguments": {"vessel": "$inputs.vessel"}},
            {"tool": "look", "arguments": {"hold": "$call1.hold_id"}},
        ]
    },
    "answers": {"a": {"hold_id": "$call1.hold_id", "sure": True}},
}
BOOK = AnswerBook.from_entries(
    [
        {"request": TEXT, "plan": PLAN, "forbidden": ["calendar.confirm"], "language": "de"},
        {"request": "the boat please", "clarify": ["Which boat?", "Which day?"]},
        TWICE,
    ]
)


def block(name: str, value: object) -> str:
    return f'Do this.\n<untrusted name="{name}">\n' + json.dumps(value).replace("<", "\\u003c") + "\n</untrusted>"


def tools(*names: str) -> list[Any]:
    return [{"name": name, "description": name, "input_schema": {"type": "object"}} for name in names]


def asks_plan(
    text: object = TEXT, *, run: str = "run-1", model: str = MODEL, then: tuple[Any, ...] = ()
) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 4000,
        "tools": tools("plan", "clarify"),
        "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": block("request", {"id": "R1", "text": text})}, *then],
        "metadata": {"user_id": run},
    }


def asks_work(subtask: object = HOLD, *offered: str, run: str = "run-1", then: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "model": MODEL,
        "max_tokens": 4000,
        "tools": tools(*(offered or ("place_hold", "look"))),
        "messages": [{"role": "user", "content": block("subtask", subtask)}, *then],
        "metadata": {"user_id": run},
    }


def turns(message: anthropic.types.Message, content: str, *, is_error: bool = False) -> tuple[Any, Any]:
    use = used(message)
    said = {"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": content, "is_error": is_error}
    return {"role": "assistant", "content": [said]}, {"role": "user", "content": [result]}


def used(message: anthropic.types.Message) -> anthropic.types.ToolUseBlock:
    (said,) = message.content
    assert isinstance(said, anthropic.types.ToolUseBlock)
    return said


def text_of(message: anthropic.types.Message) -> str:
    (said,) = message.content
    assert isinstance(said, anthropic.types.TextBlock)
    return said.text


@dataclass
class Station:
    """A running simulator and a client of it."""

    simulator: Simulator
    url: str
    client: anthropic.AsyncAnthropic

    async def ask(self, request: dict[str, Any]) -> anthropic.types.Message:
        return await self.client.messages.create(**request)

    async def stream(self, request: dict[str, Any]) -> tuple[anthropic.types.Message, str]:
        async with self.client.messages.stream(**request) as stream:
            raw = await partial_json(stream)
            return await stream.get_final_message(), raw

    async def raw_stream(self, request: dict[str, Any]) -> str:
        """The tool JSON as it is on the wire: the SDK's own helper mends it."""
        return await partial_json(await self.client.messages.create(**request, stream=True))


async def partial_json(stream: AsyncIterator[Any]) -> str:
    deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
    return "".join(delta.partial_json for delta in deltas if delta.type == "input_json_delta")


@asynccontextmanager
async def station(profile: Profile | None = None, *, pace: float = 0.0, seed: int = 0) -> AsyncIterator[Station]:
    simulator = Simulator(BOOK, profile or Profile.load("perfect"), seed=seed, pace=pace)
    url = await simulator.start()
    client = anthropic.AsyncAnthropic(api_key="none", base_url=url, max_retries=0)
    try:
        yield Station(simulator, url, client)
    finally:
        await client.close()
        await simulator.close()


@pytest.fixture
def failing(tmp_path: Path) -> Callable[..., Profile]:
    def make(*failures: str, mends: float = 1.0) -> Profile:
        path = tmp_path / "failing.toml"
        rates = "\n".join(f'{name} = {{ rate = 1.0, source = "test" }}' for name in failures)
        path.write_text(
            '[failing]\nextends = "perfect"\n[failing.models."claude-*"]\n'
            f'correct_on_fault = {{ rate = {mends}, source = "test" }}\n'
            f'[failing.models."claude-*".failures]\n{rates}\n'
        )
        return Profile.load(path)

    return make


async def test_an_orchestrator_gets_the_plan_of_the_book():
    async with station() as s:
        message = await s.ask(asks_plan())
    assert (used(message).name, used(message).input, message.stop_reason) == ("plan", PLAN, "tool_use")
    assert message.id.startswith("msg_simulated_")
    assert message.usage.input_tokens > 50
    assert message.usage.output_tokens >= len(json.dumps(PLAN)) // 4
    assert message.usage.cache_read_input_tokens == 0


async def test_a_stream_says_the_same():
    async with station() as s:
        whole = await s.ask(asks_plan(run="run-1"))
        streamed, raw = await s.stream(asks_plan(run="run-1"))
        words, _ = await s.stream(asks_work(then=turns(await s.ask(asks_work()), '{"hold_id": "h1"}')))
    assert used(streamed).input == used(whole).input == json.loads(raw)
    assert (streamed.stop_reason, streamed.model) == ("tool_use", MODEL)
    assert text_of(words) == '{"hold_id": "h1"}'
    assert words.stop_reason == "end_turn"


async def test_a_request_matches_but_for_white_space():
    async with station() as s:
        message = await s.ask(asks_plan("  Larkspur on Saturday,  8 people. Bitte auf Deutsch. "))
    assert used(message).name == "plan"


async def test_an_unknown_request_is_never_planned():
    async with station(Profile.load("weak")) as s:
        message = await s.ask(asks_plan("something else"))
        known = await s.ask(asks_plan("the boat please"))
    assert used(message).name == "clarify"
    (question,) = used(message).input["questions"]
    assert "simulator" in question
    assert used(known).input == {"questions": ["Which boat?", "Which day?"]}


async def test_a_specialist_calls_its_tool_then_answers():
    shown = LINK | {"inputs": {"hold": "h7", "amount": 420, "text": "for <you>"}}
    async with station() as s:
        await s.ask(asks_plan())
        first = await s.ask(asks_work(shown, "create_link", "answer"))
        then = turns(first, block("result", {"url": "http://pay"}))
        last = await s.ask(asks_work(shown, "create_link", "answer", then=then))
    assert (used(first).name, used(first).input) == ("create_link", shown["inputs"])
    assert (used(last).name, used(last).input) == ("answer", {"url": "http://pay"})


async def test_calls_and_answers_of_the_book_are_filled_from_what_is_shown():
    subtask = HOLD | {"inputs": {"vessel": "heron"}}
    offered = ("place_hold", "look", "answer")
    async with station() as s:  # no plan was asked for: the entry is found by its subtask
        one = await s.ask(asks_work(subtask, *offered))
        then = turns(one, '{"hold_id": "h9"}')
        two = await s.ask(asks_work(subtask, *offered, then=then))
        end = await s.ask(asks_work(subtask, *offered, then=(*then, *turns(two, '{"seen": true}'))))
    assert (used(one).name, used(one).input) == ("place_hold", {"vessel": "heron"})
    assert (used(two).name, used(two).input) == ("look", {"hold": "h9"})
    assert used(end).input == {"hold_id": "h9", "sure": True}


async def test_a_refused_call_is_repeated_once_then_given_up():
    async with station() as s:
        first = await s.ask(asks_work())
        then = turns(first, "slot taken", is_error=True)
        again = await s.ask(asks_work(then=then))
        last = await s.ask(asks_work(then=(*then, *turns(again, "slot taken", is_error=True))))
    assert used(again).input == used(first).input
    assert "cannot" in text_of(last)
    assert last.stop_reason == "end_turn"


async def test_a_tool_that_is_not_offered_is_not_called():
    async with station() as s:
        message = await s.ask(asks_work(HOLD, "look"))
    assert "no tool 'place_hold'" in text_of(message)


async def test_other_questions_are_answered_honestly():
    async with station() as s:
        message = await s.ask({"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "hello"}]})
    assert "simulator" in text_of(message)


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        ("rate_limited", 429, "rate_limit_error"),
        ("overloaded", 529, "overloaded_error"),
        ("server_error", 500, "api_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_api_errors_look_like_the_real_ones(failing: Any, failure: str, status: int, kind: str, stream: bool):  # noqa: FBT001
    async with station(failing(failure), pace=0.25) as s:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await s.client.messages.create(**asks_plan(), stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.response.headers["x-simulated"] == "true"
    assert caught.value.response.headers.get("retry-after") == ("0.25" if status == 429 else None)
    assert s.simulator.calls == {"messages": 1, failure: 1}


async def test_a_model_outside_the_profile_is_not_found():
    async with station() as s:
        with pytest.raises(anthropic.NotFoundError, match="gpt-4o"):
            await s.ask(asks_plan(model="gpt-4o"))
        with pytest.raises(anthropic.NotFoundError):
            await s.client.models.retrieve("gpt-4o")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
        ({"tools": []}, "tool_choice"),
        ({"tools": tools("plan", "plan")}, "unique"),
        ({"tools": tools("a b")}, "tools.0.name"),
    ],
)
async def test_a_wrong_request_is_refused(change: dict[str, Any], said: str):
    async with station() as s:
        with pytest.raises(anthropic.BadRequestError, match=said):
            await s.ask(asks_plan() | change)


async def test_tool_results_must_follow_their_tool_uses():
    async with station() as s:
        use, result = turns(await s.ask(asks_work()), "{}")
        with pytest.raises(anthropic.BadRequestError, match="tool_use"):
            await s.ask(asks_work(then=(use, {"role": "user", "content": "well?"})))
        with pytest.raises(anthropic.BadRequestError, match="tool_use_id"):
            await s.ask(asks_work(then=(result,)))


async def test_what_no_sdk_sends_is_refused_too():
    async with station() as s, aiohttp.ClientSession(s.url) as http:
        async with http.post("/v1/messages", json=asks_plan()) as unsigned:
            assert (unsigned.status, (await unsigned.json())["error"]["type"]) == (401, "authentication_error")
        async with http.get("/v1/models") as unsigned:
            assert unsigned.status == 401
        async with http.post("/v1/messages", data="{", headers={"authorization": "Bearer x"}) as broken:
            assert (broken.status, (await broken.json())["error"]["type"]) == (400, "invalid_request_error")
        async with http.get("/v1/nothing") as nowhere:
            assert (nowhere.status, (await nowhere.json())["error"]["type"]) == (404, "not_found_error")
        async with http.post("/v1/messages", data=b" " * (33 << 20), headers={"x-api-key": "x"}) as large:
            assert (large.status, (await large.json())["error"]["type"]) == (413, "request_too_large")


async def test_an_answer_is_dropped_in_the_middle(failing: Any):
    async with station(failing("dropped")) as s:
        with pytest.raises((httpx2.RemoteProtocolError, anthropic.APIConnectionError)):
            await s.ask(asks_plan())
        with pytest.raises((httpx2.RemoteProtocolError, anthropic.APIConnectionError)):
            await s.stream(asks_plan())
    assert s.simulator.calls["dropped"] == 2


async def test_a_body_is_garbage(failing: Any):
    async with station(failing("garbage")) as s:
        with pytest.raises(json.JSONDecodeError):
            await s.ask(asks_plan())
        with pytest.raises(json.JSONDecodeError):
            await s.raw_stream(asks_plan())


async def test_an_answer_is_cut_off(failing: Any):
    async with station(failing("cut_off")) as s:
        whole = await s.ask(asks_plan())
        streamed, raw = await s.stream(asks_plan())
    assert whole.stop_reason == streamed.stop_reason == "max_tokens"
    assert len(used(whole).input["subtasks"]) < 3
    assert whole.usage.output_tokens == 4000
    assert json.dumps(PLAN).startswith(raw)
    assert raw != json.dumps(PLAN)


async def test_max_tokens_is_obeyed():
    async with station() as s:
        streamed, raw = await s.stream(asks_plan() | {"max_tokens": 20})
    assert (streamed.stop_reason, streamed.usage.output_tokens, len(raw)) == ("max_tokens", 20, 80)


async def test_malformed_plans_come_in_every_shape(failing: Any):
    async with station(failing("malformed_plan")) as s:
        shapes = [used(await s.ask(asks_plan(run=f"run-{n}"))).input for n in range(40)]
        streams = [await s.raw_stream(asks_plan(run=f"run-{n}")) for n in range(40, 80)]
    assert PLAN not in shapes
    assert any(isinstance(shape.get("subtasks"), str) for shape in shapes)
    assert sum(not parses(raw) for raw in streams) >= 3


async def test_wrong_arguments_are_mended_when_told(failing: Any):
    async with station(failing("wrong_arguments")) as s:
        first = await s.ask(asks_work())
        again = await s.ask(asks_work(then=turns(first, "hours: Field required", is_error=True)))
    assert used(first).input != HOLD["inputs"]
    assert used(again).input == HOLD["inputs"]
    assert s.simulator.calls["wrong_arguments"] == 1


@pytest.mark.parametrize(("mends", "mended"), [(1.0, True), (0.0, False)])
async def test_a_faulty_plan_is_mended_as_often_as_the_profile_says(failing: Any, mends: float, mended: bool):  # noqa: FBT001
    async with station(failing("missing_subtask", mends=mends)) as s:
        first = await s.ask(asks_plan())
        again = await s.ask(asks_plan(then=turns(first, "subtask 'c' needs 'b'", is_error=True)))
    assert len(used(first).input["subtasks"]) == 2
    assert used(again).input == (PLAN if mended else used(first).input)


async def test_tokens_and_models_can_be_asked_for():
    async with station() as s:
        counted = await s.client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "x" * 4000}])
        listed = [model async for model in s.client.models.list()]
        one = await s.client.models.retrieve("claude-haiku-4-5-20251001")
    assert 1000 < counted.input_tokens < 1050
    assert MODEL in [model.id for model in listed]
    assert "simulated" in one.display_name


async def test_the_front_page_says_what_it_is():
    async with station() as s, aiohttp.ClientSession() as http:
        await s.ask(asks_plan())
        async with http.get(s.url) as front:
            said = await front.json()
    assert (said["simulated"], said["profile"], said["calls"]) == (True, "perfect", {"messages": 1, "plan": 1})
    assert front.headers["x-simulated"] == "true"


async def test_slow_answers_time_out_and_do_not_hold_up_closing():
    loop = asyncio.get_running_loop()
    async with station(pace=100.0) as s:
        with pytest.raises(anthropic.APITimeoutError):
            await s.ask(asks_plan() | {"timeout": 0.05})
        began = loop.time()
    assert loop.time() - began < 2


async def test_pace_scales_the_wait():
    async with station(pace=0.05) as s:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(s.ask(asks_plan(run=f"run-{n}")) for n in range(20)))
    assert 0.08 < asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.com", ""])
async def test_only_loopback_is_served(host: str):
    with pytest.raises(UsageError, match="loopback only"):
        await Simulator(BOOK, Profile.load("perfect")).start(host)


async def test_a_taken_port_is_a_clear_error():
    async with station() as s:
        port = int(s.url.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen"):
            await Simulator(BOOK, Profile.load("perfect")).start(port=port)
        with pytest.raises(UsageError, match="started already"):
            await s.simulator.start()


async def outcomes(order: list[int], at_once: int) -> tuple[list[Any], Counter[str]]:
    """Each run's plan and first call, from runs started in some order, so many at a time."""
    said: dict[int, Any] = {}
    gate = asyncio.Semaphore(at_once)

    async def run(s: Station, number: int) -> None:
        text = TEXT if number % 2 else TWICE["request"]
        async with gate:
            parts: list[Any] = []
            for request in (asks_plan(text, run=f"run-{number}"), asks_work(run=f"run-{number}")):
                try:
                    parts.append((await s.ask(request)).model_dump_json())
                except (anthropic.APIError, httpx2.HTTPError, json.JSONDecodeError) as error:
                    parts.append(type(error).__name__)
            said[number] = tuple(parts)

    async with station(Profile.load("weak"), seed=7) as s:
        await asyncio.gather(*(run(s, number) for number in order))
        return sorted(said.values()), s.simulator.calls


async def test_order_and_concurrency_change_nothing():
    one_by_one = await outcomes(list(range(80)), at_once=1)
    all_at_once = await outcomes(list(reversed(range(80))), at_once=40)
    assert one_by_one == all_at_once
    assert len({plan for plan, _ in one_by_one[0]}) > 5


def parses(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


async def test_runs_that_were_begun_elsewhere_are_told_apart():
    async with station() as s:
        ids = {(await s.ask(asks_work(run=f"run-{n}"))).id for n in range(20)}
    assert len(ids) == 20

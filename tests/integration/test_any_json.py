"""Any JSON as request, as plan, as tool result, any bytes as a model's answer: the worker lives on and every run comes to stand.

TRIMTAB_FUZZ=5000 pytest tests/integration/test_any_json.py     tries as many of each; `bench/chaos/any_json.py` does so too.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.provider_server import body, provider_server
from trimtab import Done, Failed, Handoff, Rejected, Retry, Specialist, Status, Step, Workflow, app, tool
from trimtab.cli.run import read_request
from trimtab.core.errors import UsageError
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, ToolUse
from trimtab.core.ports import Ended
from trimtab.models.client import Provider, ProviderClient
from trimtab.run.retry import Limits
from trimtab.testing import ScriptedModel, app_for_tests, fault, says, uses

EXAMPLES = int(os.environ.get("TRIMTAB_FUZZ", "60"))
PATIENCE = 60  # against hangs, not a claim about speed
# Back-off would only take time here.
LIMITS = Limits(
    backoff=timedelta(milliseconds=1), backoff_most=timedelta(milliseconds=1), attempts={}, attempts_default=2
)
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

# Halves of surrogate pairs, NUL, numbers beyond every type: whatever JSON can carry.
words = st.text(st.characters(), max_size=12) | st.sampled_from(["", "\0", "\ud800", "$a.b", "$$", "a", "x" * 5_000])
scalars = st.none() | st.booleans() | st.integers() | st.integers(-(10**40), 10**40) | st.floats() | words
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(words, anything, max_size=4)
PLAN: list[dict[str, Any]] = [
    {"id": "a", "specialist": "worker", "action": "look", "instruction": "look", "inputs": {"value": 1}, "needs": []},
    {
        "id": "b",
        "specialist": "worker",
        "action": "make",
        "instruction": "make",
        "inputs": {"value": 2},
        "needs": ["a"],
    },
    {"id": "c", "specialist": "worker", "action": "send", "instruction": "", "inputs": {"value": 3}, "needs": ["b"]},
]


class Tools(Specialist, role="worker"):
    """You do anything."""

    def __init__(self) -> None:
        self.gives: dict[str, dict[str, Any]] = {}

    def _give(self, step: Step, name: str) -> Any:
        given = self.gives.get(step.run_id, {}).get(name)
        if isinstance(given, BaseException):
            raise given
        return given

    @tool("read")
    async def look(self, step: Step, value: Any = None) -> Any:
        """Look at something."""
        return self._give(step, "look")

    @tool("reversible")
    async def make(self, step: Step, value: Any = None) -> Any:
        """Make something."""
        return self._give(step, "make")

    @make.compensate
    async def unmake(self, step: Step, made: Any) -> Any:
        """Take it back."""
        return self._give(step, "unmake")

    @make.lookup
    async def made(self, step: Step) -> Any:
        """Ask whether it was made."""
        return self._give(step, "made")

    @make.ensure
    async def holds(self, step: Step, made: Any) -> Any:
        """See that it holds."""
        return self.gives.get(step.run_id, {}).get("holds") is None or self._give(step, "holds")

    @tool("irreversible")
    async def send(self, step: Step, value: Any = None) -> Any:
        """Send something."""
        return self._give(step, "send")


class Anything(Workflow[Any, Any], name="anything"):
    """You do anything."""

    def conclude(self, request: Any, results: Mapping[str, Any]) -> Any:
        return dict(results)


class Worker:
    """An app in a thread of its own, on one store, started again when asked to."""

    def __init__(self, store: Path, models: Any = None) -> None:
        self.store, self.tools = store, Tools()
        self.plays: dict[str, Any] = {}
        self.models = models or ScriptedModel(self._play)
        self.runs: dict[str, Any] = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.open()

    def open(self) -> None:
        self.opened = app_for_tests(Anything([self.tools]), models=self.models, store=self.store, limits=LIMITS)
        self.app = self.do(self.opened.__aenter__())

    def close(self) -> None:
        self.do(self.opened.__aexit__(None, None, None))

    def end(self) -> None:
        self.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def do(self, work: Any) -> Any:
        """Let the app do something, in bounded time; that its thread is gone is the crash that is looked for."""
        assert self.thread.is_alive(), "the worker died"
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def settle(self, request: Any = None, **plays: Any) -> Any:
        """Work on a request until it stands in a named state; `plays` says what models and tools give for it."""
        key = f"k{len(self.runs)}"
        run_id = app.run_id_of("anything", key)
        self.plays[run_id] = plays.pop("model", None)
        self.tools.gives[run_id] = plays
        run = self.do(self.app.start_json("anything", request, key))
        standing = self.runs[run_id] = self.do(run.settled())
        assert standing.status in Status
        return standing

    def check(self) -> None:
        """The worker still works, and after a restart every run stands as it did."""
        assert self.settle("after all that").status is Status.COMPLETED
        assert not self.app.engine.broken.done()
        self.close()
        self.open()
        for run_id, before in self.runs.items():
            after = self.do(self.app.run(run_id, "anything").settled())
            assert isinstance(after, Ended) == isinstance(before, Ended)
            assert (after.status, after.reason) == (before.status, before.reason)

    def _play(self, call: ModelCall) -> Any:
        play = self.plays.get(call.run_id)
        given = play(call) if play is not None else None
        return right(call) if given is None else given


def right(call: ModelCall) -> Any:
    if call.tools[0].name == "plan":
        return uses("plan", subtasks=PLAN)
    subtask = json.loads(call.messages[0].text.split("\n")[1])
    return uses(subtask["action"], **subtask["inputs"])


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("store") / "t.db")
    yield made
    made.end()


def refused(work: Callable[[], Any]) -> Any:
    """Do it; where it is refused as a mistake of the caller's, give the refusal."""
    try:
        return work()
    except UsageError as error:
        return error


# -- requests ----------------------------------------------------------------------------------------------------------


@fuzz
@given(anything)
def test_any_json_is_a_request_that_is_worked_on_or_refused_as_a_mistake(worker, request_json):
    standing = refused(lambda: worker.settle(request_json))
    assert isinstance(standing, UsageError) or standing.status is Status.COMPLETED


@fuzz
@given(st.text(max_size=30) | anything.map(json.dumps))
def test_any_text_on_the_command_line_is_a_request_or_refused_as_a_mistake(worker, text):
    run_id = refused(lambda: worker.app.hand_in("anything", read_request(text)))
    if isinstance(run_id, UsageError):
        assert run_id.hint
    else:
        assert worker.do(worker.app.run(run_id, "anything").settled()).status is Status.COMPLETED


# -- plans -------------------------------------------------------------------------------------------------------------


@st.composite
def spoilt(draw: Any, whole: Any) -> Any:
    """JSON that is right but for one place."""
    value = copy.deepcopy(whole)
    place, parent, key = value, None, None
    while isinstance(place, dict | list) and place and (parent is None or draw(st.integers(0, 3))):
        parent = place
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place = place[key]
    how = draw(st.sampled_from(["put", "drop", "add"]))
    if parent is None:
        return draw(anything)
    if how == "drop":
        del parent[key]
    elif how == "add" and isinstance(parent, dict):
        parent[draw(words)] = draw(anything)
    else:
        parent[key] = draw(anything)
    return value


@fuzz
@given(
    st.lists(
        objects.map(lambda o: ToolUse("", "plan", o))
        | spoilt({"subtasks": PLAN}).map(lambda p: ToolUse("", "plan", p)),
        min_size=1,
        max_size=3,
    )
)
def test_any_json_as_a_plan_comes_to_a_named_state(worker, plans):
    given = iter(plans)

    def play(call: ModelCall) -> Any:
        if call.tools[0].name != "plan":
            return None
        use = next(given, plans[-1])
        return ModelAnswer("", (use,), says("").usage, "", "", "tool_use")

    worker.settle("a plan", model=play)


@fuzz
@given(st.lists(st.tuples(words | st.sampled_from(["look", "make", "send", "plan", "answer"]), anything), max_size=3))
def test_any_tool_use_of_a_specialist_comes_to_a_named_state(worker, given):
    def play(call: ModelCall) -> Any:
        if call.tools[0].name == "plan":
            return None
        return ModelAnswer("", tuple(ToolUse("", *use) for use in given), says("").usage, "", "", "tool_use")

    worker.settle("tool uses", model=play)


@fuzz
@given(st.sampled_from(["transient", "permanent", "malformed"]), words, words, st.none() | st.timedeltas())
def test_any_fault_of_a_model_comes_to_a_named_state(worker, kind, error_class, message, after):
    made: ModelFault = fault(kind, error_class, message, retry_after=after)
    worker.settle("a fault", model=lambda call: made)


# -- tools -------------------------------------------------------------------------------------------------------------

statuses = st.sampled_from(list(Status))
outcomes = (
    anything.map(Done)
    | st.builds(Handoff, statuses, anything, words, st.booleans())
    | st.builds(Retry, words, st.none() | st.timedeltas(), words)
    | st.builds(Rejected, words)
    | st.builds(Failed, words, words)
)
raised = st.builds(
    lambda kind, text: kind(text),
    st.sampled_from(
        [
            *(
                ValueError,
                KeyError,
                OSError,
                TimeoutError,
                RecursionError,
                MemoryError,
                AssertionError,
                StopAsyncIteration,
            ),
            *(StopIteration, asyncio.CancelledError, SystemExit, EOFError, UnicodeError, BaseException),
        ]
    ),
    words,
)
no_json = st.sampled_from([object(), {1: 2}, {"a": {3}}, b"\xff", float("nan"), 10**400, type, lambda: None])
whatever = anything | outcomes | raised | no_json
places = st.sampled_from(["look", "make", "send", "unmake", "made", "holds"])


@fuzz
@given(st.dictionaries(places, whatever, min_size=1, max_size=4))
def test_whatever_a_tool_gives_or_raises_its_run_comes_to_a_named_state(worker, gives):
    worker.settle("tools", **gives)


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, BaseException, RecursionError])
@pytest.mark.parametrize("place", ["look", "make", "send", "unmake", "made", "holds"])
def test_a_tool_that_would_end_the_process_ends_its_own_subtask_alone(worker, place, kind):
    gives = {place: kind("out"), **({"make": ValueError("first")} if place == "made" else {})}
    gives |= {"send": Failed("so that it is taken back")} if place == "unmake" else {}
    standing = worker.settle("tools", **gives)
    assert standing.status in (Status.FAILED, Status.NEEDS_YOU)
    assert worker.settle("another").status is Status.COMPLETED


@pytest.mark.parametrize("place", ["look", "make", "send", "unmake", "made"])
def test_whoever_asks_to_be_asked_again_in_hours_holds_nothing_up(worker, place):
    gives: dict[str, Any] = {place: Retry("later", timedelta(hours=5))}
    gives |= {"make": ValueError("first")} if place == "made" else {}
    gives |= {"send": Failed("so that it is taken back")} if place == "unmake" else {}
    standing = worker.settle("later", **gives)
    assert standing.status is (Status.NEEDS_YOU if place == "made" else Status.DEFERRED)


# -- model APIs --------------------------------------------------------------------------------------------------------

types = st.sampled_from(["application/json", "text/html", "text/event-stream", "application/octet-stream"])
answers = st.tuples(
    st.sampled_from([200, 200, 200, 204, 206, 302, 400, 401, 404, 418, 429, 500, 503, 529, 599]),
    st.binary(max_size=200)
    | anything.map(lambda value: json.dumps(value).encode())
    | spoilt(body("anthropic", {"subtasks": PLAN})).map(lambda value: json.dumps(value).encode()),
    types,
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "request-id"]), st.text("0123456789.eE-", max_size=6)
    ),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Iterator[Any]:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    serving = provider_server()
    server = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(PATIENCE)
    client = ProviderClient({"anthropic": Provider("anthropic", server.url)})
    worker = Worker(tmp_path_factory.mktemp("store") / "t.db", client)
    yield server, worker
    worker.do(client.close())
    worker.end()
    asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)


@fuzz
@given(st.lists(answers, min_size=1, max_size=4))
def test_any_bytes_as_an_answer_of_a_model_api_come_to_a_named_state(api, given):
    server, worker = api
    told = iter(given)

    async def behave(request: web.Request) -> web.StreamResponse:
        status, content, kind, headers = next(told, given[-1])
        return web.Response(status=status, body=content, content_type=kind, headers=headers)

    server.behave = behave
    worker.settle("over HTTP")


def test_after_all_that_the_worker_works_and_every_run_stands_as_it_did(worker):
    worker.settle("one more")
    worker.check()
    assert len(worker.runs) > 1

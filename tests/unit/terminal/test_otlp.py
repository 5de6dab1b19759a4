from __future__ import annotations

import gzip
import http.client
import json
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.transcripts import START, Session

from trimtab.core.errors import UsageError
from trimtab.terminal.index import open_index
from trimtab.terminal.index_fill import fill
from trimtab.terminal.otlp import LARGEST, BadBodyError, received, store, unpacked
from trimtab.terminal.otlp_sink import Sink
from trimtab.terminal.usage import Span, read

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "claude_code" / "06_otlp_http_json.jsonl"
JSON = {"content-type": "application/json"}


def record(**said):
    told = {"event.name": "api_request", "event.timestamp": START.isoformat(), "session.id": "s1", "model": "claude-sonnet-4-6",
            "input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 0, "request_id": "req-1", "cache_creation_tokens": 0} | said  # fmt: skip
    return {
        "attributes": [
            {"key": key, "value": {"intValue" if isinstance(v, int) else "stringValue": v}} for key, v in told.items()
        ]
    }


def body(*records):
    resource = {"attributes": [{"key": "service.version", "value": {"stringValue": "2.1.330"}}]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}).encode()


@pytest.fixture
def index():
    opened = open_index(None)
    yield opened
    opened.close()


def test_the_recorded_bodies_hold_two_calls():
    if not RECORDED.exists():
        pytest.skip("the recorded telemetry is not here")
    bodies = [json.loads(line)["body"] for line in RECORDED.read_text("utf-8").splitlines()]
    found = [received(json.dumps(body).encode()) for body in bodies]
    calls = [call for one in found for call in one.calls]

    assert [
        (c.model, c.input, c.output, c.cache_read, c.cache_write_5m, c.cache_write_1h, c.version) for c in calls
    ] == [("claude-haiku-4-5", 100, 50, 2000, 600, 400, "2.1.330")] * 2
    assert len({c.key for c in calls}) == 2
    assert sum(one.bad for one in found) == 0
    assert found[5].others["tool_result"] == 1
    assert found[6].others["claude_code.token.usage"] == 1


def test_a_batch_that_is_sent_again_counts_once(index):
    found = received(body(record(), record(**{"event.sequence": 2})))

    assert [store(index.connection, found.calls) for _ in range(2)] == [2, 0]


def test_integers_may_come_as_text_and_kinds_of_writes_may_be_missing():
    call = received(body(record(input_tokens="7", cache_creation_tokens=9))).calls[0]

    assert (call.input, call.cache_write_5m, call.cache_write_1h) == (7, 9, 0)


@pytest.mark.parametrize("said", [{"model": ""}, {"input_tokens": -1}, {"output_tokens": "x"}, {"cache_read_tokens": 10**12}, {"event.timestamp": "never"}])  # fmt: skip
def test_a_call_that_cannot_be_used_is_counted(said):
    found = received(body(record(**said), record()))

    assert (len(found.calls), found.bad) == (1, 1)


def told(index, tmp_path):
    fill(index.connection, tmp_path)
    day = 86_400_000
    at = int(START.timestamp() * 1000)
    return read(index.connection, Span(at - day, at + day), "model", START)


def test_what_a_transcript_tells_of_too_is_not_told_twice(index, tmp_path):
    session = Session("s1").prompt().answer().answer()
    for row in session.rows[1:]:
        row["requestId"] = "req_same"  # as behind a gateway that gives all calls one id
    session.write(tmp_path)
    same = [record(request_id="req_same", **{"event.sequence": n}) for n in range(3)]
    store(index.connection, received(body(*same, record(**{"session.id": "s2"}))).calls)

    used = told(index, tmp_path)

    assert (used.total.calls, used.told.calls, used.told.sessions) == (2, 2, 2)


@given(st.binary(max_size=100), st.sampled_from(["", "gzip", "deflate", "br"]))
def test_any_body_is_read_or_refused(raw, encoding):
    calls, why = [], ""
    try:
        calls = received(unpacked(raw, encoding)).calls
    except BadBodyError as error:
        why = str(error)
    assert calls == []
    assert why.startswith(("it ", "content-encoding")) or json.loads(unpacked(raw, encoding)) == {}


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "stringValue", "attributes", "resource", "scopeLogs", "logRecords", "metrics"]), v, max_size=4), max_leaves=12)  # fmt: skip


@given(ANY, ANY)
def test_any_shape_of_json_is_read(one, two):
    found = received(json.dumps({"resourceLogs": one, "resourceMetrics": two}).encode())

    assert found.calls == []


def test_a_body_that_unpacks_to_too_much_is_refused():
    with pytest.raises(BadBodyError, match="larger"):
        unpacked(gzip.compress(b" " * (LARGEST + 1)), "gzip")
    with pytest.raises(BadBodyError, match="whole"):
        unpacked(gzip.compress(b"{}")[:-9], "gzip")
    assert unpacked(zlib.compress(b"{}"), "deflate") == b"{}"


@pytest.fixture
def sink():
    taken = []
    with Sink(0, taken.append) as sink:
        thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield sink.server_port, taken
        sink.shutdown()
        thread.join()


def post(port, path, content, headers, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", path, skip_host=host is not None)
    for name, value in {"content-length": str(len(content)), **headers, **({"host": host} if host else {})}.items():
        connection.putheader(name, value)
    connection.endheaders(content)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, said


def test_the_sink_takes_plain_and_packed_bodies(sink):
    port, taken = sink

    assert post(port, "/v1/logs", body(record()), JSON) == (200, b"{}")
    assert post(port, "/v1/logs", gzip.compress(body(record())), {**JSON, "content-encoding": "gzip"}) == (200, b"{}")
    assert post(port, "/v1/metrics", b'{"resourceMetrics": []}', JSON)[0] == 200
    assert [len(found.calls) for found in taken] == [1, 1, 0]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/traces", JSON, 404),
        ("/v1/logs", {"content-type": "application/x-protobuf"}, 415),
        ("/v1/logs", {"content-type": "text/plain"}, 415),
        ("/v1/logs", {**JSON, "origin": "http://127.0.0.1"}, 403),
        ("/v1/logs", {**JSON, "content-length": str(LARGEST + 1)}, 413),
        ("/v1/logs", {**JSON, "content-length": "9" * 5000}, 413),
        ("/v1/logs", {**JSON, "content-length": "-1"}, 411),
        ("/v1/logs", {**JSON, "content-encoding": "br"}, 400),
    ],
)
def test_the_sink_refuses_what_it_does_not_take(sink, path, headers, status):
    port, taken = sink

    assert post(port, path, b"{}", headers)[0] == status
    assert taken == []


def test_the_sink_is_for_this_host_only(sink):
    port, taken = sink

    assert post(port, "/v1/logs", body(record()), JSON, host=f"rebound.example:{port}")[0] == 403
    with Sink(0, taken.append) as other:
        assert other.server_address[0] == "127.0.0.1"
    assert taken == []


def test_a_port_that_is_taken_is_an_error_with_a_hint(sink):
    port, _ = sink
    with pytest.raises(UsageError, match="cannot listen") as error, Sink(port, lambda _: None):
        pass

    assert "--port" in error.value.hint

"""What a machine has left, its clock, and whether a provider answers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trimtab.hosts.machine import check_clock, check_disk
from trimtab.hosts.reach import reach

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_the_folder_above(tmp_path: Path):
    checked = check_disk([tmp_path / "not" / "yet", tmp_path])
    assert checked.said.count("free at") == 1
    assert str(tmp_path) in checked.said


@pytest.mark.parametrize(("minutes", "way"), [(10, "behind"), (-10, "ahead of")])
def test_a_clock_that_is_not_the_providers_is_an_error(minutes: int, way: str):
    (found,) = check_clock(NOW, NOW + timedelta(minutes=minutes), None).findings
    assert (found.weight, found.what) == ("error", f"the clock is 0:10:00 {way} the model provider's")


def test_a_fact_of_the_future_says_that_the_clock_went_back():
    (found,) = check_clock(NOW, None, NOW + timedelta(hours=1)).findings
    assert "13:00:00, later than now" in found.what


def test_a_clock_that_agrees_is_fine():
    checked = check_clock(NOW, NOW + timedelta(seconds=2), NOW - timedelta(days=1))
    assert (checked.findings, checked.said) == ((), "2026-11-23 12:00:00 UTC, 2 s off")


class Answers(BaseHTTPRequestHandler):
    heard: list[dict[str, str]]

    def do_HEAD(self):
        self.heard.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(404)
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def server():
    Answers.heard = []
    with HTTPServer(("127.0.0.1", 0), Answers) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_any_answer_counts_as_reached_and_no_key_is_sent(server: str):
    answer = reach(server, 5)
    assert answer.status == 404
    assert answer.server is not None
    assert abs(datetime.now(UTC) - answer.server) < timedelta(minutes=1)
    assert not {"authorization", "x-api-key"} & set(Answers.heard[0])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:99999", "https://[::1", "ftp:", "http://"])
def test_an_address_that_does_not_answer_or_is_none_says_why(url: str):
    answer = reach(url, 5)
    assert answer.status is None
    assert answer.why

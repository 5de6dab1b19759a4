from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from trimtab.models import genai


def test_the_file_is_what_the_installed_library_says():
    assert genai.SNAPSHOT.read_text("utf-8") == genai.snapshot_text(), "write it anew: make prices"


def test_the_library_has_the_version_that_is_installed():
    assert genai.library() == f"genai-prices {version('genai-prices')}"


@pytest.mark.parametrize("provider", genai.PROVIDERS)
def test_the_file_and_the_library_itself_say_the_same_of_every_model(provider: str):
    from genai_prices.data import providers

    of_file = genai.listed(provider)
    assert of_file is not None
    of_library = genai.Listed(genai.told_of(next(p for p in providers if p.id == provider)))
    assert list(of_file.models) == list(of_library.models)
    for key in of_file.models:
        assert of_file.said(key) == of_library.said(key)


@pytest.mark.parametrize("provider", genai.PROVIDERS)
def test_a_model_is_found_by_every_name_that_the_library_lists_it_by(provider: str):
    listed = genai.listed(provider)
    assert listed is not None
    names = {name: key for key, told in reversed(listed.models.items()) for name in (*told["names"], *told["stems"])}
    assert len(names) > 50
    assert {name: listed.find(name) for name in names} == names


def test_a_model_is_found_by_the_name_it_is_listed_by_however_the_library_tells_it():
    from genai_prices.data import providers

    looked = 0
    for provider in providers:
        listed = genai.Listed(genai.told_of(provider))
        own = [m for m in provider.models if m.id in listed.models and provider.find_model(m.id) is m]
        assert {m.id: listed.find(m.id) for m in own} == {m.id: m.id for m in own}
        looked += len(own)
    assert looked > 1000


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-opus-5-latest", "claude-opus-5"),
        ("claude-haiku-4-5", None),
        ("claude-haiku-4-5-202510011", None),
        ("20251001", None),
    ],
)
def test_a_date_or_latest_comes_off_a_name(name: str, stem: str | None):
    assert genai.undated(name) == stem


def test_the_file_holds_no_price_that_is_not_a_number():
    models = json.loads(genai.SNAPSHOT.read_text("utf-8"))["providers"]
    rows = [row for listed in models.values() for told in listed.values() for row in told["prices"]]
    assert len(rows) > 100
    assert all(float(row["input"]) >= 0 for row in rows)

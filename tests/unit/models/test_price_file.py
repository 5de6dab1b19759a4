from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.errors import PolicyError
from trimtab.core.usage import Usage
from trimtab.models.catalogue import Catalogue
from trimtab.models.price_file import OUR_FILE, parse, read_ours
from trimtab.models.prices import PriceRow, Rates, Said, Tier, merge
from trimtab.policy.load import parse as parse_policy

DAY = date(2026, 11, 23)
MILLION = 1_000_000
SITE = """
date = 2026-11-20

[models."openai:my-llama"]
context = 128_000
source = "our own machines"
prices = [{ input = 0, output = 0.1 }]

[[models."anthropic:claude-sonnet-4-6".prices]]
from = 2026-12-01
until = 2027-11-30
input = 2.4
output = 12
source = "contract 4711"
"""


def site(tmp_path: Path, text: str = SITE) -> Catalogue:
    path = tmp_path / "prices.toml"
    path.write_text(text, "utf-8")
    return Catalogue(path)


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text, "prices.toml")
    return str(caught.value)


def test_a_private_model_has_the_price_its_site_gives_it(tmp_path: Path):
    there = site(tmp_path)
    assert there.cost("openai:my-llama", Usage(MILLION, 1000), DAY) == Decimal("0.0001")
    assert there.cost("openai:my-llama", Usage(cache_read=1), DAY) is None
    assert there.full_id("my-llama") == "openai:my-llama"
    told = there.model("openai:my-llama")
    assert told is not None
    assert told.sources == {"context": "prices.toml 2026-11-20: our own machines"}
    assert told.rows[0].source == "prices.toml 2026-11-20: our own machines"


@pytest.mark.parametrize(
    ("day", "dollars"), [("2026-11-30", "3"), ("2026-12-01", "2.4"), ("2027-11-30", "2.4"), ("2027-12-01", "3")]
)
def test_a_negotiated_price_holds_on_its_days_and_the_list_price_on_others(tmp_path: Path, day: str, dollars: str):
    there = site(tmp_path)
    on = date.fromisoformat(day)
    for name in ("claude-sonnet-4-6", "claude-sonnet-4-6-20991231"):
        assert there.cost(f"anthropic:{name}", Usage(input=MILLION), on) == Decimal(dollars)


def test_what_a_site_does_not_say_of_a_model_stays_as_it_was(tmp_path: Path):
    told = site(tmp_path).model("anthropic:claude-sonnet-4-6")
    assert told is not None
    assert told.context == MILLION
    assert [(row.since, row.until) for row in told.rows] == [
        (None, date(2026, 3, 12)),
        (date(2026, 3, 13), date(2026, 11, 30)),
        (date(2026, 12, 1), date(2027, 11, 30)),
        (date(2027, 12, 1), None),
    ]


def test_a_site_may_price_one_release_apart(tmp_path: Path):
    text = 'date = 2026-11-20\n[models."anthropic:claude-haiku-4-5-20251001"]\nprices = [{ input = 7, output = 8 }]\n'
    there = site(tmp_path, text)
    costs = [there.cost(f"anthropic:claude-haiku-4-5{dated}", Usage(MILLION), DAY) for dated in ("", "-20251001")]
    assert costs == [1, 7]


def test_prices_by_the_length_of_the_prompt_can_be_given(tmp_path: Path):
    text = (
        'date = 2026-11-20\n[models."openai:x"]\n'
        "prices = [{ input = 1, output = 2, tiers = [{ over = 100, input = 3, output = 4 },"
        " { over = 200, input = 5, output = 6 }] }]\n"
    )
    there = site(tmp_path, text)
    costs = [there.cost("openai:x", Usage(input=prompt, output=1), DAY) for prompt in (100, 101, 200, 201)]
    assert costs == [Decimal(micros) / MILLION for micros in (102, 307, 604, 1011)]


def test_the_version_names_every_file_by_its_day_and_content(tmp_path: Path):
    one, two = site(tmp_path).version, site(tmp_path, SITE.replace("2.4", "2.5")).version
    assert one != two
    assert [part.rsplit(" ", 1)[0] for part in one.split(", ")][1:] == [
        f"trimtab prices {read_ours().date}",
        "prices.toml 2026-11-20",
    ]


def test_our_own_file_is_as_strictly_written_as_a_site_file_must_be():
    ours, checked = read_ours(), parse(OUR_FILE.read_text("utf-8"), str(OUR_FILE))
    assert (ours.date, ours.digest, ours.aliases, ours.models.keys()) == (
        checked.date,
        checked.digest,
        checked.aliases,
        checked.models.keys(),
    )


def test_our_own_file_says_where_every_figure_comes_from():
    ours = read_ours()
    assert len(ours.models) > 10
    assert all(": " in said.source for said in ours.models.values())


def test_every_model_of_our_own_file_is_listed_as_the_library_lists_it():
    catalogue = Catalogue()
    for model in read_ours().models:
        told = catalogue.model(model)
        assert told is not None
        assert told.id == model


def test_every_alias_of_our_own_file_means_a_model_that_is_sold_today():
    catalogue = Catalogue()
    for means in read_ours().aliases.values():
        told = catalogue.model(means)
        assert told is not None
        assert told.on(DAY)
        assert told.retires is None


ROW = 'date = 2026-11-20\n[models."a:b"]\nprices = [{{ input = 1, output = 2{} }}]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "date: expected the day on which these prices were checked"),
        ('date = "today"', "date: expected a date"),
        ("date = 2026-11-20T00:00:00Z", "date: expected a date"),
        ("date = 2026-11-20\nprice = 1", "price: unknown key 'price'"),
        ('date = 2026-11-20\n[models."claude"]\ncontext = 1', 'models.claude: expected "provider:full-id"'),
        ('date = 2026-11-20\n[models."a:b"]', 'models."a:b": an empty table says nothing'),
        ('date = 2026-11-20\n[models."a:b"]\ncontext = 0', 'models."a:b".context: expected a whole number'),
        ('date = 2026-11-20\n[models."a:b"]\nbatch = -1', 'models."a:b".batch: expected a multiple'),
        ('date = 2026-11-20\n[models."a:b"]\nprices = 3', 'models."a:b".prices: expected a list of tables'),
        ('date = 2026-11-20\n[models."a:b"]\nprices = [3]', 'models."a:b".prices.1: expected a table'),
        ('date = 2026-11-20\n[models."a:b"]\nprices = [{ input = 1 }]', "expected 'output'"),
        (ROW.format(", cahce_read = 1"), "did you mean 'cache_read'?"),
        (ROW.format(", cache_read = -0.1"), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(", cache_read = nan"), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(", cache_read = inf"), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(", cache_read = true"), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(', cache_read = "1"'), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(", cache_read = 1e9"), 'models."a:b".prices.1.cache_read: expected dollars'),
        (ROW.format(", from = 2026-02-01, until = 2026-01-01"), "prices.1.until: expected a day from 2026-02-01 on"),
        (ROW.format(" }, { input = 1, output = 2"), "two rows hold on the first day"),
        (
            ROW.format(", until = 2026-03-01 }, { from = 2026-03-01, input = 1, output = 2"),
            "prices.2.from: two rows hold on 2026-03-01",
        ),
        (ROW.format(", tiers = [{ over = 9, input = 1 }]"), "prices.1.tiers.1: expected prices of the same kinds"),
        (ROW.format(", tiers = [{ input = 1, output = 1 }]"), "prices.1.tiers.1.over: expected more tokens than 0"),
        (
            ROW.format(", tiers = [{ over = 9, input = 1, output = 1 }, { over = 9, input = 1, output = 1 }]"),
            "prices.1.tiers.2.over: expected more tokens than 9",
        ),
        ("date = 2026-11-20\n[models", "line 2"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_refused_by_key_path(text: str, said: str):
    assert said in refused(text)


def test_everything_that_is_wrong_is_one_error():
    told = refused(ROW.format(", cache_read = -1, wrong = 2") + "more = 1\n")
    assert told.count("prices.toml: ") == 3


def test_a_site_file_that_is_not_there_is_told_with_the_key_that_names_it(tmp_path: Path):
    with pytest.raises(PolicyError, match=r"no such file\nhint: prices under \[app\]"):
        Catalogue(tmp_path / "nothing.toml")


def test_the_policy_names_the_file_beside_itself():
    text = '[app]\nprices = "money/prices.toml"\n[roles]\ndefault = "a:b"\n[providers.a]\nkind = "openai"\n'
    assert parse_policy(text, "/site/trimtab.toml").price_file == Path("/site/money/prices.toml")
    assert parse_policy(text.replace("prices", "store"), "/site/trimtab.toml").price_file is None
    with pytest.raises(PolicyError, match=r"app\.prices: expected the path of a file"):
        parse_policy(text.replace('"money/prices.toml"', "3"))


DAYS = st.dates(date(2026, 1, 1), date(2026, 2, 10))


@st.composite
def layers(draw: st.DrawFn) -> list[Said]:
    made: list[Said] = []
    for name in ("site", "ours", "library"):
        bounds = sorted(draw(st.sets(DAYS, max_size=4)))
        rows = [
            PriceRow(since, after - timedelta(days=1), (Tier(0, Rates(Decimal(draw(st.integers(1, 3))))),), name)
            for since, after in pairwise(bounds)
            if draw(st.booleans())
        ]
        made.append(Said(name, tuple(rows)))
    return made


@given(layers(), DAYS)
def test_on_every_day_the_strongest_source_with_a_price_tells_it(said: list[Said], day: date):
    expected = next((row for s in said for row in s.rows if row.holds(day)), None)
    model = merge("a:b", said)
    holding = [row for row in model.rows if row.holds(day)]
    assert [(row.tiers, row.source) for row in holding] == ([(expected.tiers, expected.source)] if expected else [])

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from trimtab.core.finding import Finding
from trimtab.core.usage import PromptLengths
from trimtab.models.catalogue import Catalogue
from trimtab.models.check import Named, check_models, named_in, shortest_told
from trimtab.policy.load import parse

DAY = date(2026, 11, 23)
CATALOGUE = Catalogue()
POLICY = """
[models]
haiku = "anthropic:claude-haiku-5-5"
unused = "anthropic:claude-opus-5-5"
[roles]
default = "haiku"
payment = { model = "anthropic:claude-sonnet-4-6", escalate = ["unused", "anthropic:claude-opus-5"] }
[environments.staging.roles]
guest = "anthropic:claude-fable-5-2"
[experiments.arms-of-two]
environment = "staging"
goal = "decomposition_success"
arms = { control = {}, treatment = { orchestrator = "anthropic:claude-sonnet-5-5" } }
[experiments.factorial]
environment = "staging"
goal = "decomposition_success"
factors = { guest = "anthropic:claude-mythos-5", payment = { model = "haiku" } }
"""


def check(model: str, *prompts: PromptLengths, on: date = DAY, role: str = "orchestrator") -> list[Finding]:
    return check_models([Named(f"anthropic:{model}", f"roles.{role}", role)], CATALOGUE, on, prompts)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def lengths(
    largest: int, *, p95: int = 0, role: str = "orchestrator", model: str = "claude-haiku-4-5"
) -> PromptLengths:
    return PromptLengths(role, f"anthropic:{model}", 1000, p95, largest)


def test_every_place_of_a_policy_that_names_a_model_is_found():
    assert [(n.where, n.model.partition(":")[2], n.role) for n in named_in(parse(POLICY))] == [
        ("models.haiku", "claude-haiku-5-5", ""),
        ("models.unused", "claude-opus-5-5", ""),
        ("roles.default", "claude-haiku-5-5", "default"),
        ("roles.payment", "claude-sonnet-4-6", "payment"),
        ("roles.payment.escalate", "claude-opus-5-5", "payment"),
        ("roles.payment.escalate", "claude-opus-5", "payment"),
        ("environments.staging.roles.guest", "claude-fable-5-2", "guest"),
        ("experiments.arms-of-two.arms.treatment.orchestrator", "claude-sonnet-5-5", "orchestrator"),
        ("experiments.factorial.factors.guest", "claude-mythos-5", "guest"),
        ("experiments.factorial.factors.payment", "claude-haiku-5-5", "payment"),
    ]


def test_a_policy_of_current_models_with_full_ids_has_no_finding():
    assert check_models(named_in(parse(POLICY)), CATALOGUE, DAY) == []


@pytest.mark.parametrize(
    ("on", "what", "weight"),
    [
        ("2026-10-30", None, None),
        ("2026-10-31", "retires in 30 days, on 2026-11-30", "warning"),
        ("2026-11-29", "retires tomorrow, on 2026-11-30", "warning"),
        ("2026-11-30", "is retired since 2026-11-30", "error"),
        ("2027-11-30", "is retired since 2026-11-30", "error"),
    ],
)
def test_retirement_is_told_from_thirty_days_before(on: str, what: str | None, weight: str | None):
    findings = check("claude-sonnet-4-5-20250929", on=date.fromisoformat(on))
    if what is None:
        assert findings == []
        return
    found = only(findings)
    assert found.what == f"anthropic:claude-sonnet-4-5-20250929 {what}"
    assert (found.where, found.weight) == ("roles.orchestrator", weight)
    assert "SDK" in found.why
    assert "--from claude-sonnet-4-5-20250929 --to claude-sonnet-5-5" in found.mend


def test_an_alias_is_told_with_the_full_id_it_means():
    found = only(check("sonnet"))
    assert (found.what, found.weight) == ("anthropic:sonnet is an alias", "warning")
    assert "its price is not known" in found.why
    assert found.mend == "pin the full id: anthropic:claude-sonnet-5-5"


def test_a_name_without_a_date_that_stands_for_a_dated_release_is_only_noted():
    found = only(check("claude-haiku-4-5"))
    assert found.is_fine
    assert found.mend == "pin that: anthropic:claude-haiku-4-5-20251001"


def test_a_model_without_a_price_is_told_with_names_like_it():
    found = only(check("claude-haiku-4-5-fast"))
    assert (found.what, found.weight) == ("anthropic:claude-haiku-4-5-fast has no price", "warning")
    assert found.mend.startswith("did you mean anthropic:claude-haiku-4-5 or ")
    assert CATALOGUE.version in found.why


def test_a_private_model_is_fine_once_its_site_gives_it_a_price(tmp_path: Path):
    named = [Named("openai:my-llama", "roles.guest", "guest")]
    found = only(check_models(named, CATALOGUE, DAY))
    assert found.mend == "write its prices into a file, and name that as prices under [app]"
    path = tmp_path / "prices.toml"
    path.write_text('date = 2026-11-20\n[models."openai:my-llama"]\nprices = [{ input = 0, output = 0 }]\n', "utf-8")
    assert check_models(named, Catalogue(path), DAY) == []


def test_places_of_one_model_are_one_finding_and_the_most_urgent_comes_first():
    named = [
        Named("anthropic:claude-haiku-4-5", "models.haiku"),
        Named("anthropic:sonnet", "roles.guest", "guest"),
        Named("anthropic:claude-opus-4-0", "roles.payment", "payment"),
        Named("anthropic:sonnet", "roles.booking", "booking"),
    ]
    findings = check_models(named, CATALOGUE, DAY)
    assert [found.weight for found in findings] == ["error", "warning", "note"]
    assert findings[1].where == "roles.guest, roles.booking"


@pytest.mark.parametrize(
    ("largest", "what"),
    [
        (79_999, None),
        (80_000, "close to 100,000"),
        (100_000, "close to 100,000"),
        (100_001, "beyond 100,000"),
        (400_000, "beyond 100,000"),
    ],
)
def test_prompts_within_a_fifth_of_a_tier_are_told_whichever_model_they_went_to(largest: int, what: str | None):
    findings = check("claude-haiku-5-5", lengths(largest, p95=60_000))
    if what is None:
        assert findings == []
        return
    found = only(findings)
    assert found.what == (
        f"prompts of role 'orchestrator' are {what} tokens, where anthropic:claude-haiku-5-5 gets dearer"
    )
    assert "5 times the price of input" in found.why
    assert (
        f"the longest of 1,000 prompts to anthropic:claude-haiku-4-5 had {largest:,} tokens, 95 % had at most 60,000"
        in found.why
    )


def test_prompts_of_other_roles_say_nothing_of_a_model():
    assert check("claude-haiku-5-5", lengths(150_000, role="guest")) == []
    assert len(check("claude-haiku-5-5", lengths(150_000, role="guest"), role="default")) == 1


def test_a_tier_that_is_over_counts_no_more_and_one_beyond_the_context_never_did():
    seen = lengths(190_000, model="claude-sonnet-4-6")
    assert check("claude-sonnet-4-6", seen) == []
    assert only(check("claude-sonnet-4-6", seen, on=date(2026, 3, 12))).what.startswith("prompts of role")
    assert check("claude-sonnet-4-5-20250929", seen, on=date(2026, 9, 1)) == []


def test_prompts_that_a_model_cannot_take_are_an_error():
    found = only(check("claude-haiku-4-5-20251001", lengths(250_000, model="claude-sonnet-4-6")))
    assert found.weight == "error"
    assert "takes prompts of at most 200,000 tokens" in found.what


@pytest.mark.parametrize(
    "models", [["claude-haiku-5-5"], ["claude-haiku-4-5"], ["claude-sonnet-5", "claude-haiku-5-5"]]
)
def test_prompts_shorter_than_the_shortest_told_say_nothing(models: list[str]):
    named = [Named(f"anthropic:{model}", f"roles.{model}", "guest") for model in models]
    told = shortest_told(named, CATALOGUE, DAY)
    quiet = check_models(named, CATALOGUE, DAY)
    assert check_models(named, CATALOGUE, DAY, [lengths(told - 1, role="guest")]) == quiet
    assert len(check_models(named, CATALOGUE, DAY, [lengths(told + 1, role="guest")])) > len(quiet)

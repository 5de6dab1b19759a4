from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.errors import PolicyError
from trimtab.core.moves import ExperimentFact
from trimtab.policy.assign import Drawn, draw, is_as_declared, place, running
from trimtab.policy.experiment import Limit, declared, read_limit, spec_of
from trimtab.policy.load import check, load, parse
from trimtab.policy.resolve import UNSAID, make_pin, resolve
from trimtab.policy.spec import ExperimentSpec, RoleSpec

MODELS = "[models]\nhaiku = 'anthropic:claude-haiku-4-5'\nsonnet = 'anthropic:claude-sonnet-4-6'\n"
HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
ROLES = "[roles]\ndefault = 'haiku'\npayment = { model = 'haiku', effort = 'low', escalate = ['sonnet'] }\n"
ARMS = "arms = { control = {}, treatment = { orchestrator = 'sonnet' } }\n"
FINE = f"environment = 'staging'\ngoal = 'decomposition_success'\n{ARMS}"
NOW = datetime(2026, 6, 8, tzinfo=UTC)


def policy(body: str = FINE, before: str = ""):
    return parse(f"{MODELS}{ROLES}[environments.staging]\n{before}[experiments.x]\n{body}")


def refused(body: str, before: str = "") -> str:
    with pytest.raises(PolicyError) as caught:
        policy(body, before)
    return str(caught.value).removeprefix("trimtab.toml: ")


def test_an_experiment_of_two_arms_is_read():
    spec = policy(
        f"{FINE}weight = 12.5\nhorizon = '14d'\ndeadline = '90m'\n"
        "guardrails = { tokens_per_success = '+60%', latency_p95 = '+1.5s', cascade_rate = '+0' }"
    ).experiments["x"]
    assert spec == ExperimentSpec(
        "x",
        "staging",
        "decomposition_success",
        arms={"control": {}, "treatment": {"orchestrator": RoleSpec("sonnet")}},
        weight=0.125,
        guardrails={"tokens_per_success": "+60%", "latency_p95": "+1.5s", "cascade_rate": "+0"},
        deadline=timedelta(minutes=90),
        horizon=timedelta(days=14),
    )


def test_what_is_not_said_has_a_default():
    spec = policy().experiments["x"]
    assert (spec.weight, spec.deadline, spec.horizon, spec.control) == (0.5, timedelta(days=1), None, "control")


def test_a_factorial_experiment_is_read():
    spec = policy(
        "environment = 'staging'\ngoal = 'asks'\nfactors = { orchestrator = 'sonnet', payment = { max_tokens = 99 } }"
    ).experiments["x"]
    assert spec.factors == {"orchestrator": RoleSpec("sonnet"), "payment": RoleSpec(max_tokens=99)}
    assert spec.roles == {"orchestrator", "payment"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("goal = 'asks'\n" + ARMS, "experiments.x: expected an 'environment'\nhint: add environment = \"staging\": where its runs are accepted"),
        (FINE.replace("staging", "stagin"), "experiments.x.environment: unknown environment 'stagin', expected one of 'local', 'staging'\nhint: did you mean 'staging'?"),
        ("environment = 'staging'\n" + ARMS, "experiments.x: expected a 'goal'\nhint: add goal = 'decomposition_success', or one of tokens_per_success, usd_per_success, latency_p50, latency_p95, latency_p99, retry_rate, cascade_rate, asks, must_not"),
        (FINE.replace("decomposition_success", "latency"), "experiments.x.goal: expected one of 'decomposition_success', 'tokens_per_success', 'usd_per_success', 'latency_p50', 'latency_p95', 'latency_p99', 'retry_rate', 'cascade_rate', 'asks', 'must_not', not 'latency'"),
        (FINE + "traffic = 3", "experiments.x.traffic: unknown key 'traffic', expected one of 'arms', 'control', 'deadline', 'environment', 'factors', 'goal', 'guardrails', 'horizon', 'weight'\nhint: did you mean 'weight'?"),
        (FINE + "weight = 0", "experiments.x.weight: expected percent of runs over 0 and under 100, not 0"),
        (FINE + "weight = 100", "experiments.x.weight: expected percent of runs over 0 and under 100, not 100"),
        (FINE + "weight = true", "experiments.x.weight: expected percent of runs over 0 and under 100, not true"),
        (FINE + "horizon = '2 weeks'", "experiments.x.horizon: expected a time such as \"90s\", \"30m\", \"12h\" or \"14d\", not '2 weeks'"),
        (FINE + "deadline = '0d'", "experiments.x.deadline: expected a time such as \"90s\", \"30m\", \"12h\" or \"14d\", not '0d'"),
        (FINE + "guardrails = { latency = '+1s' }", "experiments.x.guardrails.latency: unknown key 'latency', expected one of 'asks', 'cascade_rate', 'decomposition_success', 'latency_p50', 'latency_p95', 'latency_p99', 'must_not', 'retry_rate', 'tokens_per_success', 'usd_per_success'\nhint: did you mean 'latency_p95'?"),
        (FINE + "guardrails = { asks = '5%' }", "experiments.x.guardrails.asks: expected a change at most allowed, such as \"+60%\", \"+1.5s\", \"-0.02\" or \"+0\", not '5%'"),
        (FINE + "guardrails = { tokens_per_success = '+1.5s' }", "experiments.x.guardrails.tokens_per_success: '+1.5s' does not fit this metric, expected such as \"+5%\""),
        (FINE + "guardrails = { decomposition_success = '-2%' }", "experiments.x.guardrails.decomposition_success: it is the goal already\nhint: take it out of the guardrails"),
        ("environment = 'staging'\ngoal = 'asks'", "experiments.x: expected 'arms' or 'factors'\nhint: arms = { control = {}, treatment = { orchestrator = \"sonnet\" } }"),
        (FINE + "factors = { payment = 'sonnet' }", "experiments.x: 'arms' and 'factors' exclude each other\nhint: arms = { control = {}, treatment = { orchestrator = \"sonnet\" } }"),
        (FINE.replace("control = {}, ", ""), "experiments.x.arms: expected exactly two arms, not 1\nhint: compare more than two by 'factors', or one after another\ntrimtab.toml: experiments.x: unknown arm 'control', expected 'treatment'\nhint: name the arm that is as before: control = 'treatment'"),
        (FINE + "control = 'contrl'", "experiments.x.control: unknown arm 'contrl', expected one of 'control', 'treatment'\nhint: did you mean 'control'?"),
        (FINE.replace("'sonnet'", "'sonet'"), "experiments.x.arms.treatment.orchestrator: unknown model 'sonet', expected one of 'haiku', 'sonnet' or \"provider:full-id\"\nhint: did you mean 'sonnet'?"),
        (FINE.replace("'sonnet'", "{ modle = 'sonnet' }"), "experiments.x.arms.treatment.orchestrator.modle: unknown key 'modle', expected one of 'effort', 'escalate', 'max_tokens', 'model', 'prompt'\nhint: did you mean 'model'?"),
        ("environment = 'staging'\ngoal = 'asks'\nfactors = { default = 'sonnet' }", "experiments.x.factors.default: a factor is one role, not every role\nhint: name the roles"),
        ("environment = 'staging'\ngoal = 'asks'\nfactors = { a='haiku', b='haiku', c='haiku', d='haiku', e='haiku', f='haiku', g='haiku' }", 'experiments.x.factors: expected 1 to 6 roles, not 7\nhint: factors = { orchestrator = "sonnet", payment = "sonnet" } varies each role for itself'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_key(body: str, said: str):
    assert refused(body) == said


@pytest.mark.parametrize(
    "arms", [ARMS, "factors = { orchestrator = 'sonnet' }\n", ARMS.replace("orchestrator", "default")]
)
def test_two_experiments_in_one_environment_may_not_change_the_same_role(arms: str):
    first = f"[experiments.w]\nenvironment = 'staging'\ngoal = 'asks'\n{arms}"
    said = refused(FINE, first)
    assert "in environment 'staging', as experiment 'w' does" in said
    assert said.endswith("take the finished one out: what it measured stays in the store")
    policy(FINE.replace("orchestrator", "payment"), first) if "default" not in arms else None
    policy(FINE.replace("'staging'", "'local'"), first)


def test_roles_that_no_workflow_has_are_refused_in_arms_and_factors():
    with pytest.raises(PolicyError, match=r"experiments\.x\.arms\.treatment\.orchestrater: unknown role"):
        check(policy(FINE.replace("orchestrator", "orchestrater")), ["payment"])
    with pytest.raises(PolicyError, match=r"experiments\.x\.factors\.paymnt: unknown role"):
        check(policy("environment = 'staging'\ngoal = 'asks'\nfactors = { paymnt = 'sonnet' }"), ["payment"])


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("+60%", Limit(0.6, "%")),
        ("-2%", Limit(-0.02, "%")),
        ("+1.5s", Limit(1.5, "s")),
        ("+250ms", Limit(0.25, "s")),
        ("+0", Limit(0.0, "")),
    ],
)
def test_limits_are_read(text: str, limit: Limit):
    assert read_limit(text) == limit


# -- arms in the map -----------------------------------------------------------------------------------------------


def drawn(changes: dict[str, RoleSpec], arm: str = "treatment") -> Drawn:
    return Drawn("x", arm, 0.5, 0.5, changes, ("experiments", "x", "arms", arm))


def test_an_arm_is_the_first_to_decide_and_is_named():
    resolved = resolve(policy(), "staging", ["orchestrator", "payment"], [drawn({"orchestrator": RoleSpec("sonnet")})])
    assert {role: choice.model for role, choice in resolved.choices.items()} == {
        "orchestrator": SONNET,
        "payment": HAIKU,
    }
    assert resolved.why["orchestrator"].model == "experiments.x.arms.treatment.orchestrator"
    assert resolved.why["payment"].model == "roles.payment"


def test_an_arm_may_change_effort_alone_and_every_role_at_once():
    effort = resolve(policy(), "staging", ["payment"], [drawn({"payment": RoleSpec(effort="high")})]).choices["payment"]
    assert (effort.model, effort.effort, effort.escalate) == (HAIKU, "high", (SONNET,))
    every = resolve(policy(), "staging", ["payment", "booking"], [drawn({"default": RoleSpec("sonnet")})])
    assert {(c.model, c.effort, c.escalate) for c in every.choices.values()} == {(SONNET, None, ())}


def test_the_pin_carries_the_arm_and_its_propensity():
    two = [drawn({}), Drawn("y", "control", 0.9, 0.1, {}, ("experiments", "y", "arms", "control"))]
    pin = make_pin(resolve(policy(), "staging", ["payment"], two), {"payment": "aa"}, NOW.date())
    assert (pin.arm, pin.propensity) == ("treatment,control", 0.45)
    alone = make_pin(resolve(policy(), "staging", ["payment"]), {"payment": "aa"}, NOW.date())
    assert (alone.arm, alone.propensity) == (None, 1.0)


# -- prompts -------------------------------------------------------------------------------------------------------


def test_a_prompt_is_read_beside_the_policy_and_is_part_of_its_digest(tmp_path: Path):
    path = tmp_path / "trimtab.toml"
    (tmp_path / "terse.md").write_text("\ufeff Be terse. \n", "utf-8")
    path.write_text(f"{MODELS}[roles]\npayment = {{ model = 'haiku', prompt = 'terse.md' }}")
    first = load(path)
    assert first.roles["payment"].instructions == "Be terse."
    resolved = resolve(first, "local", ["payment"])
    assert (resolved.choices["payment"].instructions, resolved.why["payment"].prompt) == ("Be terse.", "roles.payment")
    (tmp_path / "terse.md").write_text("Be brief.")
    assert load(path).digest != first.digest


def test_a_prompt_stays_when_an_arm_changes_the_model(tmp_path: Path):
    (tmp_path / "p.md").write_text("Be terse.")
    read = parse(f"{MODELS}[roles]\npayment = {{ model = 'haiku', prompt = 'p.md' }}", str(tmp_path / "trimtab.toml"))
    choice = resolve(read, "local", ["payment"], [drawn({"payment": RoleSpec("sonnet")})]).choices["payment"]
    assert (choice.model, choice.instructions) == (SONNET, "Be terse.")
    assert resolve(read, "local", ["payment"]).why["payment"].effort == UNSAID


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.md", "'none.md' is no file"),
        ("empty.md", "'empty.md' is empty"),
        ("latin.md", "'latin.md' is not UTF-8 text"),
        (".", "'.' is a folder or no plain file"),
        ("large.md", "'large.md' is larger than 200,000 bytes"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_by_its_key(tmp_path: Path, name: str, said: str):
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    (tmp_path / "large.md").write_text("x" * 200_001)
    for where, key in (("roles", "roles"), ("experiments.x.arms.treatment", "experiments.x.arms.treatment")):
        body = f"[{where}]\npayment = {{ model = 'anthropic:x', prompt = '{name}' }}\n"
        with pytest.raises(PolicyError) as caught:
            parse(body, str(tmp_path / "trimtab.toml"))
        assert f"{key}.payment.prompt: {said}" in str(caught.value)
    assert str(caught.value).endswith("hint: name a text file; the path is relative to the policy file")


def test_a_prompt_for_every_role_is_refused(tmp_path: Path):
    with pytest.raises(PolicyError, match=r"roles\.default\.prompt: expected a prompt for one role, not for all"):
        parse("[roles]\ndefault = { model = 'anthropic:x', prompt = 'a.md' }", str(tmp_path / "trimtab.toml"))


# -- assignment ----------------------------------------------------------------------------------------------------

TWO = ExperimentSpec("x", "local", "asks", arms={"control": {}, "treatment": {"a": RoleSpec("m")}})
CUBE = ExperimentSpec("cube", "local", "asks", factors={role: RoleSpec("m") for role in "abc"})
weights = st.floats(0.01, 0.99)


@given(st.text(), st.lists(weights, min_size=2, max_size=5))
def test_growing_the_weight_only_ever_moves_runs_into_treatment(key: str, grown: list[float]):
    for less, more in pairwise(sorted(grown)):
        assert (draw(TWO, less, key).arm, draw(TWO, more, key).arm) != ("treatment", "control")
        before, after = set(draw(CUBE, less, key).changes), set(draw(CUBE, more, key).changes)
        assert before <= after


@given(st.text(), weights)
def test_the_same_key_gets_the_same_arm_with_the_chance_it_had(key: str, weight: float):
    first = draw(TWO, weight, key)
    assert first == draw(TWO, weight, key)
    assert first.propensity == (weight if first.arm == "treatment" else 1 - weight)
    cube = draw(CUBE, weight, key)
    treated = 0 if cube.arm == "control" else len(cube.arm.split("+"))
    assert cube.propensity == pytest.approx(weight**treated * (1 - weight) ** (3 - treated))
    assert len(cube.changes) == treated


def test_arms_get_their_share_and_factors_are_independent():
    keys = [f"order-{n}" for n in range(4000)]
    assert sum(draw(TWO, 0.1, k).arm == "treatment" for k in keys) / 4000 == pytest.approx(0.1, abs=0.015)
    both = sum({"a", "b"} <= set(draw(CUBE, 0.5, k).changes) for k in keys) / 4000
    assert both == pytest.approx(0.25, abs=0.03)
    assert sum(place("x", k) < 0.5 for k in keys if place("y", k) < 0.5) / 2000 == pytest.approx(0.5, abs=0.05)


# -- what runs -----------------------------------------------------------------------------------------------------


def moved(read, name: str = "x", state: str = "running", weight: float = 0.2) -> ExperimentFact:
    kept = declared(read.experiments["x"], read.model_id)
    return ExperimentFact(name, 0, state, weight, kept, "olga", "", NOW)


def test_only_what_is_started_there_and_declared_as_it_was_runs():
    read = policy()
    assert running(read, "staging", [moved(read)]) == [(read.experiments["x"], 0.2)]
    assert running(read, "local", [moved(read)]) == []
    assert running(read, "staging", [moved(read, state="stopped")]) == []
    assert running(read, "staging", [moved(read, "other")]) == []
    assert running(policy(FINE.replace("sonnet", "haiku")), "staging", [moved(read)]) == []
    assert is_as_declared(policy(f"{FINE}weight = 7"), read.experiments["x"], moved(read))


def test_what_was_declared_is_read_back_with_full_model_ids():
    read = policy(
        "environment = 'staging'\ngoal = 'asks'\nhorizon = '2d'\nguardrails = { latency_p50 = '+5%' }\n"
        "arms = { control = {}, other = { payment = { model = 'haiku', escalate = ['sonnet'], effort = 'low' } } }"
    )
    spec = spec_of("x", declared(read.experiments["x"], read.model_id), 0.3)
    assert spec.arms == {"control": {}, "other": {"payment": RoleSpec(HAIKU, None, "low", (SONNET,))}}
    assert (spec.weight, spec.horizon, spec.guardrails) == (0.3, timedelta(days=2), {"latency_p50": "+5%"})

"""`[rollouts]` of the policy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from trimtab.core.errors import PolicyError
from trimtab.learn.metrics import METRICS
from trimtab.policy.experiment import read_limit
from trimtab.policy.load import check, load, parse
from trimtab.policy.resolve import is_said
from trimtab.policy.rollout import overlapping, remarks
from trimtab.policy.rollout_kept import declared, spec_of
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
from trimtab.policy.spec import MORE_IS_BETTER, Policy, RoleSpec

SONNET = "anthropic:claude-sonnet-4-6"
BEFORE = f"""
[models]
haiku = 'anthropic:claude-haiku-4-5'
sonnet = '{SONNET}'
[roles]
default = 'haiku'
[environments.staging]
[environments.production]
[experiments.tried]
environment = 'staging'
goal = 'asks'
arms = {{ control = {{}}, treatment = {{ orchestrator = 'sonnet' }} }}
"""
SET = "set = { orchestrator = 'sonnet' }\n"
STAGES = "stages = [ { environment = 'staging' }, { environment = 'production', weight = 5, hold = '0s' }, { environment = 'production' } ]\n"


def policy(body: str = SET + STAGES, more: str = "") -> Policy:
    return parse(f"{BEFORE}[rollouts.x]\n{body}\n{more}")


def refused(body: str, more: str = "") -> str:
    with pytest.raises(PolicyError) as caught:
        policy(body, more)
    return str(caught.value).replace("trimtab.toml: ", "")


def stages(*entries: str) -> str:
    return f"{SET}stages = [ {', '.join(f'{{ {entry} }}' for entry in entries)} ]"


def at(environment: str, weight: object) -> str:
    return f"environment = '{environment}', weight = {weight}"


def test_a_whole_rollout_is_read():
    read = policy(
        "set = { orchestrator = { model = 'sonnet', effort = 'high' }, payment = 'sonnet' }\n"
        "needs = 'experiments.tried'\ngoal = 'asks'\ndeadline = '2h'\n"
        "guardrails = { asks = '+0.05', decomposition_success = '-2%', latency_p95 = '+0' }\n"
        "stages = [ { environment = 'production', weight = 12.5, hold = '90m', gate = 'runs' } ]"
    ).rollouts["x"]
    assert read == RolloutSpec(
        "x",
        set={"orchestrator": RoleSpec("sonnet", effort="high"), "payment": RoleSpec("sonnet")},
        stages=(StageSpec("production", 0.125, timedelta(minutes=90), "runs"),),
        needs="tried",
        goal="asks",
        guardrails={"asks": "+0.05", "decomposition_success": "-2%", "latency_p95": "+0"},
        deadline=timedelta(hours=2),
    )


def test_what_is_not_said_has_a_default():
    read = policy().rollouts["x"]
    assert (read.needs, read.goal, read.guardrails) == (None, "decomposition_success", {})
    assert read.stages == (
        StageSpec("staging", 1.0, timedelta(days=1), "runs"),
        StageSpec("production", 0.05, timedelta(0), "runs"),
        StageSpec("production", 1.0, timedelta(days=1), "runs"),
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (STAGES, "rollouts.x: expected 'set', the change that is rolled out\nhint: add set = { orchestrator = \"sonnet\" }: role = model, or a table as under [roles]"),
        ("set = {}\n" + STAGES, 'rollouts.x.set: an empty table changes nothing\nhint: add set = { orchestrator = "sonnet" }: role = model, or a table as under [roles]'),
        (SET, "rollouts.x: expected 'stages'\nhint: add stages = [ { environment = \"staging\", weight = 100, hold = \"1d\" } ]"),
        (SET + "stages = []", 'rollouts.x.stages: expected a list of stages such as { environment = "staging", weight = 100, hold = "1d" }, not an empty list'),
        (SET + "stages = { environment = 'staging' }", 'rollouts.x.stages: expected a list of stages such as { environment = "staging", weight = 100, hold = "1d" }, not a table'),
        (SET + "stages = [ 'staging' ]", "rollouts.x.stages[1]: expected a table, not 'staging'"),
        (SET + STAGES + "stage = 1", "rollouts.x.stage: unknown key 'stage', expected one of 'deadline', 'goal', 'guardrails', 'needs', 'set', 'stages'\nhint: did you mean 'stages'?"),
        (stages("environment = 'staging'", "environment = 'production', traffic = 5"), "rollouts.x.stages[2].traffic: unknown key 'traffic', expected one of 'environment', 'gate', 'hold', 'weight'\nhint: did you mean 'weight'?"),
        (stages("weight = 5"), "rollouts.x.stages[1]: expected an 'environment'\nhint: add environment = \"staging\": where its runs are accepted"),
        (stages(at("prodution", 5)), "rollouts.x.stages[1].environment: unknown environment 'prodution', expected one of 'local', 'production', 'staging'\nhint: did you mean 'production'?"),
        (stages(at("staging", 0)), "rollouts.x.stages[1].weight: expected percent over 0, at most 100, not 0"),
        (stages(at("staging", 100.5)), "rollouts.x.stages[1].weight: expected percent over 0, at most 100, not 100.5"),
        (stages(at("staging", "true")), "rollouts.x.stages[1].weight: expected percent over 0, at most 100, not true"),
        (stages(at("staging", "nan")), "rollouts.x.stages[1].weight: expected percent over 0, at most 100, not NaN"),
        (stages(at("staging", 5) + ", hold = '1 day'"), "rollouts.x.stages[1].hold: expected a time such as \"0s\", \"90s\", \"12h\" or \"14d\", not '1 day'"),
        (stages(at("staging", 5) + ", gate = 'none'"), "rollouts.x.stages[1].gate: expected one of 'runs', 'health', not 'none'"),
        (stages(at("staging", 5) + ", gate = 'health'"), "rollouts.x.stages[1].gate: environment 'staging' has no hosts, so there is no health to see\nhint: declare them under [hosts], or take the gate out: the runs of 'staging' decide then"),
        (stages(at("staging", 25), at("staging", 5)), "rollouts.x.stages[2].weight: expected more than 25 %, what the stage before it has in 'staging', not 5 %\nhint: the weights of one environment grow from stage to stage"),
        (stages("environment = 'staging'", at("staging", 100)), "rollouts.x.stages[2].weight: expected more than 100 %, what the stage before it has in 'staging', not 100 %\nhint: the weights of one environment grow from stage to stage"),
        (stages(at("staging", 5), at("production", 5), at("staging", 100)), "rollouts.x.stages[3].environment: 'staging' comes back after 'production'\nhint: put all stages in 'staging' one behind another"),
        (SET.replace("'sonnet'", "'sonet'") + STAGES, "rollouts.x.set.orchestrator: unknown model 'sonet', expected one of 'haiku', 'sonnet' or \"provider:full-id\"\nhint: did you mean 'sonnet'?"),
        (SET.replace("'sonnet'", "{ temperature = 1 }") + STAGES, "rollouts.x.set.orchestrator.temperature: unknown key 'temperature', expected one of 'effort', 'escalate', 'max_tokens', 'model', 'prompt'"),
        (SET.replace("'sonnet'", "{ model = 'sonnet', escalate = ['sonnet'] }") + STAGES, f"rollouts.x.set.orchestrator.escalate: '{SONNET}' is asked twice, expected different models"),
        (SET + STAGES + "needs = 'tried'", "rollouts.x.needs: expected \"experiments.NAME\", not 'tried'"),
        (SET + STAGES + "needs = 'experiments.tied'", "rollouts.x.needs: unknown experiment 'tied', expected 'tried'\nhint: did you mean 'tried'?"),
        (SET + STAGES + "goal = 'success'", "rollouts.x.goal: expected one of 'decomposition_success', 'tokens_per_success', 'usd_per_success', 'latency_p50', 'latency_p95', 'latency_p99', 'retry_rate', 'cascade_rate', 'asks', 'must_not', not 'success'"),
        (SET + STAGES + "guardrails = { tokens_per_success = '+1.5s' }", "rollouts.x.guardrails.tokens_per_success: '+1.5s' does not fit this metric, expected such as \"+5%\""),
        (SET + STAGES + "guardrails = { decomposition_success = '+0.02' }", "rollouts.x.guardrails.decomposition_success: more is better here, expected a limit of '-...', not '+0.02'\nhint: -0.02 allows it to be so much worse"),
        (SET + STAGES + "guardrails = { latency_p95 = '-15%' }", "rollouts.x.guardrails.latency_p95: less is better here, expected a limit of '+...', not '-15%'\nhint: +15% allows it to be so much worse"),
        (SET + STAGES + "deadline = '0d'", "rollouts.x.deadline: expected a time such as \"90s\", \"30m\", \"12h\" or \"14d\", not '0d'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_key(body: str, said: str):
    assert refused(body) == said


def test_an_entry_that_is_wrong_is_one_problem():
    assert refused(stages("environment = 5, weight = 'all'", at("staging", 5))).count("rollouts.x") == 2
    assert refused(stages(at("staging", 10), "environment = 'staging', weight = 0", at("staging", 20))).count("\n") == 0


def test_what_needs_an_experiment_where_none_is_declared_says_how():
    with pytest.raises(PolicyError) as caught:
        parse(f"[environments.staging]\n[rollouts.x]\nset = {{ a = '{SONNET}' }}\nneeds = 'experiments.y'\n{STAGES}")
    assert "rollouts.x.needs: no experiment is declared, so none is called 'y'" in str(caught.value)


def test_environments_come_in_any_order_and_hosts_may_be_what_is_seen():
    read = policy(
        stages("environment = 'production', gate = 'health'", "environment = 'local'"),
        "[hosts.production]\naddresses = ['a']\nprove = 'p'\nfiles = { f = { path = '/f.json', keys = { orchestrator = 'm' } } }",
    )
    assert [stage.environment for stage in read.rollouts["x"].stages] == ["production", "local"]


def test_which_metrics_grow_for_the_better_is_one_truth():
    assert {name for name, metric in METRICS.items() if metric.more_is_better} == MORE_IS_BETTER
    assert all(read_limit(f"{'-' if name in MORE_IS_BETTER else '+'}5%").amount for name in METRICS)


def test_roles_that_no_workflow_has_are_refused_in_what_is_set_but_the_terminal_is_one():
    check(policy("set = { orchestrator = 'sonnet', terminal = 'sonnet', default = 'sonnet' }\n" + STAGES), ["payment"])
    with pytest.raises(PolicyError, match=r"rollouts\.x\.set\.paymnt: unknown role 'paymnt'"):
        check(policy("set = { paymnt = 'sonnet' }\n" + STAGES), ["payment"])


def test_a_prompt_that_is_set_is_read_beside_the_policy_and_kept_when_it_is_started(tmp_path: Path):
    path = tmp_path / "trimtab.toml"
    path.write_text(f"{BEFORE}[rollouts.x]\nset = {{ payment = {{ prompt = 'terse.md' }} }}\n{STAGES}")
    (tmp_path / "terse.md").write_text("Be terse.")
    read = load(path)
    (tmp_path / "terse.md").write_text("Be brief.")
    assert load(path).digest != read.digest
    kept = spec_of("x", declared(read.rollouts["x"], read.model_id))
    assert kept.set["payment"] == RoleSpec(prompt="terse.md", instructions="Be terse.")
    (tmp_path / "terse.md").unlink()
    with pytest.raises(PolicyError, match=r"rollouts\.x\.set\.payment\.prompt: 'terse\.md' is no file"):
        load(path)


def test_the_examples_of_the_reference_are_read():
    text = (Path(__file__).parents[3] / "docs" / "reference" / "rollouts.md").read_text("utf-8")
    examples = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    read = parse(BEFORE.replace("[experiments.tried]", "[experiments.sonnet-orchestrator]") + "\n".join(examples))
    assert [len(read.rollouts["sonnet-orchestrator"].stages), len(read.hosts["production"].health)] == [3, 2]


# -- rollouts beside each other ------------------------------------------------------------------------------------


def beside(changes: str, environment: str) -> Policy:
    return policy(
        SET + STAGES, f"[rollouts.y]\nset = {{ {changes} }}\nstages = [ {{ environment = '{environment}' }} ]"
    )


def test_rollouts_that_change_a_role_in_the_same_environment_overlap():
    assert overlapping(beside("orchestrator = 'haiku'", "production"), "x") == ["y"]
    assert overlapping(beside("default = 'haiku'", "staging"), "x") == ["y"]
    assert overlapping(beside("default = 'haiku'", "staging"), "y") == ["x"]
    assert overlapping(beside("payment = 'haiku'", "production"), "x") == []
    assert overlapping(beside("orchestrator = 'haiku'", "local"), "x") == []


def test_what_is_likely_not_meant_is_remarked():
    assert remarks(policy(f"{SET}{STAGES}needs = 'experiments.tried'")) == []
    other = policy(f"set = {{ orchestrator = 'sonnet', payment = 'sonnet' }}\n{STAGES}needs = 'experiments.tried'")
    assert remarks(other) == [
        "rollout 'x' needs experiment 'tried', which does not try what it sets for 'payment'",
    ]
    (said,) = remarks(policy(f"set = {{ terminal = 'sonnet' }}\n{STAGES}"))
    assert said.startswith("rollout 'x' changes the terminal, which makes no runs here")


# -- what the file says already ------------------------------------------------------------------------------------


def said(changes: dict[str, RoleSpec], more: str = "", environment: str = "production") -> bool:
    return is_said(parse(f"{BEFORE}{more}"), environment, changes)


def test_a_change_is_said_where_every_role_would_be_the_same():
    assert said({"payment": RoleSpec("haiku")})
    assert said({"default": RoleSpec("anthropic:claude-haiku-4-5")})
    assert not said({"payment": RoleSpec("sonnet")})
    assert not said({"payment": RoleSpec("haiku", effort="high")})
    assert not said({"payment": RoleSpec(max_tokens=99)})


def test_a_change_of_every_role_is_said_only_where_no_role_has_another():
    there = "[environments.local.roles]\npayment = 'sonnet'\n"
    assert not said({"default": RoleSpec("haiku")}, there, "local")
    assert said({"default": RoleSpec("haiku")}, there)


def test_the_model_of_the_terminal_is_said_under_its_own_section():
    assert said({"terminal": RoleSpec("sonnet")}, "[terminal]\nmodel = 'claude-sonnet-4-6'")
    assert not said({"terminal": RoleSpec("sonnet")})
    assert not is_said(parse("[models]\nh = 'anthropic:h'"), "local", {"payment": RoleSpec("h")})

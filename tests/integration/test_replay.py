"""Requests are run again on two role maps; nothing they do is real, what nobody can answer is bounded, and it goes on after a stop."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.acceptance import shop_app
from tests.integration.shop import Shop, World, plays, shop
from trimtab import Done, Failed, Status, Step, UsageError
from trimtab.app import App
from trimtab.core.messages import ModelCall
from trimtab.engine.recorded import recorded_steps
from trimtab.journal.reader import Journal
from trimtab.policy.load import parse
from trimtab.replay.arms import make_arms, read_changes
from trimtab.replay.play import WORLDS, Replay, claim, missing, play
from trimtab.replay.requests import Asked, recorded
from trimtab.replay.stage import SandboxStage, TapeStage
from trimtab.replay.tape import Recorded, Tape, name_of, read_tape
from trimtab.run.toolbox import Use
from trimtab.testing import ScriptedModel, StillClock, app_for_tests, uses

WEAK, STRONG = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
POLICY = f'[models]\nweak = "{WEAK}"\nstrong = "{STRONG}"\n[roles]\ndefault = "weak"\n'
ROOT = Path(__file__).parents[2]


class Real(World):
    """A world that is not to be touched any more."""

    async def call(self, name, step, of):
        raise AssertionError(f"{name} {of}: a replay reached the real world")


async def record(tmp_path, *plan, world=None, inner=None, keys=("one",), models=None):
    """Run requests for real and give the store."""
    store = tmp_path / "real.db"
    models = models or plays(*plan, inner=inner)
    async with app_for_tests(shop(world or World()), models=models, store=store) as app:
        for key in keys:
            await (await app.start(Shop, f"request {key}", key=key)).settled()
    return store


def by_model(weak, strong):
    """Two models, each with its own script."""

    async def ask(call: ModelCall):
        return await (strong if call.model == STRONG else weak).ask(call)

    return ScriptedModel(ask)


def on_tape(tmp_path, store, *sets, models, **more):
    app = App(shop(Real()), policy=parse(POLICY), store=store, clock=StillClock())
    asked, _ = recorded(store, "local", list(app.workflows), StillClock().now().replace(year=2000))
    folder = tmp_path / "replay"
    made = Replay(
        app=app,
        folder=folder,
        asked=asked,
        arms=make_arms(app, read_changes(app.policy, sets or ("default=strong",), app.roles)),
        stage=TapeStage(app.workflows, store, folder / WORLDS),
        models=models,
        **more,
    )
    claim(made, {"test": 1})
    return made


PLAN = ("a stock.reserve anchor", "c card.charge 5 < a", "m mail.send ada < c")


async def test_a_replay_on_the_tape_ends_as_the_run_did_and_touches_nothing(tmp_path):
    store = await record(tmp_path, *PLAN)
    before = store.read_bytes()
    played = await play(on_tape(tmp_path, store, models=plays(*PLAN), repeats=2))
    assert [(one.status, one.success, one.missed) for one in played.judged.seen] == [("completed", True, "")] * 4
    assert played.judged.verdict.verdict == "undecided"
    assert store.read_bytes() == before


async def test_what_a_recorded_run_reserved_and_took_back_is_not_taken_back_again(tmp_path):
    world = World(does={"send": [Failed("no post")]})
    store = await record(tmp_path, *PLAN, world=world)
    played = await play(on_tape(tmp_path, store, models=plays(*PLAN)))
    assert [(one.status, one.success) for one in played.judged.seen] == [("failed", False)] * 2


async def test_reads_answer_from_the_tape_too(tmp_path):
    def looks(call: ModelCall):
        asked = "reserve" in [tool.name for tool in call.tools] and len(call.messages) == 1
        return uses("count", item="anchor") if asked else None

    store = await record(tmp_path, *PLAN, inner=looks)
    played = await play(on_tape(tmp_path, store, models=plays(*PLAN, inner=looks)))
    assert [one.success for one in played.judged.seen] == [True, True]


async def test_a_call_that_was_never_recorded_is_named_and_is_no_failure_of_its_arm(tmp_path):
    store = await record(tmp_path, *PLAN)
    other = plays("a stock.reserve buoy", "c card.charge 5 < a", "m mail.send ada < c")
    played = await play(on_tape(tmp_path, store, models=by_model(plays(*PLAN), other)))
    seen = {one.job.arm: one for one in played.judged.seen}
    assert (seen[0].success, seen[1].success) == (True, None)
    assert seen[1].missed == 'stock.reserve({"item":"buoy"})'
    assert played.judged.verdict.verdict == "undecided"


@pytest.mark.parametrize("better", [True, False])
async def test_unanswerable_replays_are_bounded_and_favour_neither_arm(tmp_path, better):
    keys = [f"r{n}" for n in range(12)]
    store = await record(tmp_path, *PLAN, keys=keys)
    right, off_tape = plays(*PLAN), plays("a stock.reserve buoy", "c card.charge 5 < a", "m mail.send ada < c")
    useless = ScriptedModel(lambda _: uses("plan", subtasks=[]))

    # One arm is off the tape on half of the requests and right on the others, the other arm fails on all.
    def half(call: ModelCall):
        return off_tape if any(f"request r{n}" in str(call.messages) for n in range(6)) else right

    mixed = ScriptedModel(lambda call: half(call).ask(call))
    weak, strong = (useless, mixed) if better else (mixed, useless)
    played = await play(on_tape(tmp_path, store, models=by_model(weak, strong)))
    arm = [one for one in played.judged.seen if one.job.arm == int(better)]
    assert sum(one.success is None for one in arm) >= 4
    assert played.judged.verdict.verdict == "undecided"
    assert "without a known outcome" in played.judged.verdict.reason


async def test_a_call_that_a_person_had_to_decide_is_held_again_and_nobody_is_asked(tmp_path):
    def boasts(call: ModelCall):
        if call.tools[0].name == "plan":
            step = {"id": "b", "specialist": "mail", "action": "boast", "inputs": {"to": "press"}, "needs": []}
            return uses("plan", subtasks=[step])
        return uses("boast", to="press")

    store, press = tmp_path / "real.db", shop_app.Shop([shop_app.Stock(), shop_app.Card(), shop_app.Mail()])
    async with app_for_tests(press, models=ScriptedModel(boasts), store=store) as app:
        run = await app.start(shop_app.Shop, {}, key="one")
        assert (await run.settled()).status is Status.AWAITING_APPROVAL
    app = App(press, policy=parse(POLICY), store=store, clock=StillClock())
    folder = tmp_path / "replay"
    with Journal(store) as journal:
        (line,) = journal.runs(1)
    made = Replay(
        app=app,
        folder=folder,
        asked=[Asked("one", "shop", {}, line.run_id)],
        arms=make_arms(app, read_changes(app.policy, ["mail=strong"], app.roles)),
        stage=TapeStage(app.workflows, store, folder / WORLDS),
        models=ScriptedModel(boasts),
    )
    claim(made, 1)
    played = await play(made)
    assert [(one.status, one.missed) for one in played.judged.seen] == [("awaiting_approval", "")] * 2


# -- sandbox -----------------------------------------------------------------------------------------------------------


def in_sandbox(tmp_path, asked, models, sandbox=None, scorer=None, **more):
    made_in: list[Path] = []

    @contextmanager
    def own(folder, given):
        made_in.append(folder)
        yield shop(World()), given["text"]

    app = App(shop(Real()), policy=parse(POLICY), store=tmp_path / "real.db")
    folder = tmp_path / "replay"
    made = Replay(
        app=app,
        folder=folder,
        asked=asked,
        arms=make_arms(app, read_changes(app.policy, ["default=strong"], app.roles)),
        stage=SandboxStage(sandbox or own, {"shop": app.workflows["shop"].specialists.keys()}, folder / WORLDS),
        scorer=scorer,
        models=models,
        **more,
    )
    claim(made, {"requests": [one.id for one in asked]})
    return made, made_in


def some(count):
    return [Asked(f"r{n}", "shop", {"text": f"request {n}"}) for n in range(count)]


BAD = ScriptedModel(lambda _: uses("plan", subtasks=[]))


async def test_a_better_candidate_ships_a_worse_one_stops_and_not_all_runs_are_made(tmp_path):
    made, worlds = in_sandbox(tmp_path, some(60), by_model(BAD, plays(*PLAN)), repeats=2)
    played = await play(made)
    assert (played.judged.verdict.verdict, played.stopped) == ("ship", "decided")
    assert played.runs < played.planned
    assert len(set(worlds)) == played.runs
    assert {change.kind for change in played.judged.changed} == {"fixed"}
    (tmp_path / "again").mkdir()
    other, _ = in_sandbox(tmp_path / "again", some(60), by_model(plays(*PLAN), BAD), repeats=2)
    assert (await play(other)).judged.verdict.verdict == "stop"


async def test_a_scorer_says_what_success_is_and_may_leave_it_open(tmp_path):
    def scorer(folder, given, status, plan):
        assert status == "completed"
        assert plan["subtasks"][0]["id"] == "a"
        return None if given["text"] == "request 0" else (False, ["not what was asked"])

    made, _ = in_sandbox(tmp_path, some(2), plays(*PLAN), scorer=scorer)
    seen = {(one.job.request, one.job.arm): one for one in (await play(made)).judged.seen}
    assert [seen[0, 0].success, seen[1, 0].success] == [True, False]
    assert seen[1, 1].notes == ["not what was asked"]


async def test_what_was_made_is_not_made_again(tmp_path):
    made, _ = in_sandbox(tmp_path, some(3), models := plays(*PLAN))
    first = await play(made)
    asked = len(models.calls)
    assert (first.resumed, missing(made)) == (0, 0)
    again = await play(made)
    assert (again.resumed, again.runs, len(models.calls)) == (6, 6, asked)
    assert again.judged.verdict == first.judged.verdict


async def test_a_reached_cap_is_never_passed_and_a_larger_one_goes_on_from_there(tmp_path):
    cap = Decimal("0.15")
    made, _ = in_sandbox(tmp_path, some(6), plays(*PLAN), cap=cap, at_once=2)
    played = await play(made)
    assert played.stopped == "cap"
    assert played.runs < played.planned
    assert played.spent is not None
    assert 0 < played.spent <= cap
    more, _ = in_sandbox(tmp_path, some(6), plays(*PLAN), cap=Decimal(50), at_once=2)
    whole = await play(more)
    assert (whole.stopped, whole.runs, whole.resumed) == ("", 12, played.runs)
    assert [one.status for one in whole.judged.seen] == ["completed"] * 12


async def test_these_very_requests_are_judged_at_the_end_by_all_their_runs(tmp_path):
    models = by_model(BAD, plays(*PLAN))
    made, _ = in_sandbox(tmp_path, some(3), models, repeats=5, these=True)
    played = await play(made)
    assert (played.runs, played.judged.compared.n_pairs, played.stopped) == (30, 3, "")
    assert played.judged.verdict.verdict == "ship"
    assert (await play(replace(made, these=False))).judged.verdict.verdict == "undecided"


async def test_these_very_requests_are_not_judged_before_every_run_is_made(tmp_path):
    models = by_model(BAD, plays(*PLAN))
    made, _ = in_sandbox(tmp_path, some(6), models, repeats=5, these=True, cap=Decimal("0.15"), at_once=1)
    played = await play(made)
    assert played.stopped == "cap"
    assert played.judged.verdict.verdict == "undecided"
    assert "not every run was made" in played.judged.verdict.reason


async def test_a_cap_needs_prices(tmp_path):
    app = App(shop(World()), policy=parse('[roles]\ndefault = "anthropic:nobody-knows"\n'), store=tmp_path / "r.db")
    made, _ = in_sandbox(tmp_path, some(1), plays(*PLAN), cap=Decimal(1))
    arms = make_arms(app, read_changes(app.policy, [f"default={STRONG}"], app.roles))
    with pytest.raises(UsageError, match="price is not known"):
        await play(replace(made, app=app, arms=arms))


async def test_a_sandbox_that_fails_stops_the_replay_and_says_on_which_request(tmp_path):
    @contextmanager
    def broken(folder, given):
        raise RuntimeError("no disk")
        yield

    made, _ = in_sandbox(tmp_path, some(2), plays(*PLAN), sandbox=broken)
    with pytest.raises(UsageError, match=r"the sandbox failed on request 'r[01]': RuntimeError: no disk"):
        await play(made)


async def test_a_sandbox_must_give_the_workflow_it_stands_for(tmp_path):
    @contextmanager
    def strange(folder, given):
        yield "shop", given

    made, _ = in_sandbox(tmp_path, some(1), plays(*PLAN), sandbox=strange)
    with pytest.raises(UsageError, match="expected workflow 'shop'"):
        await play(made)


async def test_answers_of_another_model_than_the_pinned_one_decide_nothing(tmp_path):
    right = plays(*PLAN)

    async def elsewhere(call: ModelCall):
        answer = await right.ask(call)
        return replace(answer, model="claude-opus-4-8") if call.model == STRONG else answer

    made, _ = in_sandbox(tmp_path, some(20), by_model(BAD, ScriptedModel(elsewhere)))
    played = await play(made)
    assert played.judged.verdict.verdict == "undecided"
    assert "another model than the pinned one" in played.judged.verdict.reason


def test_a_folder_holds_one_replay(tmp_path):
    made, _ = in_sandbox(tmp_path, some(1), plays(*PLAN))
    with pytest.raises(UsageError, match="holds another replay"):
        claim(made, {"requests": ["r9"]})


# -- the tape itself ---------------------------------------------------------------------------------------------------


async def test_a_tape_holds_nothing_that_could_be_called(tmp_path):
    store = await record(tmp_path, *PLAN)
    with Journal(store) as journal:
        run = journal.run("one")
    tape = read_tape(shop(Real()), run.tool_calls, recorded_steps(store, run.line.run_id))
    held = [getattr(one, name) for calls in tape._calls.values() for one in calls for name in one.__slots__]
    assert vars(tape).keys() == {"_calls"}
    assert not [value for value in held if callable(value)]
    assert len(tape._calls) == 3


async def test_a_tape_answers_a_subtask_with_what_it_was_told_at_last_and_others_with_what_was_told_first():
    tool = shop(Real()).specialists["stock"].tools["count"]
    asked = name_of(tool, {"item": "anchor"})
    told = [("a", 3), ("a", 2), ("b", 1)]
    tape = Tape(Recorded("stock", "count", by, asked, {"outcome": "done", "value": n}) for by, n in told)

    async def answer(subtask):
        step = Step("run", subtask, "key", 1, StillClock().now(), "x")
        return await tape.make(Use(shop(Real()).specialists["stock"], tool, step, {"item": "anchor"}))

    assert [await answer(subtask) for subtask in "abc"] == [Done(2), Done(1), Done(3)]


def test_tools_are_reached_through_the_toolbox_and_no_other_way():
    source = {path.name: path.read_text("utf-8") for path in (ROOT / "src/trimtab/run").glob("*.py")}
    uses_of = re.compile(r"tool\.(function|approval|quiet|find|holds|undo)\(")
    assert [name for name, text in source.items() if uses_of.search(text)] == ["toolbox.py"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["stock"], "expected ROLE=MODEL"),
        (["nobody=strong"], "unknown role 'nobody'"),
        (["stock=stronger"], "unknown model 'stronger'"),
        (["stock=nowhere:model"], "unknown provider 'nowhere'"),
        (["stock=strong", "stock=weak"], "says twice"),
        ([], "nothing is changed"),
    ],
)
def test_a_change_that_means_nothing_is_refused(given, told):
    with pytest.raises(UsageError, match=told):
        read_changes(parse(POLICY), given, {"stock", "card", "mail", "orchestrator"})

"""What people see and do about runs that stand half done, through a terminal: list, settle, resume, undo by hand."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.terminal import Said, Terminal, line_of, stop

PLANS = {
    "sell": ["a stock.reserve anchor", "c card.charge 5 < a"],
    "post": ["a stock.reserve anchor", "m mail.send ada < a", "b stock.reserve buoy < m", "n mail.send bob < b"],
    "boast": ["a stock.reserve anchor", "c card.charge 5 < a", "p mail.boast press"],
}


def subtask(line: str) -> dict[str, Any]:
    what, _, needs = line.partition(" < ")
    name, call, argument = what.split()
    role, action = call.split(".")
    key = {"stock": "item", "card": "amount", "mail": "to"}[role]
    value: Any = int(argument) if role == "card" else argument
    return {"id": name, "specialist": role, "action": action, "inputs": {key: value}, "needs": needs.split()}


@pytest.fixture
def shop(terminal):
    entries = [{"request": text, "plan": {"subtasks": [subtask(s) for s in plan]}} for text, plan in PLANS.items()]
    terminal.write("book.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    terminal.write("shop_app.py", Path(__file__).with_name("shop_app.py").read_text("utf-8"))
    simulator = terminal.popen("simulate", "--book", "book.jsonl", "--port", "0", "--pace", "0", "--json")
    url = line_of(simulator, r'"url": "(.*?)"', "stdout")[1]
    terminal.write(
        "trimtab.toml",
        f"""
[app]
factory = "shop_app:workflows"
[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
default = "haiku"
""",
    )
    yield terminal
    stop(simulator, signal.SIGINT)


def start(shop: Terminal, text: str, *trouble: str) -> Any:
    for name in trouble:
        shop.write(name, "")
    return shop.run("run", "shop", "--request", json.dumps({"text": text}), "--key", text, "--json").json


def work(shop: Terminal, key: str, until: Callable[[Any], bool] = lambda detail: detail["final"]) -> Any:
    """Let a worker take up what was said, until the run stands so."""
    worker = shop.popen("worker")
    line_of(worker, "working on")
    deadline = time.monotonic() + 60
    while not until(detail := shop.run("runs", "show", key, "--json").json) and time.monotonic() < deadline:
        pass
    stop(worker)
    assert until(detail), detail
    return detail


def uncompensated(subtask: str) -> Callable[[Any], bool]:
    """Whether a subtask's write could not be taken back, and a person was asked since."""
    return lambda detail: (
        [e for e in detail["effects"] if (e["subtask"], e["state"]) == (subtask, "uncompensated")]
        and (f"of {subtask} could not be taken back" in detail["outcome"]["reason"])
    )


def world(shop: Terminal) -> list[str]:
    log = shop.folder / "world.log"
    return log.read_text().splitlines() if log.exists() else []


def listed(shop: Terminal) -> tuple[int, list[Any]]:
    said = shop.run("runs", "list", "--half-done", "--json")
    return said.code, said.json


def pasted(shop: Terminal, command: str, *more: str) -> Said:
    """Do what a hint says, as a person named olga."""
    program, *words = command.replace("YOU", "olga").split()
    assert program == "trimtab"
    return shop.run(*words, *more)


def test_nothing_is_half_done_where_all_went_well_or_was_taken_back(shop):
    assert start(shop, "sell")["status"] == "completed"
    failed = shop.run("run", "shop", "--request", '{"text": "post"}', "--key", "no", "--json")
    assert failed.json["status"] == "completed"
    shop.write("no-mail", "")
    failed = shop.run("run", "shop", "--request", '{"text": "post"}', "--key", "taken-back", "--json")
    assert (failed.code, failed.json["status"]) == (1, "failed")
    assert [e["state"] for e in failed.json["effects"]] == ["compensated", "released"]
    said = shop.run("runs", "list", "--half-done")
    assert (said.code, said.out) == (0, "nothing stands half done\n")


@pytest.mark.parametrize(("word", "charges"), [("--made", 0), ("--not-made", 1)])
def test_a_write_nobody_knows_about_waits_for_the_word_of_a_person(shop, word, charges):
    run = start(shop, "sell", "charge-raises")
    assert run["status"] == "needs_you"
    code, [half] = listed(shop)
    assert code == 1
    assert [(e["subtask"], e["state"]) for e in half["stands"]] == [("a", "committed"), ("c", "unknown")]
    assert "has no lookup, so it may have taken effect" in half["reason"]
    [advice] = half["to_do"]
    assert advice == run["to_do"][0]
    command = next(c for c in advice["commands"] if f" {word} " in c)
    key = half["stands"][1]["key"]
    resumed = shop.run("runs", "resume", "sell", "--by", "olga")
    assert (resumed.code, "it waits for word about card.charge of c" in resumed.out) == (1, True)

    said = pasted(shop, command, *(["--result", "5"] if word == "--made" else []))
    assert (said.code, "says olga" in said.out) == (0, True)
    again = shop.run("effects", "settle", key[:5], "--made", "--by", "paul")
    assert again.code == 1
    assert again.out.startswith("nothing was changed: card.charge of c in run ")
    assert "as olga said" in again.out
    assert "a worker" in shop.run("runs", "show", "sell").out

    (shop.folder / "charge-raises").unlink()
    ended = work(shop, "sell")
    assert ended["status"] == "completed"
    assert ended["outcome"]["value"] == {"a": "anchor", "c": 5}
    assert world(shop).count("charge 5") == charges
    assert [e["by"] for e in ended["settlements"]] == ["olga"]
    assert "olga said that card.charge of c was" in shop.run("runs", "show", "sell").out
    assert listed(shop) == (0, [])


def test_what_could_not_be_taken_back_is_tried_again_when_a_person_says_so(shop):
    shop.write("no-unreserve", "")
    run = start(shop, "boast", "charge-raises")
    assert shop.run("approvals", "list", "--json").json[0]["subtask"] == "p"
    assert pasted(shop, run["to_do"][0]["commands"][1]).code == 0
    assert shop.run("runs", "cancel", "boast", "--by", "zoe").code == 0
    work(shop, "boast", uncompensated("a"))
    _, half = listed(shop)
    text = shop.run("runs", "list", "--half-done").out
    assert "stands  a  stock.reserve  uncompensated  since " in text
    assert "because Cancelled: cancelled by zoe" in text
    assert f"trimtab runs resume {run['run_id']} --by YOU" in text
    assert f"trimtab effects settle {half[0]['stands'][0]['key']} --undone --by YOU" in text
    # What a run holds that goes no further is void.
    assert shop.run("approvals", "list").out == "nothing waits for a person\n"
    assert "void: the run goes no further" in shop.run("runs", "show", "boast").out

    (shop.folder / "no-unreserve").unlink()
    assert pasted(shop, half[0]["to_do"][0]["commands"][0]).out == f"{run['run_id']}: goes on\n"
    twice = shop.run("runs", "resume", "boast", "--by", "paul")
    assert (twice.code, "olga let it go on already" in twice.out) == (1, True)
    ended = work(shop, "boast")
    assert (ended["status"], [r["by"] for r in ended["resumes"]]) == ("cancelled", ["olga"])
    assert world(shop) == ["reserve anchor", "unreserve anchor"]
    assert listed(shop) == (0, [])
    late = shop.run("runs", "resume", "boast", "--by", "olga")
    assert (late.code, "nothing was changed: it ended as cancelled" in late.out) == (1, True)


def test_what_was_taken_back_by_hand_is_not_tried_again_and_what_was_sent_stands(shop):
    start(shop, "post", "no-bob", "no-unreserve")
    code, [half] = listed(shop)
    assert code == 1
    # What another write rests on is not taken back before that one is.
    states = {"a": "committed", "m": "committed", "b": "uncompensated"}
    assert {e["subtask"]: e["state"] for e in half["stands"]} == states
    assert "mail.send of m stands and cannot be taken back: tell who is concerned" in [a["what"] for a in half["to_do"]]
    for subtask in "ba":
        work(shop, "post", uncompensated(subtask))
        [command] = [c for a in listed(shop)[1][0]["to_do"] for c in a["commands"] if "--undone" in c]
        said = pasted(shop, command)
        assert (said.code, f"of {subtask} in run" in said.out, "taken back by hand, says olga" in said.out) == (
            0,
            True,
            True,
        )
    ended = work(shop, "post")
    assert ended["status"] == "failed"
    assert world(shop) == ["reserve anchor", "send ada", "reserve buoy"]
    shown = shop.run("runs", "show", "post").out
    for part in (
        "n mail.send  failed", "compensated by olga", "irreversible  committed",
        "olga said that stock.reserve of b was taken back by hand", "tell who is concerned",
    ):  # fmt: skip
        assert part in shown
    code, [half] = listed(shop)
    assert code == 1
    assert [e["state"] for e in half["taken_back"]] == ["compensated", "compensated"]
    late = shop.run("effects", "settle", half["stands"][0]["key"], "--undone", "--by", "olga")
    assert (late.code, "is committed; --undone is for what is uncompensated" in late.out) == (1, True)
    [command] = [c for a in half["to_do"] for c in a["commands"]]
    assert pasted(shop, command).out == f"mail.send of m in run {ended['run_id']} stands; olga has dealt with it\n"
    assert listed(shop) == (0, [])
    assert pasted(shop, command).code == 1


def test_effects_are_listed_and_shown(shop):
    run = start(shop, "sell", "charge-raises")
    table = shop.run("effects", "list").out.splitlines()
    assert table[0].split() == ["key", "run", "effect", "state", "since"]
    assert [row.split()[1:5] for row in table[1:]] == [
        ["sell", "c", "card.charge", "unknown"],
        ["sell", "a", "stock.reserve", "committed"],
    ]
    [unknown] = shop.run("effects", "list", "--unknown", "--run", run["run_id"][:6], "--json").json
    assert (unknown["key"], unknown["run_key"]) == (run["effects"][1]["key"], "sell")
    assert shop.run("effects", "list", "--state", "released").out == "no such effects\n"
    shown = shop.run("effects", "show", unknown["key"][:6])
    for part in ("card.charge (reversible)  unknown", "amount: 5", "reserved", "the line went dead", "do/c/tool/0.0/1"):
        assert part in shown.out
    whole = shop.run("effects", "show", unknown["key"], "--json").json
    assert (whole["state"], [line["state"] for line in whole["lines"]]) == ("unknown", ["reserved", "unknown"])


def test_what_cannot_be_said_is_told(shop):
    start(shop, "sell", "charge-raises")
    key = shop.run("effects", "list", "--unknown", "--json").json[0]["key"]
    for command, told in (
        (["effects", "settle", key, "--by", "olga"], "what came of"),
        (["effects", "settle", key, "--made"], "--by"),
        (["effects", "settle", "", "--made", "--by", "olga"], "no effect has the key"),
        (["effects", "settle", "zz", "--made", "--by", "olga"], "no effect has the key 'zz'"),
        (["effects", "settle", key, "--made", "--result", "{", "--by", "olga"], "broken JSON"),
        (["effects", "settle", key, "--not-made", "--result", "1", "--by", "olga"], "--result goes with --made"),
        (["effects", "list", "--state", "gone"], "no effect has state 'gone'"),
        (["effects", "list", "--state", "reserved", "--unknown"], "exclude each other"),
        (["effects", "show", "zz"], "no effect has the key 'zz'"),
        (["runs", "list", "--half-done", "--status", "failed"], "--half-done lists all"),
        (["runs", "resume", "--by", "olga"], "which run?"),
        (["runs", "resume", "sell"], "--by"),
        (["runs", "resume", "sell", "--by", "olga", "--raise", "usd_per_run"], "expected NAME=VALUE"),
        (["runs", "resume", "sell", "--by", "olga", "--model", "stock=hiaku"], "'hiaku' is no alias"),
        (["runs", "resume", "sell", "--by", "olga", "--model", "stok=haiku"], "has no role 'stok'"),
        (["runs", "resume", "nobody", "--by", "olga"], "no run of"),
    ):
        said = shop.run(*command)
        assert (said.code, told in said.err, "Traceback" in said.err) == (2, True, False), said
    wrong = shop.run("effects", "settle", key, "--undone", "--by", "olga", "--json")
    assert (wrong.code, wrong.json["settled_now"], wrong.json["state"]) == (1, False, "unknown")


def test_the_next_command_is_for_the_store_that_was_looked_at(shop):
    start(shop, "sell", "charge-raises")
    (shop.folder / "trimtab.db").rename(shop.folder / "my store.db")
    for command in (["runs", "list", "--half-done"], ["runs", "show", "sell"]):
        assert "--made --by YOU --store 'my store.db'" in shop.run(*command, "--store", "my store.db").out


def test_a_run_that_reached_a_cap_goes_on_with_more_or_on_another_model(shop):
    policy = shop.folder / "trimtab.toml"
    policy.write_text(policy.read_text() + "[budgets.local]\nturns_per_run = 1\n")
    run = start(shop, "sell")
    assert run["status"] == "paused_budget"
    assert [c.split()[:4] for c in run["to_do"][0]["commands"]] == [["trimtab", "runs", "resume", run["run_id"]]] * 2
    assert listed(shop) == (0, [])
    more = ["--raise", "turns_per_run=9", "--model", "card=sonnet", "--by", "olga"]
    refused = shop.run("runs", "resume", "sell", *more, "--raise", "turns=2")
    assert (refused.code, "no cap is called 'turns'" in refused.err) == (2, True)
    said = shop.run("runs", "resume", "--status", "paused_budget", *more, "--json")
    assert (said.code, said.json[0]["resumed"]) == (0, True)
    ended = work(shop, "sell")
    assert ended["status"] == "completed"
    assert ended["resumes"][0]["raised"] == {"turns_per_run": 9}
    assert [m["requested"] for s in ended["subtasks"] for m in s["models"]] == [
        "anthropic:claude-haiku-4-5",
        "anthropic:claude-sonnet-4-6",
    ]
    shown = shop.run("runs", "show", "sell").out
    assert "olga let it go on with turns_per_run = 9, card = anthropic:claude-sonnet-4-6" in shown
    assert (
        shop.run("runs", "resume", "--status", "paused_budget", "--by", "olga").out == "no run waits as paused_budget\n"
    )


def test_what_somebody_found_in_a_run_is_kept_with_their_name(shop):
    run = start(shop, "sell")
    said = shop.run("runs", "score", "sell", "--must-not", "told ada too much", "--by", "olga")
    assert (said.code, said.out) == (0, f"{run['run_id']}: 1 found by olga\n")
    assert shop.run("runs", "score", "sell", "--clean", "--by", "paul", "--json").json["hits"] == []
    for wrong in (["--by", "olga"], ["--clean", "--must-not", "x", "--by", "olga"]):
        said = shop.run("runs", "score", "sell", *wrong)
        assert (said.code, "give --must-not WHAT" in said.err) == (2, True)
    assert shop.run("runs", "score", "nobody", "--clean", "--by", "olga").code == 2

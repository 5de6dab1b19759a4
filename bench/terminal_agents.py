"""Random settings, subagents and sessions on the real terminal: does `trimtab terminal show` name every model it asks for?

    python bench/terminal_agents.py [HOW_MANY] [SEED] [VERSION]

Each tree is run twice: once with a call of every subagent, once going on with a session that was there before. Prints every
difference. The trees of half the seeds have managed settings (root; a private mount namespace).
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminal import MODELS, tree
from tests.acceptance.real_terminal import Tree, can_manage, install, start
from tests.acceptance.test_real_terminal_agents import A_CALL, AT_ONCE, by_mark, call
from tests.fakes.messages_api import Says, serving

from trimtab.terminal.place import Place
from trimtab.terminal.resolve import Resolution, resolve

SAID = [None, "inherit", "17", *(model for model in MODELS if model.strip())]
AGENTS = 8


def agents(draw: random.Random) -> dict[str, bytes]:
    folders = ["project/.claude/agents", "home/.claude/agents", ".claude/agents"]
    made: dict[str, bytes] = {}
    for at in range(AGENTS):
        said = draw.choice(SAID)
        model = "" if said is None else f"model: {said}\n"
        name = draw.choice([f"a{at}", f"a{at}", "a0", "Explore"])
        # One file a name and folder: which of two the terminal takes is not settled.
        made[f"{draw.choice(folders)}/{name}.md"] = f"---\nname: {name}\ndescription: d\n{model}---\nbe\n".encode()
    return made


def variables(draw: random.Random) -> dict[str, str]:
    made = {"CLAUDE_CODE_SUBAGENT_MODEL": draw.choice([*MODELS, "inherit"])} if draw.random() < 0.3 else {}
    return made | ({"CLAUDE_CODE_SUBAGENT_MODEL_FORCE": "1"} if draw.random() < 0.15 else {})


def on_the_command_line(draw: random.Random) -> str | None:
    if draw.random() < 0.6:
        return None
    named = draw.sample(["a0", "a1", "Explore", "given"], 2)
    said = [draw.choice([None, None, *(model for model in SAID if model)]) for _ in named]
    made = [{"description": "d", "prompt": "be"} | ({} if model is None else {"model": model}) for model in said]
    return json.dumps(dict(zip(named, made, strict=True)) | draw.choice([{}, {}, {}, {}, {"bad": {"prompt": "be"}}]))


def compare(seed: int, version: str) -> list[str]:
    draw = random.Random(seed)
    made = tree(draw, managed=seed % 2 == 0 and can_manage())
    made = replace(made, files={**made.files, **agents(draw)}, env={**made.env, **variables(draw)})
    given_agents = on_the_command_line(draw)
    before = Tree({}, flag=draw.choice([model for model in MODELS if model.strip()]))
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as folder, serving() as api:
        root = Path(folder)
        (root / "project").mkdir()
        before.write(root)
        start([str(install(version)), "-p", "hi", "--model", before.flag or ""], before, root, api.url)
        made.write(root)
        place = Place(root / "home", root / "project", root / "managed", made.env)
        given = str(root / "given.json") if "file" in made.files else None
        found = resolve(place, version, made.flag, given, given=given_agents)
        command = [str(install(version)), "-p", "hi", *([] if made.flag is None else ["--model", made.flag])]
        command += [] if given is None else ["--settings", given]
        command += [] if given_agents is None else ["--agents", given_agents]
        api.bodies.clear()
        start([*command, "--continue"], made, root, api.url)
        went_on = by_mark(api.bodies).get("")
        api.bodies.clear()
        api.is_played = lambda body: "MARK-" not in str(body["messages"][0])
        calls = [call(agent.name, None) for agent in found.subagents] + [
            call("general-purpose", each) for each in A_CALL
        ]
        api.script += [Says(tools=tuple(calls[at : at + AT_ONCE])) for at in range(0, len(calls), AT_ONCE)]
        start([*command, "--no-session-persistence"], made, root, api.url)
        asked = by_mark(api.bodies)
    return [
        f"{line}: seed {seed}, before {before.flag!r}, {made} {given_agents or ''}"
        for line in differences(found, went_on, asked)
    ]


def differences(found: Resolution, went_on: str | None, asked: dict[str, str]) -> list[str]:
    """Compare; a subagent that did not run (in plan mode, under a hook) is no difference."""
    shown = {"": found.model} | {agent.name: agent.model for agent in found.subagents}
    shown |= {f"general-purpose {name}": model for name, model in found.calls.items()}
    told = [
        f"{name or 'fresh'}: real {real!r}, show {shown[name]!r}" for name, real in asked.items() if real != shown[name]
    ]
    goes_on = found.resumed.model if found.resumed else None
    return told + ([f"goes on: real {went_on!r}, show {goes_on!r}"] if went_on != goes_on else [])


def main() -> None:
    count, seed, version = (*sys.argv[1:], *("60", "1", "2.1.330")[len(sys.argv) - 1 :])
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda n: compare(n, version), range(int(seed), int(seed) + int(count))))
    for line in (line for lines in told for line in lines):
        print(line)
    agree = sum(not lines for lines in told)
    print(f"{version}: {agree} of {len(told)} trees agree, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

"""Random settings trees on the real terminal: does `trimtab terminal show` name the model it asks for?

    python bench/terminal.py [HOW_MANY] [SEED] [VERSION]

Prints every tree on which they differ. The trees of half the seeds have managed settings (root; a private mount namespace).
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.acceptance.real_terminal import Tree, asked_for, can_manage, install

from trimtab.terminal.place import Place
from trimtab.terminal.resolve import resolve

MODELS = [
    "sonnet", "opus", "haiku", "fable", "best", "opusplan", "default", "sonnet[1m]", "claude-sonnet-4-6", "claude-haiku-4-5",
    "claude-opus-4-1", "claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5-20251001", " SONNET ", "",
    "claude-sonet-4-6", "claude-sonnet-4-5-20250929", "gpt-5", "claude-opus-4-6[1m]", "claude-sonnet-5-5", "claude-fable-5",
]  # fmt: skip
LISTED = [m for m in MODELS if m.strip()] + ["sonnet-4-6", "claude-sonnet", "claude-opus-4", "opus-4-8", "claude-haiku"]
WRONG = [
    {"cleanupPeriodDays": "x"}, {"verbose": "x"}, {"permissions": {"allow": "x"}}, {"permissions": {"allow": [1]}},
    {"statusLine": {}}, {"env": 3}, {"hooks": {"PreToolUse": 1}}, {"hooks": 3}, {"availableModels": "x"}, {"model": 17},
    {"model": None}, {"default_model": "sonnet"}, {"defaultModel": "haiku"}, {"permissions": {"defaultMode": "plan"}},
    {"enabledPlugins": {"a": 1}}, {"tui": "x"}, {"modelOverrides": {"claude-sonnet-5-5": "claude-zz"}}, {"fastMode": None},
    {"enforceAvailableModels": "x"}, {"fallbackModel": ["haiku"]}, {"sandbox": {"enabled": 1}},
]  # fmt: skip
BYTES = [b"{,", b"[]", b'{"model":"haiku",}', b'{"model":"haiku"} // x', b"", b"null", b'\xef\xbb\xbf{"model":"haiku"}']


def settings(draw: random.Random, *, managed: bool) -> object:
    if draw.random() < 0.04:
        return draw.choice(BYTES)
    made: dict[str, object] = {}
    if draw.random() < 0.6:
        made["model"] = draw.choice(MODELS)
    if draw.random() < 0.2:
        made["env"] = dict([variable(draw)])
    if draw.random() < 0.2:
        made["availableModels"] = draw.sample(LISTED, draw.choice([0, 1, 1, 2, 3]))
    if draw.random() < 0.15:
        made["enforceAvailableModels"] = draw.random() < 0.8
    if managed and draw.random() < 0.2:
        made["availableModelsMatch"] = "exact"
    if managed and draw.random() < 0.2:
        made["deniedModels"] = draw.sample(LISTED, draw.choice([1, 1, 2]))
    if draw.random() < 0.12:
        made |= draw.choice(WRONG)
    return made


def variable(draw: random.Random) -> tuple[str, str]:
    names = [
        "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP", "ANTHROPIC_SMALL_FAST_MODEL",
    ]  # fmt: skip
    name = draw.choice(names)
    return name, "1" if name.startswith("CLAUDE_CODE") else draw.choice(MODELS)


def tree(draw: random.Random, *, managed: bool) -> Tree:
    files: dict[str, object] = {}
    for name, chance in (("user", 0.7), ("project", 0.4), ("local", 0.3), ("file", 0.15)):
        if draw.random() < chance:
            files[name] = settings(draw, managed=False)
    for name, chance in (("managed", 0.7), ("drop:10.json", 0.4), ("drop:20.json", 0.2)) if managed else ():
        if draw.random() < chance:
            files[name] = settings(draw, managed=True)
    env = dict(variable(draw) for _ in range(draw.choice([0, 0, 0, 1, 2])))
    return Tree(files, env, draw.choice([None, None, None, draw.choice(MODELS)]))


def compare(seed: int, version: str) -> tuple[Tree, str | None, str | None]:
    made = tree(random.Random(seed), managed=seed % 2 == 0 and can_manage())
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as folder:
        root = Path(folder)
        made.write(root)
        real = asked_for(install(version), made, root)
        place = Place(root / "home", root / "project", root / "managed", made.env)
        found = resolve(place, version, made.flag, str(root / "given.json") if "file" in made.files else None)
    return made, real, found.model if found.runs else None


def main() -> None:
    count, seed, version = (*sys.argv[1:], *("200", "1", "2.1.330")[len(sys.argv) - 1 :])
    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda n: compare(n, version), range(int(seed), int(seed) + int(count))))
    wrong = [(made, real, ours) for made, real, ours in told if real != ours]
    for made, real, ours in wrong:
        print(f"real {real!r}, show {ours!r}: {made}")
    print(f"{version}: {len(told) - len(wrong)} of {len(told)} trees agree, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

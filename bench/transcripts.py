"""How fast transcripts are summarised: 1 GB of generated ones, read first and read again, beside ccusage.

    python bench/transcripts.py [--mb 1000] [--folder DIR] [--no-peer]

The sessions have the shapes of real ones of 2.1.330: prompt snapshots and request shapes make up most of the bytes, then tool results;
text is synthetic. Both programs run on one core. ccusage 20.0.24 is installed with npm into the cache folder of the tests where it is
not there yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("TRIMTAB_TEST_CACHE") or Path.home() / ".cache" / "trimtab-tests")
PEER = "20.0.24"
MODELS = ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-8")
WORDS = (
    "the",
    "booking",
    "of",
    "a",
    "charter",
    "needs",
    "boat",
    "and",
    "price",
    "port",
    "skipper",
    "\n	",
    '"quoted"',
    "é",
)


class Session:
    """Writes one session: prompts, calls with tools, a retry now and then, one subagent."""

    def __init__(self, rng: random.Random, folder: Path, project: str, began: datetime) -> None:
        self.rng, self.now, self.id = rng, began, str(uuid.UUID(int=rng.getrandbits(128)))
        self.model = rng.choice(MODELS)
        self.path = folder / "projects" / project.replace("/", "-") / f"{self.id}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.common = {
            "userType": "external",
            "entrypoint": "cli",
            "cwd": project,
            "sessionId": self.id,
            "version": "2.1.330",
            "gitBranch": "main",
        }
        self.last: str | None = None

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128)))

    def text(self, size: int) -> str:
        start = self.rng.randrange(1000)
        return BULK[start : start + size]

    def row(self, kind: str, more: dict[str, object]) -> dict[str, object]:
        self.now += timedelta(seconds=self.rng.random() * 20)
        key, parent = self.uuid(), self.last
        self.last = key
        at = self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "parentUuid": parent,
            "isSidechain": False,
            **more,
            "type": kind,
            "uuid": key,
            "timestamp": at,
            **self.common,
        }

    def request(self, key: str, base: str | None, kept: int, tail: int) -> dict[str, object]:
        at = self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        params = {
            "model": self.model,
            "betas": ["claude-code-20250219"] * 6,
            "max_tokens": 32000,
            "thinking": {"type": "adaptive"},
        }
        based = {"base": base} if base else {}
        return {"type": "api-request", "sessionId": self.id, "id": key, "timestamp": at, "version": "2.1.330", "querySource": "repl_main_thread", "shapeHash": "f" * 64, "params": params, **based, "keep": kept, "tail": [self.uuid() * 2] * tail, "requestDigest": self.uuid()}  # fmt: skip

    def call(self, ref: str, tool: str | None) -> dict[str, object]:
        r = self.rng
        block = {"type": "tool_use", "id": f"toolu_{self.uuid()}", "name": tool, "input": {"file_path": f"/w/{r.randrange(30)}.py", "content": self.text(r.randrange(50, 1500))}} if tool else {"type": "text", "text": self.text(600)}  # fmt: skip
        five, hour = r.randrange(3000), r.randrange(2) * r.randrange(3000)
        usage = {"input_tokens": r.randrange(2000), "cache_creation_input_tokens": five + hour, "cache_read_input_tokens": r.randrange(80_000), "output_tokens": r.randrange(1500), "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}, "service_tier": "standard", "cache_creation": {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": five}, "inference_geo": "", "iterations": [], "speed": "standard"}  # fmt: skip
        message = {"id": f"msg_{self.uuid()}", "type": "message", "role": "assistant", "model": self.model, "content": [block], "stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None, "usage": usage}  # fmt: skip
        return self.row("assistant", {"message": message, "requestId": f"req_{self.uuid()}", "requestRef": ref, "requestedModel": self.model, "effort": "high"})  # fmt: skip

    def rows(self):
        r = self.rng
        yield {"type": "mode", "mode": "normal", "sessionId": self.id}
        base = None
        for prompt in range(r.randrange(1, 6)):
            yield self.row(
                "user",
                {
                    "promptId": self.uuid(),
                    "message": {"role": "user", "content": self.text(300)},
                    "promptSource": "typed",
                },
            )
            yield self.row("attachment", {"attachment": {"type": "skill_listing", "content": self.text(13_000)}})
            if prompt == 0:
                yield {
                    "type": "api-request-shape",
                    "sessionId": self.id,
                    "shape": {"system": [{"type": "text", "text": self.text(38_000)}]},
                }
            turns = r.randrange(1, 12)
            for turn in range(turns):
                last = turn == turns - 1
                key = self.uuid()
                yield self.request(key, base, turn, 1)
                yield {
                    "type": "api-request-blob",
                    "sessionId": self.id,
                    "hash": "a" * 64,
                    "message": self.text(r.randrange(200, 4000)),
                }
                if r.random() < 0.02:
                    yield self.row("system", {"subtype": "api_error", "error": {"status": 529}, "retryAttempt": 1})
                    again = self.uuid()
                    yield self.request(again, key, turn + 1, 0)
                    key = again
                answer = self.call(key, None if last else r.choice(("Bash", "Edit", "Read", "Grep")))
                yield answer
                base = key
                if last:
                    continue
                result = self.text(r.randrange(50, 6000))
                used = answer["message"]["content"][0]["id"]
                yield self.row("user", {"message": {"role": "user", "content": [{"tool_use_id": used, "type": "tool_result", "content": result, "is_error": r.random() < 0.05}]}, "toolUseResult": {"stdout": result}})  # fmt: skip
                if r.random() < 0.15:
                    yield self.row(
                        "attachment",
                        {
                            "attachment": {
                                "type": "prompt_snapshot",
                                "systemPrompt": [self.text(40_000)],
                                "tools": [self.text(16_000)],
                            }
                        },
                    )
        yield {"type": "cost-state", "sessionId": self.id, "totalCostUSD": 0, "modelUsage": {}}

    def write(self) -> int:
        with self.path.open("w") as file:
            for row in self.rows():
                file.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
        return self.path.stat().st_size


BULK = " ".join(random.Random(1).choices(WORDS, k=20_000))


def generate(folder: Path, megabytes: float, seed: int = 7) -> int:
    """Write sessions until there are so many megabytes; gives the bytes."""
    rng, written, number = random.Random(seed), 0, 0
    until = datetime.now(UTC) - timedelta(days=1)
    while written < megabytes * 1e6:
        began = until - timedelta(minutes=rng.randrange(28 * 24 * 60))
        written += Session(rng, folder, f"/home/dev/project{number % 12}", began).write()
        number += 1
    return written


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float, str]:
    """Run on one core; give seconds, peak MB and what was printed."""
    began = time.perf_counter()
    process = subprocess.Popen(["taskset", "-c", "0", *command], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, out[-2000:]
    return time.perf_counter() - began, used.ru_maxrss / 1024, out


def peer() -> Path | None:
    """Install ccusage where it is not there."""
    folder = CACHE / f"ccusage-{PEER}"
    program = folder / "node_modules" / ".bin" / "ccusage"
    npm = shutil.which("npm")
    if not program.exists() and npm:
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"ccusage@{PEER}"], check=False, capture_output=True)  # fmt: skip
    return program if program.exists() else None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mb", type=float, default=1000)
    options.add_argument("--folder", type=Path, help="Keep the transcripts here; those that are there are used again.")
    options.add_argument("--no-peer", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.folder or Path(temporary)
        claude = root / ".claude"
        if not claude.exists():
            print(f"generated {generate(claude, given.mb) / 1e6:,.0f} MB", file=sys.stderr)
        files = list(claude.rglob("*.jsonl"))
        print(f"{sum(f.stat().st_size for f in files) / 1e6:,.0f} MB in {len(files):,} transcripts, one core\n")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "XDG_CACHE_HOME": str(Path(temporary) / "cache"),
            "NO_COLOR": "1",
            "TZ": "UTC",
        }
        ours = [sys.executable, "-m", "trimtab", "terminal", "usage", "--since", "60d", "--home", str(root), "--json"]
        rows = []
        for name in ("trimtab, first run", "trimtab, second run"):
            seconds, peak, out = measured(ours, env)
            total = json.loads(out)["total"]
            rows.append((name, seconds, peak, total["calls"], total["usd"]))
        program = None if given.no_peer else peer()
        if program:
            for name in ("ccusage, first run", "ccusage, second run"):
                seconds, peak, out = measured([str(program), "daily", "--offline", "--json"], env)
                rows.append((name, seconds, peak, None, json.loads(out)["totals"]["totalCost"]))
        print(f"{'':<22}{'seconds':>9}{'peak MB':>9}{'calls':>10}{'dollars':>14}")
        for name, seconds, peak, calls, usd in rows:
            print(f"{name:<22}{seconds:>9.2f}{peak:>9.0f}{calls or '':>10}{usd:>14.4f}")
        if program:
            agree = abs(rows[0][4] - rows[-1][4]) < 0.005
            print(f"\ndollars {'agree to the cent' if agree else 'DO NOT agree'} (models whose prices ccusage knows)")


if __name__ == "__main__":
    main()

"""An operator in a process of its own, who is killed -9 when a host reaches a step: `killed_operator.py STORE WHAT HOST STEP ADDRESS...`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.fakes.hosts import NEW, group_of

from trimtab.policy.rollout_spec import StageSpec
from trimtab.policy.spec import AppSpec, Policy
from trimtab.rollouts.fleet import HostNews, apply_stage, restore_all


def policy_of(*groups, source="trimtab.toml"):
    return Policy(source, "digest", AppSpec(), {}, {}, {}, {}, hosts={group.name: group for group in groups})


def main() -> None:
    store, what, host, step, *addresses = sys.argv[1:]
    policy = policy_of(group_of("apps", "production", *addresses, batch=2))

    def told(news: HostNews) -> None:
        if (news.host, news.step) == (host, step):
            os.kill(os.getpid(), signal.SIGKILL)

    stage = StageSpec("production")
    work = (
        apply_stage(Path(store), policy, "r", 1, stage, {"orchestrator": NEW}, "anna", told, lambda: None)
        if what == "apply"
        else restore_all(Path(store), policy, "r", 1, "anna", told)
    )
    print(asyncio.run(work))  # noqa: T201 - told where it was not killed


if __name__ == "__main__":
    main()

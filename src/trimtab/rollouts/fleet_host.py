"""One host of a fleet: what is done to it, written down before, told after; a failed one is taken back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trimtab.core.moves import HostFact
from trimtab.hosts.change import Ended, Step, ask, change, health, patiently, prove, restore
from trimtab.hosts.plan import Lock, Plan, Seen, diff, see
from trimtab.hosts.remote import Remote
from trimtab.hosts.ssh import Refused, Trouble
from trimtab.rollouts.fleet_lines import Past, Place, Task, add_line, lines, past
from trimtab.rollouts.fleet_told import HostEnd, HostNews


@dataclass(slots=True)
class Member:
    """A host while it is changed.

    wanted: role -> full id of the roles that are configured there. facts: the lines of this attempt, the oldest first.
    """

    task: Task
    remote: Remote
    wanted: Mapping[str, str]
    facts: list[HostFact]
    told: Callable[[HostNews], None]
    plan: Plan = field(default_factory=Plan, init=False)
    seen: Seen = field(default_factory=Seen, init=False)
    answered: Mapping[str, str] = field(default_factory=dict[str, str], init=False)

    @property
    def place(self) -> Place:
        """Its group and address."""
        return self.remote.group.name, self.remote.host

    @property
    def past(self) -> Past | None:
        """What was done to it so far."""
        return past(self.facts)

    async def secure(self) -> Trouble | None:
        """Take the lock there."""
        assert self.remote.guard
        token = await self.remote.guard.token()
        if not isinstance(token, str):
            return token
        # What somebody else did before that is known only now.
        known = await asyncio.to_thread(lines, self.task.store, self.task.rollout, self.task.attempt)
        self.facts = known.get(self.place, [])
        return None

    async def look(self, lock: Lock) -> Trouble | None:
        """Read what it runs, and work out what has to change; nothing is changed yet."""
        seen = await see(self.remote)
        if not isinstance(seen, Seen):
            return seen
        self.seen = seen
        plan = diff(self.remote.group.files, seen, self.wanted, lock)
        if isinstance(plan, Refused):
            return plan
        self.plan = plan
        return None if self.past is not None or not plan.files else await self._ask_before()

    async def _ask_before(self) -> Trouble | None:
        """Learn which model answers now: that is what it has to answer as again, should it be taken back."""
        group, anything = self.remote.group, dict.fromkeys(self.wanted, ())
        before = await ask(self.remote, group.last, anything) if group.last else Ended(why="not asked")
        if not before.ok:
            before = await prove(self.remote, anything)
        self.answered = before.answered
        configured = any(self.seen.configured.get(role) for role in self.wanted)
        if before.ok or not configured or not self.task.rollout:
            return None
        return Refused(f"it does not answer as it is: {before.why}")

    async def change(self) -> HostEnd:
        """Bring the new map there; what fails is taken back."""
        # The lock may have gone with a connection that broke while other hosts were changed.
        if trouble := await patiently(self.remote, self.secure):
            return await self.fail(trouble.why)
        before = self.past
        if before is not None and before.broken:
            return await self.restore("it failed before")
        expected = {role: (model,) for role, model in self.wanted.items()}
        unfinished = before is not None and before.unfinished
        ended = await change(self.remote, self.plan, expected, self.note, restart=unfinished)
        if ended.ok:
            self.answered = ended.answered
            return self.end("changed")
        return await self.fail(ended.why)

    async def fail(self, why: str) -> HostEnd:
        """Write down that it failed, and take it back if anything was written there."""
        await self.note(Step("failed", why=why))
        if self.past is None:
            # Nothing is written there, so that there is nothing to take back: it runs what it ran.
            return await self._finish("unknown", Ended(why=why))
        return await self.restore(why)

    async def restore(self, why: str = "") -> HostEnd:
        """Take back what was written, and prove the old map."""
        before = self.past
        assert before
        self.wanted = {role: models[0] for role, models in before.was.items()}
        await self.note(Step("restoring", before.files, why=why))
        # Where the connection broke the lock went with it, and somebody else may have begun: nothing is restarted under their hands.
        if trouble := await patiently(self.remote, self.secure):
            return await self._finish("unknown", Ended(why="; ".join(filter(None, (why, trouble.why)))))
        ended = await restore(self.remote, before.files, before.was, restart=before.restarted)
        reason = "; ".join(filter(None, (why, ended.why)))
        if not ended.ok:
            return await self._finish("unknown", Ended(ended.answered, reason))
        trouble = await health(self.remote)
        sick = f"it is back on what it ran before, but not healthy: {trouble.why}" if trouble else ""
        return await self._finish("restored", Ended(ended.answered, "; ".join(filter(None, (why, sick)))))

    async def soak(self) -> None:
        """Write down that it is watched for a while."""
        await self.note(Step("soaking", answered=self.answered))

    async def give_up(self, why: str) -> HostEnd:
        """Write down that nobody knows what it runs."""
        return await self._finish("unknown", Ended(why=why))

    async def settle(self) -> HostEnd:
        """Write down that it runs the new map."""
        return await self._finish("changed", Ended(self.answered))

    async def note(self, step: Step) -> None:
        """Write a step down, durably, and tell of it. Raises Overtaken where somebody else went on with the host."""
        evidence: Mapping[str, Any] = {}
        if step.name == "writing":
            configured = {role: self.seen.configured.get(role) for role in self.wanted}
            step, evidence = replace(step, answered=self.answered), {"configured": configured}
        known = self.facts[-1].number if self.facts else -1
        fact = await asyncio.to_thread(add_line, self.task, self.place, step, self.wanted, evidence, known)
        changes = "\n".join(line for file in step.files for line in file.lines()) if step.name == "writing" else ""
        group, host = self.place
        self.told(HostNews(host, group, self.task.environment, step.name, changes or step.why, fact.at))
        self.facts.append(fact)

    def end(self, step: str, why: str = "") -> HostEnd:
        """Say how it ended."""
        group, host = self.place
        return HostEnd(host, group, step, self.answered, why)

    async def _finish(self, step: str, ended: Ended) -> HostEnd:
        await self.note(Step(step, answered=ended.answered, why=ended.why))
        self.answered = ended.answered
        return self.end(step, ended.why)

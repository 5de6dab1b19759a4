"""The composition root: alone in knowing every part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import uuid4

from trimtab.core.errors import DeclarationError, PlanError, RunError, TrimtabError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.pin import ORCHESTRATOR, Pin
from trimtab.core.ports import Clock, Ended, ModelClient, NewRun, Parked, PriceList, Standing
from trimtab.core.records import AssignmentFact, EffectFact, ExposureFact, RunFact
from trimtab.core.values import Json, digest, dumps
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.engine.handin import hand_in_run
from trimtab.experiments import Running
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.models.catalogue import Catalogue
from trimtab.models.client import Provider, ProviderClient
from trimtab.policy.assign import Drawn, every_arm
from trimtab.policy.caps import refuse_unpriced
from trimtab.policy.load import check, load
from trimtab.policy.resolve import make_pin, resolve
from trimtab.policy.spec import Policy
from trimtab.rollouts.adopt import adopt
from trimtab.run.budget import Budgets, Sum
from trimtab.run.credential import Check, credentials_of
from trimtab.run.loop import RunLoop
from trimtab.run.prompt import prompt_digests
from trimtab.run.retry import Limits
from trimtab.run.scope import APPROVAL, Means
from trimtab.run.workflow import Workflow
from trimtab.word import decision, resumption, settlement

Q = TypeVar("Q")
R = TypeVar("R")
CALLS_AT_ONCE = 32


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Give the time."""
        return datetime.now(UTC)

    async def sleep_until(self, at: datetime) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, (at - self.now()).total_seconds()))


@dataclass(frozen=True, slots=True)
class Run(Generic[R]):
    """One durable execution."""

    id: str
    key: str
    app: App
    workflow: Workflow[Any, R]

    async def settled(self) -> Standing:
        """Wait until the run ended or waits for somebody, and give how it stands."""
        return await self.app.engine.settled(self.id)

    async def ended(self) -> Ended:
        """Wait for the end, through every decision it needs."""
        standing = await self.app.engine.settled(self.id, through=frozenset(Status))
        assert isinstance(standing, Ended)
        return standing

    async def result(self) -> R:
        """Wait for the end and give what the workflow concluded.

        Raises PlanError or RunError where it concluded nothing, and where it cannot go on without you (it may be waited for
        again once you have let it).
        """
        standing = await self.app.engine.settled(self.id, through=frozenset(Status) - {Status.NEEDS_YOU})
        if standing.value is not None or standing.status is Status.COMPLETED:
            return self.workflow.result.validate_python(standing.value)
        kind = PlanError if standing.reason.startswith("PlanError") else RunError
        how = "ended as" if isinstance(standing, Ended) else "stands as"
        raise kind(f"run {self.id} {how} {standing.status}: {standing.reason}", hint=f"trimtab runs show {self.id}")

    async def decide(self, *, approved: bool, by: str) -> int:
        """Approve or deny every call this run holds now; gives how many decisions were new."""
        standing = await self.settled()
        events = sorted(standing.events) if isinstance(standing, Parked) else []
        held = [event.removeprefix(APPROVAL) for event in events if event.startswith(APPROVAL)]
        return sum([await self.app.decide(self.id, key, approved=approved, by=by) for key in held])

    async def cancel(self, by: str) -> bool:
        """End it before its time; False when it has ended already."""
        return await self.app.engine.cancel(self.id, by)


class App:
    """Workflows, a policy and a store, made one.

        async with App(CharterBooking(specialists=[...]), policy="trimtab.toml") as app:
            run = await app.start(CharterBooking, request, key=order_id)
            confirmation = await run.result()

    `policy` is a file or a loaded policy; `store` the SQLite file (the policy's where not given). `models`, `prices` and
    `clock` replace the real ones. `credentials` are functions, by name, that say why a credential is not valid (None: it is),
    beside what `[credentials]` of the policy says. Entering takes the store and goes on with unfinished runs; leaving stops and keeps them.
    """

    def __init__(
        self,
        *workflows: Workflow[Any, Any],
        policy: Policy | Path | str,
        store: Path | str | None = None,
        environment: str = "local",
        models: ModelClient | None = None,
        prices: PriceList | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        credentials: Mapping[str, Check] | None = None,
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else load(Path(policy))
        self.store = Path(store) if store is not None else self.policy.store
        self.environment = environment
        self.workflows: Mapping[str, Workflow[Any, Any]] = {w.name: w for w in workflows}
        if len(self.workflows) != len(workflows) or not workflows:
            raise DeclarationError("an app needs workflows of different names", hint="App(MyWorkflow(...), policy=...)")
        self.clock: Clock = clock or SystemClock()
        self._models = models
        self.prices: PriceList = prices or Catalogue(self.policy.price_file)
        self._limits = limits or Limits()
        self._client: ProviderClient | None = None
        self._facts = SqliteFacts()
        self._digests: dict[tuple[str, tuple[tuple[str, str], ...]], Mapping[str, str]] = {}
        check(self.policy, self.roles)
        self.credentials = credentials_of(self.policy.credentials, credentials or {}, self.needs_credential)
        self._running = Running(self.policy, environment, self.store)
        # A policy that cannot staff a workflow, in any arm, is refused here and not at the first request.
        self._pins()
        self.engine: EmbeddedEngine

    @property
    def roles(self) -> frozenset[str]:
        """Every role of every workflow."""
        return frozenset({ORCHESTRATOR, *(role for w in self.workflows.values() for role in w.specialists)})

    @property
    def needs_credential(self) -> Mapping[str, frozenset[str]]:
        """Every credential that a role needs, with those roles."""
        listed = [s for w in self.workflows.values() for s in w.specialists.values()]
        names = sorted({name for s in listed for name in s.needs_credential})
        return {name: frozenset(s.role for s in listed if name in s.needs_credential) for name in names}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of every key and credential that is set: no message may carry one."""
        providers, credentials = self.policy.providers.values(), self.policy.credentials.values()
        variables = [*(p.key_env for p in providers), *(c.env for c in credentials)]
        return tuple(sorted({os.environ[name] for name in variables if name and os.environ.get(name)}))

    async def __aenter__(self) -> Self:
        """Take the store and go on with unfinished runs."""
        if self._models is None:
            providers = {n: Provider(p.kind, p.base_url, p.key_env or "") for n, p in self.policy.providers.items()}
            self._client = ProviderClient(providers)
        models = self._models or self._client
        assert models is not None
        budgets = Budgets(self.policy.budgets)
        means = Means(
            models,
            self.prices,
            self.clock,
            self._limits,
            asyncio.Semaphore(CALLS_AT_ONCE),
            budgets,
            self.credentials,
            self.secrets,
            host=gethostname(),
            price_list=self.prices.version,
        )
        self.engine = EmbeddedEngine(self.store, RunLoop(self.workflows, means), self._facts, self.clock)
        await self.engine.start()
        try:
            self._load(budgets)
            adopt(self.store, self.policy, self.environment, by="trimtab", at=self.clock.now())
            self._try_models(self._pins(self._running.brought()))
        except TrimtabError:
            await self.engine.close()
            raise
        return self

    def _load(self, budgets: Budgets) -> None:
        # Only now is the file ours alone. Runs may be at work already; none gets past the ledger before it is loaded.
        if not self.policy.budgets:
            return
        with Journal(self.store) as journal:
            days, runs = journal.balances(self.clock.now().date() - timedelta(days=1))
        budgets.load(
            [(b.environment, b.role, b.day, Sum(b.usd, b.tokens, b.turns, b.unpriced)) for b in days if b.day],
            [(b.run_id, b.role, Sum(b.usd, b.tokens, b.turns, b.unpriced)) for b in runs],
        )

    def _try_models(self, pins: Sequence[Pin]) -> None:
        # A missing key or package is told before the first request is, and the first call does not pay for imports.
        if self._client is None:
            return
        choices = [choice for pin in pins for choice in pin.roles.values()]
        for model in sorted({model for choice in choices for model in (choice.model, *choice.escalate)}):
            if fault := self._client.prepare(model):
                message, _, hint = fault.message.partition("\nhint: ")
                raise UsageError(message, hint=hint)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what is unfinished goes on at the next start."""
        await self.engine.close()
        if self._client is not None:
            await self._client.close()

    async def start(self, workflow: type[Workflow[Q, R]], request: Q, key: str | None = None) -> Run[R]:
        """Accept a request, durably, and start it. The same key starts it once, however often it is given."""
        declared = self.workflow(workflow.name)
        new = self._new(declared, declared.dump_request(request), key)
        return Run(await self.engine.accept(new), new.key, self, declared)

    async def start_json(self, workflow: str, request: object, key: str | None = None) -> Run[Any]:
        """Start a workflow by name on a JSON request. Raises RequestError naming every wrong field."""
        declared = self.workflow(workflow)
        new = self._new(declared, declared.dump_request(declared.read_request(request)), key)
        return Run(await self.engine.accept(new), new.key, self, declared)

    def hand_in(self, workflow: str, request: object, key: str | None = None) -> str:
        """Accept a request for the worker that runs the store, from another process; gives the run's id."""
        declared = self.workflow(workflow)
        return hand_in_run(
            self.store, self._facts, self._new(declared, declared.dump_request(declared.read_request(request)), key)
        )

    async def decide(self, run_id: str, key: str, *, approved: bool, by: str) -> bool:
        """Approve or deny one held call, by its idempotency key; False when it was decided before, or no such call is held."""
        with Journal(self.store) as journal:
            if not journal.holds(run_id, key):
                journal.run(run_id)  # raises UnknownRunError
                return False
        decided = decision(run_id, key, approved=approved, by=by, at=self.clock.now())
        return await self.engine.deliver(run_id, decided.name, decided.payload, decided.facts)

    async def settle(self, effect: EffectFact, *, made: bool | None, result: Json = None, by: str) -> bool:
        """Say what came of a write, as `settle_elsewhere` does; False when that was said before."""
        said = settlement(effect, made=made, result=result, by=by, at=self.clock.now())
        return await self.engine.deliver(said.run_id, said.name, said.payload, said.facts)

    async def resume(
        self,
        run_id: str,
        *,
        by: str,
        raised: Mapping[str, object] | None = None,
        models: Mapping[str, str] | None = None,
    ) -> bool:
        """Let a stalled run go on, with higher caps (as in `[budgets]`) or other models by role (aliases or full ids).

        Both hold for this run alone, from now on. False when it has ended, or somebody else let it go on at this moment.
        Raises UsageError naming the caps or roles there are, and UnknownRunError.
        """
        full = {role: self.policy.model_id(model) for role, model in (models or {}).items()}
        if unknown := sorted(set(full) - self.roles):
            raise UsageError(f"no role {unknown[0]!r} in this app", hint=f"it has {', '.join(sorted(self.roles))}")
        with Journal(self.store) as journal:
            number = journal.resumes(run_id)
        word = resumption(run_id, number, by=by, raised=raised, models=full, at=self.clock.now())
        return await self.engine.deliver(run_id, word.name, word.payload, word.facts)

    def run(self, run_id: str, workflow: str) -> Run[Any]:
        """Take up a run that was started before."""
        return Run(run_id, "", self, self.workflow(workflow))

    def workflow(self, name: str) -> Workflow[Any, Any]:
        """Find a workflow by name. Raises DeclarationError naming those there are."""
        if name not in self.workflows:
            known = ", ".join(sorted(self.workflows))
            raise DeclarationError(f"no workflow {name!r} in this app", hint=f"it has {known}")
        return self.workflows[name]

    def pin(self, workflow: Workflow[Any, Any], drawn: Sequence[Drawn] = ()) -> Pin:
        """Decide, by the policy, which model plays each role of a run accepted now; `drawn` are the arms that it is in."""
        resolved = resolve(self.policy, self.environment, {ORCHESTRATOR, *workflow.specialists}, drawn)
        revised = {role: c.instructions for role, c in resolved.choices.items() if c.instructions is not None}
        shown = (workflow.name, tuple(sorted(revised.items())))
        if shown not in self._digests:
            self._digests[shown] = prompt_digests(workflow, revised)
        return make_pin(resolved, self._digests[shown], self.clock.now().date())

    def _pins(self, brought: Sequence[Drawn] = ()) -> list[Pin]:
        # Every map a run accepted here may be pinned to, each arm by itself, and what rollouts of the store brought.
        changes = [(), *((drawn,) for drawn in (*every_arm(self.policy, self.environment), *brought))]
        pins = [self.pin(workflow, drawn) for workflow in self.workflows.values() for drawn in changes]
        for pin in pins:
            budget = self.policy.budgets.get(self.environment)
            refuse_unpriced(self.environment, budget, pin.roles, self.prices, pin.price_date)
        return pins

    def _new(self, workflow: Workflow[Any, Any], request: Json, key: str | None) -> NewRun:
        key = key or uuid4().hex
        run_id = run_id_of(workflow.name, key)
        drawn = self._running.draw({ORCHESTRATOR, *workflow.specialists}, key)
        pin, now = self.pin(workflow, drawn), self.clock.now()
        exposure = ExposureFact(run_id, pin.roles_json(), pin.arm, pin.propensity, pin.policy_digest, pin.price_date)
        assigned = [AssignmentFact(run_id, d.experiment, d.arm, d.propensity, d.weight) for d in drawn]
        return NewRun(
            run_id=run_id,
            workflow=workflow.name,
            key=key,
            fingerprint=digest(request),
            payload=dumps({"workflow": workflow.name, "request": request, "pin": pin.as_json()}),
            facts=[RunFact(run_id, workflow.name, key, self.environment, request, now), exposure, *assigned],
        )


def run_id_of(workflow: str, key: str) -> str:
    """Name the run that a key starts, before it is started."""
    return digest([workflow, key])

"""The composition root: alone in knowing every part."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import uuid4

from trimtab.core.errors import DeclarationError, PlanError, RunError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.pin import ORCHESTRATOR, Pin
from trimtab.core.ports import Clock, Ended, ModelClient, NewRun, Parked, PriceList, Standing
from trimtab.core.records import DecisionFact, ExposureFact, RunFact
from trimtab.core.values import Json, digest, dumps
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.engine.handin import CANCEL, Event, hand_in_event, hand_in_run
from trimtab.journal.writer import SqliteFacts
from trimtab.models.catalogue import GenaiPrices
from trimtab.models.client import Provider, ProviderClient
from trimtab.policy.load import check, load
from trimtab.policy.resolve import make_pin, resolve
from trimtab.policy.spec import Policy
from trimtab.run.call import APPROVAL
from trimtab.run.loop import RunLoop
from trimtab.run.prompt import prompt_digests
from trimtab.run.retry import Limits
from trimtab.run.scope import Means
from trimtab.run.workflow import Workflow

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
        standing = await self.app.engine.settled(self.id, final=True)
        assert isinstance(standing, Ended)
        return standing

    async def result(self) -> R:
        """Wait for the end and give what the workflow concluded. Raises PlanError or RunError where it concluded nothing."""
        standing = await self.ended()
        if standing.value is not None or standing.status is Status.COMPLETED:
            return self.workflow.result.validate_python(standing.value)
        kind = PlanError if standing.reason.startswith("PlanError") else RunError
        raise kind(f"run {self.id} ended as {standing.status}: {standing.reason}", hint=f"trimtab runs show {self.id}")

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
    `clock` replace the real ones. Entering takes the store and goes on with unfinished runs; leaving stops and keeps them.
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
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else load(Path(policy))
        self.store = Path(store) if store is not None else self.policy.store
        self.environment = environment
        self.workflows: Mapping[str, Workflow[Any, Any]] = {w.name: w for w in workflows}
        if len(self.workflows) != len(workflows) or not workflows:
            raise DeclarationError("an app needs workflows of different names", hint="App(MyWorkflow(...), policy=...)")
        self.clock: Clock = clock or SystemClock()
        self._models = models
        self._prices: PriceList = prices or GenaiPrices()
        self._limits = limits or Limits()
        self._client: ProviderClient | None = None
        self._facts = SqliteFacts()
        self._digests = {w.name: prompt_digests(w) for w in workflows}
        check(self.policy, self.roles)
        for workflow in workflows:
            self.pin(workflow)  # a policy that cannot staff a workflow is refused here and not at the first request
        self.engine: EmbeddedEngine

    @property
    def roles(self) -> frozenset[str]:
        """Every role of every workflow."""
        return frozenset({ORCHESTRATOR, *(role for w in self.workflows.values() for role in w.specialists)})

    async def __aenter__(self) -> Self:
        """Take the store and go on with unfinished runs."""
        if self._models is None:
            providers = {n: Provider(p.kind, p.base_url, p.key_env or "") for n, p in self.policy.providers.items()}
            self._client = ProviderClient(providers)
        models = self._models or self._client
        assert models is not None
        means = Means(models, self._prices, self.clock, self._limits, asyncio.Semaphore(CALLS_AT_ONCE))
        self.engine = EmbeddedEngine(self.store, RunLoop(self.workflows, means), self._facts, self.clock)
        await self.engine.start()
        try:
            self._try_models()
        except UsageError:
            await self.engine.close()
            raise
        return self

    def _try_models(self) -> None:
        # A missing key or package is told before the first request is, and the first call does not pay for imports.
        if self._client is None:
            return
        for model in sorted({c.model for w in self.workflows.values() for c in self.pin(w).roles.values()}):
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
        """Approve or deny one held call, by its idempotency key; False when it was decided before."""
        decided = _decision(run_id, key, approved, by, self.clock.now())
        return await self.engine.deliver(run_id, decided.name, decided.payload, decided.facts)

    def run(self, run_id: str, workflow: str) -> Run[Any]:
        """Take up a run that was started before."""
        return Run(run_id, "", self, self.workflow(workflow))

    def workflow(self, name: str) -> Workflow[Any, Any]:
        """Find a workflow by name. Raises DeclarationError naming those there are."""
        if name not in self.workflows:
            known = ", ".join(sorted(self.workflows))
            raise DeclarationError(f"no workflow {name!r} in this app", hint=f"it has {known}")
        return self.workflows[name]

    def pin(self, workflow: Workflow[Any, Any]) -> Pin:
        """Decide, by the policy, which model plays each role of a run accepted now."""
        roles = {ORCHESTRATOR, *workflow.specialists}
        digests = self._digests[workflow.name]
        resolved = resolve(self.policy, self.environment, roles)
        return make_pin(resolved, digests, self.clock.now().date())

    def _new(self, workflow: Workflow[Any, Any], request: Json, key: str | None) -> NewRun:
        key = key or uuid4().hex
        run_id = run_id_of(workflow.name, key)
        pin, now = self.pin(workflow), self.clock.now()
        exposure = ExposureFact(run_id, pin.roles_json(), pin.arm, pin.propensity, pin.policy_digest, pin.price_date)
        return NewRun(
            run_id=run_id,
            workflow=workflow.name,
            key=key,
            fingerprint=digest(request),
            payload=dumps({"workflow": workflow.name, "request": request, "pin": pin.as_json()}),
            facts=[RunFact(run_id, workflow.name, key, self.environment, request, now), exposure],
        )


def run_id_of(workflow: str, key: str) -> str:
    """Name the run that a key starts, before it is started."""
    return digest([workflow, key])


def cancel_elsewhere(store: Path, run_id: str, by: str) -> bool:
    """Cancel a run by way of its store, from any process; False when it was asked before or the run has ended."""
    return hand_in_event(store, SqliteFacts(), Event(run_id, CANCEL, by))


def decide_elsewhere(store: Path, run_id: str, key: str, *, approved: bool, by: str) -> bool:
    """Decide a held call by way of its store, from any process; False when it was decided before or the run has ended."""
    return hand_in_event(store, SqliteFacts(), _decision(run_id, key, approved, by, datetime.now(UTC)))


def _decision(run_id: str, key: str, approved: bool, by: str, at: datetime) -> Event:  # noqa: FBT001 - private, called by name
    payload: Json = {"approved": approved, "by": by}
    return Event(run_id, APPROVAL + key, payload, [DecisionFact(run_id, key, approved, by, at)])

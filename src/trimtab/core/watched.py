"""What the watch looks at: one environment as the journal has it, added up by hour, and what it found to be wrong there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from trimtab.core.finding import Weight
from trimtab.core.values import Json

Unit: TypeAlias = Literal["usd", "tokens"]


@dataclass(frozen=True, slots=True)
class Spent:
    """Model calls of some time, added up for statistics: dollars are floats here, and only here.

    `usd` is without the `unpriced` calls. `usd_squares` and `token_squares` are sums over calls of the square of each.
    `again` counts attempts beyond the first, `failed` attempts without an answer, `runs` the runs accepted in that time.
    """

    calls: int = 0
    usd: float = 0.0
    usd_squares: float = 0.0
    tokens: float = 0.0
    token_squares: float = 0.0
    unpriced: int = 0
    again: int = 0
    failed: int = 0
    runs: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def of(self, unit: Unit) -> float:
        """Give dollars or tokens."""
        return self.usd if unit == "usd" else self.tokens

    def squares(self, unit: Unit) -> float:
        """Give the sum of squares of dollars or tokens."""
        return self.usd_squares if unit == "usd" else self.token_squares


@dataclass(frozen=True, slots=True)
class SpentHour:
    """The clock hour (UTC) that begins `at`."""

    at: datetime
    spent: Spent


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to calls of `requested` that came from another model; `run_id` is one of the runs."""

    requested: str
    response: str
    calls: int
    roles: tuple[str, ...]
    run_id: str


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Calls to a model whose price was not known when they were made."""

    model: str
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of one cap: `path` is its key in the policy, `share` 1 where nothing is left, `run_id` empty for a day's cap."""

    path: str
    amount: Decimal
    used: Decimal
    share: float
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Runs that stand still in one status; `since` is when the one that stands longest came to it."""

    status: str
    runs: int
    run_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """One environment at one moment. `hours` and `settled` are by clock hour, those without anything left out, oldest first.

    `hour` is the last hour up to `now` and `traffic_at` when anything last happened (None: never). `arrivals` are the runs accepted
    in each tenth minute of the clock that is over, numbered from 1970, those without any left out; empty: not known.
    """

    environment: str
    now: datetime
    hours: Sequence[SpentHour]
    settled: Sequence[SettledFact]
    hour: Spent
    traffic_at: datetime | None
    arrivals: Mapping[int, int] = field(default_factory=dict[int, int])
    answered: Sequence[Answered] = ()
    unpriced: Sequence[Unpriced] = ()
    used: Sequence[Used] = ()
    standing: Sequence[Standing] = ()
    all_simulated: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong.

    cause:    what it is and where, the same for as long as it is the same thing: `spend_spike/production`.
    what:     one sentence, with the figures.
    mend:     the command that shows more.
    since:    when it began; one that began before its last alert is not told again.
    told:     whether it is enough to open an alert. What is not keeps an open one open.
    size:     how large it is, where what happened once by itself may happen again: the next one is told where it is `larger`
              times as large, or a fortnight later. It is in the evidence, too.
    """

    cause: str
    weight: Weight
    what: str
    mend: str
    since: datetime
    evidence: Json = field(default_factory=dict[str, Json])
    told: bool = True
    size: float | None = None
    larger: float = 1.0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a detector can tell as things are: `what` in one sentence; `ready` says whether it can tell anything yet."""

    detector: str
    environment: str
    ready: bool
    what: str


@dataclass(frozen=True, slots=True)
class AlertFact:
    """An alert moved: `state` is open, worse (its weight grew while it was open) or closed.

    `cause` says what is wrong and where, the same as long as it is the same thing; `number` counts how often it was opened.
    The newest line of a cause tells how it stands.
    """

    cause: str
    number: int
    state: str
    weight: str
    what: str
    mend: str
    evidence: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryFact:
    """A line of telling one move of an alert over one channel: `outcome` is begun, accepted or failed.

    Begun is durable before the channel is asked, so that two watches never tell the same thing at once. Accepted is for good.
    """

    cause: str
    number: int
    state: str
    channel: str
    attempt: int
    outcome: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SpentFact:
    """A clock hour of one environment that is over, added up for the watch (see `core.watched.Spent`); the calls say the same."""

    environment: str
    at: datetime
    calls: int
    usd: float
    usd_squares: float
    tokens: float
    token_squares: float
    unpriced: int
    again: int
    failed: int
    runs: int
    simulated: bool


@dataclass(frozen=True, slots=True)
class SettledFact:
    """The runs of an environment that first stood still in the clock hour (UTC) that begins `at`, added up for the watch.

    `successes` are those with decomposition success. `usd` and `tokens` are of all their calls, `unpriced` counts runs with a call
    of unknown price: their tokens count, what is not known of their dollars does not. Kept as they stand a day later.
    """

    environment: str
    at: datetime
    runs: int
    successes: int
    usd: float
    tokens: float
    unpriced: int

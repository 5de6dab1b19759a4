"""Models as the commands of `trimtab cost` name them, and their prices taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.cli.options import POLICY_FILE, load_policy
from trimtab.core.errors import UsageError
from trimtab.learn.tariff import KINDS, Tariff
from trimtab.models.catalogue import Catalogue

if TYPE_CHECKING:
    from trimtab.policy.spec import Policy

_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The catalogue on one day, and the names that the policy gives models."""

    catalogue: Catalogue
    on: date
    policy: Policy | None

    def full_id(self, name: str) -> str:
        """Give the `provider:full-id` that a name stands for. Raises UsageError naming models that are called like it."""
        id_ = self.policy.model_id(name) if self.policy else name
        found = self.catalogue.full_id(id_)
        if found is None:
            if id_ != name:
                raise UsageError(f"{name!r} stands for {id_!r}, which has no price", hint="trimtab models check")
            raise UsageError(f"unknown model {name!r}: it has no price", hint=self._meant(name))
        return found

    def tariff(self, model: str) -> Tariff | None:
        """Give the prices of a full id; None where it has none on this day."""
        row = self.catalogue.prices(model, self.on)
        if row is None:
            return None
        prices = {tier.over: {kind: getattr(tier.rates, kind) for kind in KINDS} for tier in row.tiers}
        return Tariff(model, tuple(prices), prices)

    def tariffs(self, models: tuple[str, str]) -> tuple[Tariff, Tariff]:
        """Give the prices of two full ids. Raises UsageError where one has none."""
        one, two = (self._priced(model) for model in models)
        return one, two

    def same(self, requested: str, model: str) -> bool:
        """Whether a recorded call was made on this model, by whichever of its names."""
        if requested == model:
            return True
        one, two = self.catalogue.model(requested), self.catalogue.model(model)
        return one is not None and two is not None and one.id == two.id

    def cautions(self, model: str, prompt: int) -> list[str]:
        """Say what else stands against sending such prompts to a model."""
        known, found = self.catalogue.model(model), list[str]()
        if known and known.context and prompt > known.context:
            found.append(f"{model} takes prompts of at most {known.context:,} tokens, not {prompt:,}")
        if known and known.retires and known.retires - self.on <= _SOON:
            when = "retires on" if known.retires > self.on else "is retired since"
            found.append(f"{model} {when} {known.retires}: from then on it does not answer")
        return found

    def _priced(self, model: str) -> Tariff:
        found = self.tariff(model)
        if found is None:
            raise UsageError(f"{model!r} has no price on {self.on}", hint=f"trimtab models show {model}")
        return found

    def _meant(self, name: str) -> str:
        naming = self.catalogue.naming(name if ":" in name else f"anthropic:{name}")
        if naming.means:
            return f"it is an alias, which means {naming.means[0]} today"
        ids = [model.id for provider in self.catalogue.providers() for model in self.catalogue.models(provider)]
        plain = {id_.partition(":")[2]: id_ for id_ in ids} | {id_: id_ for id_ in ids}
        plain |= {alias: alias for alias in self.policy.models} if self.policy else {}
        close = dict.fromkeys(plain[near] for near in get_close_matches(name.lower(), plain, n=4))
        return f"did you mean {' or '.join(close)}?" if close else "trimtab models list"


def price_book(policy_file: str, on: date) -> PriceBook:
    """Read the policy, where there is one: its aliases may name models, and it may name prices of the site's own."""
    there = policy_file != POLICY_FILE or Path(policy_file).exists()
    policy = load_policy(policy_file) if there else None
    return PriceBook(Catalogue(policy.price_file if policy else None), on, policy)

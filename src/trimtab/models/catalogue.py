"""What models cost and how long they last: `genai-prices`, then trimtab's own dated `prices.toml`, then a site's file.

Nothing is fetched, so a price can be reproduced from `version` and a day. What is not known exactly has no price: there is no
default, and a name that only looks like a known one is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from trimtab.core.usage import Usage
from trimtab.models import genai
from trimtab.models.price_file import PriceFile, read, read_ours
from trimtab.models.prices import Model, PriceRow, Said, merge


@dataclass(frozen=True, slots=True)
class Naming:
    """How exactly a name names a model.

    full:     it is a release that does not change.
    dateless: it stands for one of several dated releases, listed in `means`.
    alias:    it means another model from time to time; `means` has what it means now, as far as that is known.
    """

    kind: Literal["full", "dateless", "alias"]
    means: tuple[str, ...] = ()


class Catalogue:
    """Models by `provider:full-id` (`core.ports.PriceList`). `site` is a price file whose figures win over all others.

    Raises PolicyError where that file is not as it must be. Discounts by request (batches, fast mode, priority tiers) are told
    and not applied: trimtab sends none of these.
    """

    def __init__(self, site: Path | None = None) -> None:
        ours = _our_file()
        self._files: Sequence[PriceFile] = (read(site), ours) if site else (ours,)
        self._model = lru_cache(maxsize=1024)(self._find)
        self._in_force = lru_cache(maxsize=4096)(self._find_in_force)

    @property
    def version(self) -> str:
        """Name everything that prices come from, as `genai-prices 0.2.3, trimtab prices 2026-11-23 d65a3d3fb4e1ab17`."""
        return ", ".join([genai.library(), *(f"{f.name} {f.date} {f.digest}" for f in reversed(self._files))])

    def known(self, model: str) -> bool:
        """Whether `provider:full-id` has a price today."""
        return self.prices(model, datetime.now(UTC).date()) is not None

    def cost(self, model: str, usage: Usage, on: date) -> Decimal | None:
        """Give the dollars of ONE call at the prices of day `on`, or None where a price of it is not known.

        Prices are tiered by the prompt of a call, so the usage of several calls must be priced call by call and added.
        """
        row = self._in_force(model, on)
        return None if row is None else row.cost(usage)

    def prices(self, model: str, on: date) -> PriceRow | None:
        """Give the prices of `provider:full-id` in force on a day; None where they are not known."""
        return self._in_force(model, on)

    def model(self, model: str) -> Model | None:
        """Give all that is known of `provider:full-id`; None where nothing is."""
        return self._model(model)

    def models(self, provider: str) -> Iterator[Model]:
        """Give every model of a provider with a price by tokens, by id."""
        listed = genai.listed(provider)
        ids = {f"{provider}:{key}" for key in listed.models} if listed else set[str]()
        ids |= {model for file in self._files for model in file.models if model.startswith(f"{provider}:")}
        return (found for id_ in sorted(ids) if (found := self.model(id_)))

    def providers(self) -> list[str]:
        """Name the providers whose models are known without importing the library: Anthropic, OpenAI and a site's own."""
        return sorted({*genai.PROVIDERS, *(model.partition(":")[0] for file in self._files for model in file.models)})

    def full_id(self, name: str) -> str | None:
        """Give `provider:name` of a model that is known by exactly this name, with or without its provider; else None."""
        if ":" in name and self.model(name):
            return name
        found = [full for provider in self.providers() if self.model(full := f"{provider}:{name}")]
        return found[0] if len(found) == 1 else None

    def naming(self, model: str) -> Naming:
        """Say how exactly `provider:name` names a model."""
        provider, _, name = model.partition(":")
        bare = name.partition("[")[0].removeprefix("claude-").removesuffix("latest").rstrip("-")
        exact, family = (self._alias(name) for name in (model, f"{provider}:{bare}"))
        found = self.model(model)
        if name.endswith("latest"):
            means = exact or family or self._stem_of(provider, name)
            return Naming("alias", (means,) if means else ())
        if means := exact or (family if found is None else None):
            return Naming("alias", (means,))
        if found and found.releases and model == found.id:
            return Naming("dateless", tuple(f"{provider}:{release}" for release in found.releases))
        return Naming("full")

    def aliases(self, model: str) -> list[str]:
        """Give the names that mean this model now, and its dated releases."""
        found = self.model(model)
        full = {model, found.id} if found else {model}
        names = [name for file in self._files for name, means in file.aliases.items() if means in full]
        provider = model.partition(":")[0]
        return [*names, *(f"{provider}:{release}" for release in (found.releases if found else ()))]

    def newest(self, model: str) -> str | None:
        """Give the model that the alias of this one's family means now, where it is another: what to move on to."""
        provider, _, name = model.partition(":")
        means = (self._alias(f"{provider}:{part}") for part in name.split("-"))
        found = next(filter(None, means), None)
        return None if found == model else found

    def near(self, model: str) -> list[str]:
        """Give models of the same provider whose names are like this one, the likest first."""
        from difflib import get_close_matches

        return get_close_matches(model, [found.id for found in self.models(model.partition(":")[0])], n=2, cutoff=0.8)

    def _alias(self, name: str) -> str | None:
        return next((file.aliases[name] for file in self._files if name in file.aliases), None)

    def _stem_of(self, provider: str, name: str) -> str | None:
        stem = genai.undated(name)
        found = self.model(f"{provider}:{stem}") if stem else None
        return found and f"{provider}:{found.releases[-1] if found.releases else stem}"

    def _find(self, model: str) -> Model | None:
        provider, colon, name = model.partition(":")
        if not colon or not name:
            return None
        listed = genai.listed(provider)
        key = listed.find(name) if listed else None
        stem = genai.undated(name)
        # The most particular name first: a site may have a price of its own for one release.
        names = [model, *(f"{provider}:{n}" for n in (stem, key) if n)]
        said = [s for file in self._files if (s := _first(file, names))]
        if listed and key:
            said.append(listed.said(key))
            return merge(f"{provider}:{key}", said)
        ids = (name for name in reversed(names) for file in self._files if name in file.models)
        return merge(next(ids), said) if said else None

    def _find_in_force(self, model: str, on: date) -> PriceRow | None:
        found = self.model(model)
        return found.on(on) if found else None


def _first(file: PriceFile, names: Sequence[str]) -> Said | None:
    return next((file.models[name] for name in names if name in file.models), None)


_our_file = lru_cache(maxsize=1)(read_ours)

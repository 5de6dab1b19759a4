"""What is wrong with the models that a policy names: retired, aliases, without a price, or with prompts close to a dearer tier.

Pure functions: the command line, the doctor and the watch call them with what they read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from trimtab.core.finding import Finding
from trimtab.core.usage import PromptLengths
from trimtab.models.catalogue import Catalogue
from trimtab.models.prices import Model
from trimtab.policy.problems import KeyPath, dotted
from trimtab.policy.spec import DEFAULT_ROLE, Policy, RoleSpec

SOON = timedelta(days=30)
NEAR = 80  # percent of a tier's or a context's length from which a prompt is close to it


@dataclass(frozen=True, slots=True)
class Named:
    """A place that names a model. `model` is `provider:full-id`; `role` is the role it may play there (empty: none)."""

    model: str
    where: str
    role: str = ""


def named_in(policy: Policy) -> list[Named]:
    """Give every place of a policy that names a model, in the order of the file's sections."""
    return [
        *(Named(model, dotted(("models", alias))) for alias, model in policy.models.items()),
        *_of_roles(policy, ("roles",), policy.roles),
        *(
            n
            for e in policy.environments.values()
            for n in _of_roles(policy, ("environments", e.name, "roles"), e.roles)
        ),
        *(
            named
            for e in policy.experiments.values()
            for path, changes in ((("factors",), e.factors), *((("arms", arm), roles) for arm, roles in e.arms.items()))
            for named in _of_roles(policy, ("experiments", e.name, *path), changes)
        ),
        *(n for r in policy.rollouts.values() for n in _of_roles(policy, ("rollouts", r.name, "set"), r.set)),
    ]


def check_models(
    named: Iterable[Named], catalogue: Catalogue, on: date, prompts: Sequence[PromptLengths] = ()
) -> list[Finding]:
    """Find what is wrong, on a day, with models that are named; `prompts` is how long prompts were lately.

    One finding a model and matter, with every place that names it; the most urgent first.
    """
    by_model: dict[str, list[Named]] = {}
    for place in named:
        by_model.setdefault(place.model, []).append(place)
    found: list[Finding] = []
    for model, places in by_model.items():
        where = ", ".join(dict.fromkeys(place.where for place in places))
        known = catalogue.model(model)
        ends = list(_retirement(model, known, where, catalogue, on))
        # Whoever has to name another model anyway need not be told how to name this one.
        found += [*ends, *(() if ends else _naming(model, where, catalogue, on))]
        roles = {place.role for place in places if place.role}
        if known is not None:
            found += _lengths(model, known, roles, prompts, on)
    return sorted(found, key=lambda finding: _URGENT[finding.weight])


def shortest_told(named: Iterable[Named], catalogue: Catalogue, on: date) -> int:
    """Give the length of prompt, in tokens, below which `check_models` has nothing to say of any of these models."""
    known = [found for model in {place.model for place in named} if (found := catalogue.model(model))]
    contexts = [model.context for model in known if model.context]
    tiers = [NEAR * tier.over // 100 for model in known if (row := model.on(on)) for tier in row.tiers[1:]]
    return min([*contexts, *tiers], default=sys.maxsize)


_URGENT: Mapping[str, int] = {"error": 0, "warning": 1, "note": 2}


def _of_roles(policy: Policy, path: KeyPath, roles: Mapping[str, RoleSpec]) -> Iterator[Named]:
    for role, spec in roles.items():
        if spec.model is not None:
            yield Named(policy.model_id(spec.model), dotted((*path, role)), role)
        for model in spec.escalate or ():
            yield Named(policy.model_id(model), dotted((*path, role, "escalate")), role)


def _retirement(model: str, known: Model | None, where: str, catalogue: Catalogue, on: date) -> Iterator[Finding]:
    if known is None or known.retires is None or known.retires - on > SOON:
        return
    days, source = (known.retires - on).days, known.sources["retires"]
    new = catalogue.newest(model)
    name = model.partition(":")[2]
    mend = f"trimtab cost forecast --from {name} --to {(new or '').partition(':')[2]}" if new else "trimtab models list"
    mend = f"name another model, such as {new}: {mend}" if new else f"name another model: {mend}"
    if days <= 0:
        yield Finding(
            f"{model} is retired since {known.retires}", where, f"it no longer answers ({source})", mend, "error"
        )
    else:
        in_days = "tomorrow" if days == 1 else f"in {days} days"
        yield Finding(
            f"{model} retires {in_days}, on {known.retires}", where, f"from then on it does not answer ({source})", mend
        )


def _naming(model: str, where: str, catalogue: Catalogue, on: date) -> Iterator[Finding]:
    naming = catalogue.naming(model)
    means = " or ".join(naming.means)
    unpriced = catalogue.prices(model, on) is None
    match naming.kind:
        case "alias":
            now = (
                f"today it means {means}, on the vendor's own API" if means else "what it means today is not known here"
            )
            why = f"{now}; it will mean another model{', and its price is not known' if unpriced else ''}"
            yield Finding(f"{model} is an alias", where, why, f"pin the full id{f': {means}' if means else ''}")
        case "dateless" if not unpriced:
            yield Finding(
                f"{model} is a name without a date",
                where,
                f"it stands for {means}",
                f"pin that: {naming.means[-1]}",
                "note",
            )
        case _ if unpriced:
            near = catalogue.near(model)
            meant = f"did you mean {' or '.join(near)}? If not, " if near else ""
            mend = f"{meant}write its prices into a file, and name that as prices under [app]"
            why = f"what it costs stays unknown, and caps in dollars cannot be held (looked in {catalogue.version})"
            yield Finding(f"{model} has no price", where, why, mend)
        case _:
            pass


def _lengths(
    model: str, known: Model, roles: set[str], prompts: Sequence[PromptLengths], on: date
) -> Iterator[Finding]:
    """Compare a model with the prompts of the roles that it may play, whichever model they went to."""
    row = known.on(on)
    for seen in prompts:
        if not roles & {seen.role, DEFAULT_ROLE}:
            continue
        many = "" if seen.calls == 1 else "s"
        lengths = f"the longest of {seen.calls:,} prompt{many} to {seen.model} had {seen.largest:,} tokens, 95 % had at most {seen.p95:,}"
        where = f"role {seen.role}"
        if known.context and seen.largest > known.context:
            what = (
                f"{model} takes prompts of at most {known.context:,} tokens, and role {seen.role!r} sends longer ones"
            )
            yield Finding(
                what, where, lengths, f"shorten its prompts, or name a model with a longer context: {_LIST}", "error"
            )
        tiers = [tier.over for tier in row.tiers[1:] if tier.over < (known.context or tier.over + 1)] if row else []
        # The tier that matters is the highest that prompts come close to.
        near = next((over for over in reversed(tiers) if 100 * seen.largest >= NEAR * over), None)
        if row is None or near is None:
            continue
        beyond = "beyond" if seen.largest > near else "close to"
        dearer = row.rates(near + 1).input
        times = f" ({dearer / row.base.input:f} times the price of input)" if dearer and row.base.input else ""
        yield Finding(
            f"prompts of role {seen.role!r} are {beyond} {near:,} tokens, where {model} gets dearer",
            where,
            f"over that ALL tokens of the call are dearer{times}; {lengths}",
            "shorten or split its prompts; trimtab models show " + model,
        )


_LIST = "trimtab models list"

"""The doctor's checks, as one table: each looks at one thing and says how it is and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from trimtab.core.errors import PolicyError
from trimtab.core.finding import Checked, Finding
from trimtab.hosts.credentials import credential_findings
from trimtab.hosts.limits import limits_findings, own_limits
from trimtab.hosts.machine import check_clock, check_disk
from trimtab.hosts.permissions import permission_findings
from trimtab.hosts.reach import VENDORS, Reached, reach
from trimtab.hosts.secrets import secret_findings
from trimtab.journal.answers import LastAnswer
from trimtab.policy.load import load
from trimtab.policy.spec import BUILT_IN, CredentialSpec, Policy
from trimtab.terminal.place import MANAGED, Place
from trimtab.terminal.resolve import Resolution, resolve
from trimtab.terminal.versions import NEWEST, installed

_ROOT = Path("/")
_SECONDS = 1.5
_WEEK = timedelta(days=7)
_IDLE = timedelta(days=1)


@dataclass(frozen=True)
class Scene:
    """What the doctor looks at; what several checks need is worked out once."""

    place: Place
    now: datetime
    policy: Policy | None
    refused: PolicyError | None
    policy_file: str
    store: Path | None
    offline: bool

    @cached_property
    def cli(self) -> tuple[str | None, str | None]:
        """Give the path and the version of the installed terminal."""
        return installed(env=self.place.env)

    @cached_property
    def resolution(self) -> Resolution:
        """Give what the terminal would run."""
        return resolve(self.place, self.cli[1])

    @cached_property
    def answers(self) -> Sequence[LastAnswer]:
        """Give the newest answer of each role that the journal has."""
        if self.store is None:
            return []
        from trimtab.cli.doctor_runs import answers_of

        return answers_of(self.store)

    @cached_property
    def reached(self) -> Sequence[Reached]:
        """Ask every provider that is used, at most once."""
        return [] if self.offline else [reach(url, _SECONDS) for url in _providers(self)]


Check: TypeAlias = Callable[[Scene], Checked]


def scene(
    home: str | None,
    project: str | None,
    policy_file: str,
    store: Path | None,
    now: datetime,
    *,
    offline: bool,
    named: bool,
) -> Scene:
    """Find what there is to look at. A policy that is not named need not be there, nor a store."""
    policy, refused = None, None
    place = Place.here(home, project)
    file = Path(policy_file) if named else place.project / policy_file
    if named or file.exists():
        try:
            policy = load(file)
        except PolicyError as error:
            refused = error
    kept = store or (policy.store if policy else place.project / "trimtab.db")
    return Scene(place, now, policy, refused, str(file), kept if store or kept.exists() else None, offline)


def _terminal(at: Scene) -> Checked:
    path, version = at.cli
    found = at.resolution
    problems = [*found.problems, *_other_terminals(at)]
    if path is None:
        used = at.place.folder.exists() or at.place.shared.exists()
        said = f"not installed; with {NEWEST} it would run {found.model or 'nothing'}, from {found.source}"
        return Checked("terminal", said if used else "not installed", tuple(problems if used else ()))
    wanted = at.policy.terminal.model if at.policy else None
    if wanted and found.model != wanted:
        mend = f"trimtab terminal set {wanted} --scope {at.policy.terminal.scope if at.policy else 'user'}"
        what = f"the terminal would run {found.model or 'nothing'}, the policy says {wanted}"
        problems.append(Finding(what, f"{at.policy_file}: terminal.model", f"{found.source} decides", mend, "error"))
    key = f", key {found.key}" if found.key else ""
    return Checked(
        "terminal", f"{found.model or 'does not start'}, from {found.source}{key} ({version})", tuple(problems)
    )


def _other_terminals(at: Scene) -> Iterator[Finding]:
    """Find other versions on the path: what starts depends on who starts it, and so does the default model."""
    path, version = at.cli
    folders = dict.fromkeys(at.place.env.get("PATH", "").split(":"))
    others = {str(file.resolve()): file for folder in folders if folder and (file := Path(folder) / "claude").is_file()}
    if path:
        others.pop(str(Path(path).resolve()), None)
    for file in others.values():
        other = installed(str(file))[1]
        if other and other != version:
            why = f"{path} is {version}; with no setting, versions differ in their default model"
            mend = f"npm uninstall -g @anthropic-ai/claude-code, or take {file.parent} out of PATH"
            yield Finding(f"another terminal is installed, {other}", str(file), why, mend)


def _policy(at: Scene) -> Checked:
    if at.refused is not None:
        message, hint = at.refused.message, at.refused.hint
        return Checked(
            "policy",
            "refused",
            (Finding(message, mend=hint or f"trimtab policy check --policy {at.policy_file}", weight="error"),),
        )
    if at.policy is None:
        return Checked("policy", f"none here ({at.policy_file})")
    from trimtab.cli.doctor_runs import drift

    roles = len({role for role in at.policy.roles if role != "default"})
    there = f"{at.policy.source}: {roles} role{'s' * (roles != 1)} named"
    return Checked("policy", there, tuple(drift(at.policy, at.answers, at.now)))


def _models(at: Scene) -> Checked:
    from trimtab.models.catalogue import Catalogue
    from trimtab.models.check import Named, check_models, named_in

    catalogue = Catalogue(at.policy.price_file if at.policy else None)
    named = named_in(at.policy) if at.policy else []
    if at.cli[0] and at.resolution.model:
        named = [*named, Named(f"anthropic:{at.resolution.model}", "terminal")]
    found = check_models(named, catalogue, at.now.date())
    count = len({place.model for place in named})
    return Checked("models", f"{count} named, prices of {catalogue.version}", tuple(found))


def _journal(at: Scene) -> Checked:
    if at.store is None:
        return Checked("journal", "none yet")
    from trimtab.cli.doctor_runs import journal_line

    return journal_line(at.store, at.now)


def _spend(at: Scene) -> Checked:
    from trimtab.cli.doctor_spend import spend

    return spend(at)


def _permissions(at: Scene) -> Checked:
    found = permission_findings(at.place.home, at.place.project, managed=MANAGED, root=_ROOT)
    return Checked("permissions", "skipped somewhere" if found else "nobody skips them", tuple(found))


def _secrets(at: Scene) -> Checked:
    policies = [Path(at.policy_file)] if Path(at.policy_file).exists() else []
    found = secret_findings(at.place.home, at.place.project, root=_ROOT, policies=policies)
    return Checked("secrets", f"{len(found)} in plain text" if found else "none in plain text", tuple(found))


def _credentials(at: Scene) -> Checked:
    listed: Mapping[str, CredentialSpec] = at.policy.credentials if at.policy else {}
    found = credential_findings(at.now, listed, at.place.env, at.place.folder, at.policy_file)
    return Checked("credentials", f"{len(listed)} named by the policy", tuple(found))


def _limits(at: Scene) -> Checked:
    files, most = own_limits().get("NOFILE", (None, None))
    said = f"{'any number of' if files is None else files} open files (at most {'any' if most is None else most})"
    return Checked("limits", said, tuple(limits_findings(_ROOT, at.place.home)))


def _disk(at: Scene) -> Checked:
    return check_disk([at.store.parent if at.store else at.place.project, at.place.folder])


def _clock(at: Scene) -> Checked:
    newest = max((answer.at for answer in at.answers), default=None)
    server = next((answer.server for answer in at.reached if answer.server), None)
    return check_clock(at.now, server, newest)


def _provider(at: Scene) -> Checked:
    if at.offline:
        return Checked("provider", "not asked")
    found = [
        Finding(
            f"{answer.url} cannot be reached: {answer.why}",
            "",
            "no model answers; runs wait and try again",
            f"curl -sI {answer.url}, then look at proxy, DNS and firewall",
            "error",
        )
        for answer in at.reached
        if answer.status is None
    ]
    said = ", ".join(f"{a.url} {'answers' if a.status is not None else 'does not answer'}" for a in at.reached)
    return Checked("provider", said or "none is used", tuple(found))


def _providers(at: Scene) -> list[str]:
    """Give the address of every provider that a model of the policy names; of the terminal's, where that is installed."""
    urls: list[str] = []
    if at.policy is not None:
        from trimtab.models.check import named_in

        for provider in dict.fromkeys(named.model.partition(":")[0] for named in named_in(at.policy)):
            spec = at.policy.providers.get(provider) or BUILT_IN.get(provider)
            if spec is not None:
                urls.append(spec.base_url or _vendor(at, spec.kind))
    if at.cli[0] is not None:
        urls.append(_vendor(at, "anthropic"))
    return list(dict.fromkeys(urls))


def _vendor(at: Scene, kind: str) -> str:
    # The vendors' own libraries read the address from these, too.
    return at.place.env.get(f"{kind.upper()}_BASE_URL") or VENDORS[kind]


CHECKS: tuple[tuple[str, Check], ...] = (
    ("terminal", _terminal),
    ("policy", _policy),
    ("models", _models),
    ("spend", _spend),
    ("journal", _journal),
    ("credentials", _credentials),
    ("permissions", _permissions),
    ("secrets", _secrets),
    ("limits", _limits),
    ("disk", _disk),
    ("clock", _clock),
    ("provider", _provider),
)

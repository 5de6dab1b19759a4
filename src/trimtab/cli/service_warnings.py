"""What to know of a unit before it is started: whom it runs as, what it may write, which keys it will miss."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.hosts.env_file import variables
from trimtab.hosts.service import SMALL_BYTES, Worker, memory_of

if TYPE_CHECKING:
    from trimtab.hosts.limits import Host
    from trimtab.policy.spec import Policy

_HOME_PARENTS = (Path("/home"), Path("/Users"))
_CLEARED = (Path("/tmp"), Path("/var/tmp"), Path("/run"))  # noqa: S108 - looked for, not written


def warnings(policy: Policy, worker: Worker, host: Host, file: Path) -> list[str]:
    """Say what is likely not meant; each with what to do."""
    return [*_about_rights(worker), *_about_keys(policy, worker), *_about_place(host, file)]


def _about_rights(worker: Worker) -> Iterator[str]:
    if not worker.own and worker.user in {None, "root", "0"}:
        yield (
            "it runs as root: make a user that owns the store's folder and nothing else, and give --user-name"
            f" (useradd --system trimtab; chown -R trimtab {worker.writes[0]})"
        )
    for folder in worker.writes:
        if len(folder.parts) <= 2 or folder.parent in _HOME_PARENTS or folder == Path("/root"):  # noqa: PLR2004 - /srv
            yield f"it may write all of {folder}: give the store a folder of its own, and name it with --store or app.store"
        if any(folder.is_relative_to(cleared) for cleared in _CLEARED):
            yield f"{folder} is emptied when the host starts: keep the store elsewhere"


def _about_keys(policy: Policy, worker: Worker) -> Iterator[str]:
    if worker.env_file is None:
        held: frozenset[str] | None = frozenset()
    else:
        yield from _about_owner(worker, worker.env_file)
        try:
            held = frozenset(variables(worker.env_file.read_text("utf-8", "replace")))
        except OSError:
            # Another's file: systemd reads it as root.
            held = None
    if held is None:
        return
    where = f"{worker.env_file} does not set it" if worker.env_file else "give --env-file FILE"
    for name in dict.fromkeys(_needed(policy)):
        if name not in held:
            yield f"the policy names {name}, which the unit does not have: {where}"


def _about_owner(worker: Worker, file: Path) -> Iterator[str]:
    owner = file.stat().st_uid
    name = pwd.getpwuid(os.getuid()).pw_name if worker.own else worker.user or "root"
    if owner and owner != (int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid):
        yield f"{file} belongs to user {owner}, who can change what the worker is given: chown {name} {file}"


def _needed(policy: Policy) -> Iterator[str]:
    """Name the variables that the policy reads: keys of providers whose models it names, credentials, channels of alerts."""
    from trimtab.models.check import named_in
    from trimtab.policy.spec import BUILT_IN

    for named in named_in(policy):
        spec = policy.providers.get(named.model.partition(":")[0])
        if spec and (key := spec.key_env or (BUILT_IN[spec.kind].key_env if spec.base_url is None else None)):
            yield key
    yield from (spec.env for spec in policy.credentials.values() if spec.env)
    for channel in policy.alerts.channels.values():
        listed = (channel.url_env, channel.user_env, channel.password_env, *channel.headers_env.values())
        yield from (name for name in listed if name)


def _about_place(host: Host, file: Path) -> Iterator[str]:
    whole = memory_of(host)
    if whole is not None and whole < SMALL_BYTES:
        yield f"this host has {whole // 2**20} MB: enough for a worker whose tools take little"
    for drop_in in sorted(file.with_name(f"{file.name}.d").glob("*.conf")):
        yield f"{drop_in} changes this unit, too"
    if os.environ.get("PYTHONPATH"):
        yield "PYTHONPATH is set here and not in the unit: install the application beside trimtab, or keep it beside the policy"
    if not file.name.startswith("trimtab"):
        yield f"trimtab doctor looks at units named trimtab*, not at {file.name}"

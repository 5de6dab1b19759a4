"""Proves, as the user it will run as, that a worker could start: the program runs, policy and application load, the store can be written."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.core.errors import UsageError
from trimtab.hosts.env_file import variables
from trimtab.hosts.service import Worker

_SECONDS = 120
# What systemd gives a service (systemd.exec(5)).
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The unit takes these from root as well, who then may read and write only what is root's.
_NO_CAPABILITIES = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def prove(worker: Worker) -> None:
    """Run `trimtab policy check` as the unit would be run. Raises UsageError with what it says."""
    who = _account(worker)
    identity = _identity(who)
    for folder in worker.writes:
        if _run(["test", "-w", str(folder)], worker, who, identity).returncode:
            hint = f"chown {who.pw_name} {folder}, or name another user or store"
            raise UsageError(f"user {who.pw_name!r} may not write {folder}, and the worker must", hint=hint)
    program = list(worker.command[: worker.command.index("worker")])
    options = list(worker.command[len(program) + 1 :])
    given = [
        word for name in ("--policy", "--app") if name in options for word in (name, options[options.index(name) + 1])
    ]
    done = _run([*program, "policy", "check", *given], worker, who, identity)
    if done.returncode:
        message, _, hint = done.stderr.strip().removeprefix("error: ").partition("\nhint: ")
        as_whom = f"as user {who.pw_name!r} the worker would not start: "
        raise UsageError(
            as_whom + (message or f"it left with {done.returncode}"), hint=hint or "see that it may read all of it"
        )


def _account(worker: Worker) -> pwd.struct_passwd:
    if worker.own:
        return pwd.getpwuid(os.getuid())
    user = worker.user or "root"
    return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)


def _identity(who: pwd.struct_passwd) -> Mapping[str, Any]:
    """Give what makes a process another user's; only root can."""
    if os.geteuid() != 0 or who.pw_uid == 0:
        return {}
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": os.getgrouplist(who.pw_name, who.pw_gid)}


def _walled(who: pwd.struct_passwd) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, *_NO_CAPABILITIES] if setpriv and who.pw_uid == 0 and os.geteuid() == 0 else []


def _run(
    command: Sequence[str], worker: Worker, who: pwd.struct_passwd, identity: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": _PATH, "HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name, "LANG": "C.UTF-8"}
    try:
        env |= variables(worker.env_file.read_text("utf-8")) if worker.env_file else {}
        return subprocess.run(  # noqa: S603 - the command of the unit
            [*_walled(who), *command], cwd=worker.folder, env=env, text=True, errors="replace", capture_output=True,
            stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False, **identity,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        what = f"as user {who.pw_name!r} {command[0]} cannot be run in {worker.folder}: {error}"
        raise UsageError(what, hint="give that user the right to read and enter these folders") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{command[0]} did not answer within {_SECONDS} s", hint="run it by hand") from None

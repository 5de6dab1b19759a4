"""`trimtab rollout status`: how rollouts stand; with `-w` until one has passed or ended."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli import FINE, INTERRUPTED, NOT_FINE
from trimtab.cli.options import json_option, load_policy, needs_extra, policy_option, store_option
from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.cli.rollout_seen import Seen
    from trimtab.policy.spec import Policy


@click.command()
@click.argument("name", required=False)
@click.option("-w", "--watch", is_flag=True, help="Look until it has passed (leaves with 0) or ended (1).")
@policy_option
@store_option
@json_option
def status(name: str | None, watch: bool, policy_file: str, store: Path | None, as_json: bool) -> int:
    """Show how NAME stands: stages, runs on each map, what the gate says and misses, hosts. Without NAME all, a line each.

    Leaves with 1 where something is wrong: it failed, a host is unknown, failed or not proved back, the gate found harm, or the
    policy declares what is under way otherwise than it was started. It reads the store only; `trimtab hosts status` asks the hosts.
    """
    loaded = load_policy(policy_file)
    path = store or loaded.store
    try:
        if name is None:
            return _all(path, loaded, watch=watch, as_json=as_json)
        return (_until_settled if watch else _once)(path, loaded, name, as_json=as_json)
    except ModuleNotFoundError as missing:
        raise needs_extra(missing, "a gate") from missing


def _all(store: Path, policy: Policy, *, watch: bool, as_json: bool) -> int:
    from trimtab.cli.rollout_json import as_json as told
    from trimtab.cli.rollout_seen import look, names
    from trimtab.cli.rollout_tree import print_list
    from trimtab.cli.show import print_json

    if watch:
        raise UsageError("-w looks at one rollout", hint="trimtab rollout status NAME -w")
    now = datetime.now(UTC)
    rows = [look(store, policy, name, now) for name in names(store, policy)]
    if as_json:
        print_json([told(row, now) for row in rows])
    else:
        print_list(rows, policy.source)
    return FINE if all(row.healthy for row in rows) else NOT_FINE


def _once(store: Path, policy: Policy, name: str, *, as_json: bool) -> int:
    from trimtab.cli.rollout_seen import look

    now = datetime.now(UTC)
    seen = look(store, policy, name, now)
    show(seen, now, as_json=as_json)
    return FINE if seen.healthy else NOT_FINE


def show(seen: Seen, now: datetime, *, as_json: bool = False) -> None:
    """Print one rollout."""
    from trimtab.cli.rollout_json import as_json as told
    from trimtab.cli.rollout_tree import picture
    from trimtab.cli.show import console, print_json

    if as_json:
        print_json(told(seen, now))
    else:
        console().print(picture(seen, now))


def _until_settled(store: Path, policy: Policy, name: str, *, as_json: bool) -> int:
    """Look until it has passed or ended: drawn anew on a terminal, a line for what is new elsewhere, and in the end as it stands.

    What the gate says meanwhile is acted upon as a worker does it; hosts are left to others.
    """
    from trimtab.cli.rollout_drive import look_after
    from trimtab.cli.rollout_seen import look
    from trimtab.cli.rollout_tell import teller
    from trimtab.rollouts.drive import AUTOMATIC
    from trimtab.rollouts.moves import find

    last = find(store, name).last.number
    telling = teller(store, policy, name, last, stay=True, quiet=as_json)
    again = f"trimtab rollout status {name} -w"
    done = look_after(store, policy, name, telling, again=again, by=AUTOMATIC, stay=True, hosts=False)
    now = datetime.now(UTC)
    seen = look(store, policy, name, now)
    show(seen, now, as_json=as_json)
    if done is None:
        return INTERRUPTED
    return FINE if seen.state == "passed" else NOT_FINE

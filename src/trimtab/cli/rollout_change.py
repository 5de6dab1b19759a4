"""What a rollout would change, said before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.cli.rollout_words import besides_models, change_lines, limits, share, span
from trimtab.cli.show import console
from trimtab.rollouts.fleet import hosts_of
from trimtab.rollouts.fleet_lines import Place
from trimtab.rollouts.moves import change_of

if TYPE_CHECKING:
    from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
    from trimtab.policy.spec import Policy


def print_change(policy: Policy, spec: RolloutSpec) -> None:
    """Print the roles with their models now and then, the stages with their hosts, and what the gate asks."""
    out, change = console(), cast("Any", change_of(policy, spec))
    out.print(f"rollout [bold]{escape(spec.name)}[/]", soft_wrap=True)
    roles = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    for role, there, old, new in change_lines(change["from"], change["to"]):
        roles.add_row(escape(role), f"{escape(old)} -> [bold]{escape(new)}[/]", f"[dim]{escape(there)}[/]")
    out.print(roles)
    if more := besides_models(spec):
        out.print(f"  besides: {escape(more)}", soft_wrap=True)
    out.print(_stages(policy, spec))
    _print_gates(out, spec)


def print_on_hosts(policy: Policy, spec: RolloutSpec) -> None:
    """Print what would be written on hosts, as far as they can be reached now."""
    from trimtab.cli.hosts_preview import preview, print_previews

    to = cast("Any", change_of(policy, spec))["to"]
    wanted = {place: to[stage.environment] for stage in spec.stages for place in hosts_of(policy, stage)}
    if wanted:
        print_previews(preview(policy, wanted))


def _stages(policy: Policy, spec: RolloutSpec) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 2))
    for name in ("", "stage", "hold", "gate", "hosts, in batches"):
        table.add_column(name, no_wrap=name != "hosts, in batches")
    reached = set[Place]()
    for number, stage in enumerate(spec.stages, start=1):
        row = (f"{number}", f"{escape(stage.environment)} {share(stage.weight)}", span(stage.hold), stage.gate)
        table.add_row(*row, escape(_batches(policy, stage, reached)))
    return table


def _batches(policy: Policy, stage: StageSpec, reached: set[Place]) -> str:
    """Write the hosts that this stage adds, a batch in brackets where it has several; adds them to `reached`."""
    groups: dict[str, list[str]] = {}
    for group, host in hosts_of(policy, stage):
        if (group, host) not in reached:
            groups.setdefault(group, []).append(host)
            reached.add((group, host))
    told: list[str] = []
    for name, hosts in groups.items():
        size = policy.hosts[name].batch
        batches = [", ".join(hosts[n : n + size]) for n in range(0, len(hosts), size)]
        told.append(f"{name}: {' | '.join(batches)}")
    return "; ".join(told) or "-"


def _print_gates(out: Console, spec: RolloutSpec) -> None:
    if any(stage.gate == "runs" for stage in spec.stages):
        out.print(
            f"gate runs: passes when its hold is over and the runs of the stage show that this holds for all runs together: "
            f"{escape(limits(spec))}; harm that is shown ends the rollout at once",
            soft_wrap=True,
        )
    if any(stage.gate == "health" for stage in spec.stages):
        out.print(
            "gate health: passes when its hold is over and its hosts are still proved and healthy", soft_wrap=True
        )

"""`trimtab terminal verify`: what the installed terminal really asks for, against what its settings and the policy say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from trimtab.cli.terminal_show import place_options, problem_lines
from trimtab.core.finding import Finding
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import Resolution, resolve
from trimtab.terminal.verify import Observed, Silent
from trimtab.terminal.verify import verify as observe


@click.command()
@place_options
@click.option("--cli", metavar="PATH", help="The terminal to run.  [default: claude on PATH]")
@click.option("--policy", "policy_file", metavar="FILE", help="A policy whose [terminal] must hold, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    home: str | None,
    project: str | None,
    flag: str | None,
    agent: str | None,
    given: str | None,
    settings: str | None,
    cli: str | None,
    policy_file: str | None,
    as_json: bool,
) -> int:
    """Run the terminal once against a stub on loopback and read the model of its request: exact, free, about a second.

    Leaves with 1 where that is not what `show` says, or not what the policy wants.
    """
    wanted = _wanted(policy_file)
    place = Place.here(home, project)
    seen = observe(place, cli, flag, settings, agent, given=given)
    version = seen.cli_version if isinstance(seen, Observed) else None
    expected = resolve(place, version, flag, settings, agent, given=given)
    problems = list(_problems(seen, expected, wanted, policy_file))
    observed = seen if isinstance(seen, Observed) else None
    if as_json:
        told = {
            "model": observed.model if observed else None,
            "expected": expected.model,
            "policy": wanted,
            "source": expected.source,
            "cli_version": observed.cli_version if observed else None,
            "effort": observed.effort if observed else None,
            "max_tokens": observed.max_tokens if observed else None,
            "seconds": observed.seconds if observed else None,
            "problems": [asdict(problem) for problem in problems],
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(observed, expected, problems)))
    return 1 if problems else 0


def _wanted(policy_file: str | None) -> str | None:
    if policy_file is None:
        return None
    from trimtab.policy.load import load

    return load(policy_file).terminal.model


def _problems(
    seen: Observed | Silent, expected: Resolution, wanted: str | None, policy_file: str | None
) -> Iterator[Finding]:
    if isinstance(seen, Silent):
        # A terminal that says nothing where its settings say that no session starts does as they say.
        if seen.reason != "no request" or expected.runs or wanted is not None:
            yield seen.finding
        return
    if seen.model != expected.model:
        what = f"the terminal asks for {seen.model}, its settings say {expected.model or 'that it does not start'}"
        yield Finding(what, expected.source, "trust the terminal", "trimtab terminal show", "error")
    if wanted is not None and seen.model != wanted:
        what = f"the terminal asks for {seen.model}, the policy wants {wanted}"
        yield Finding(what, f"{Path(policy_file or '')}: terminal.model", "", f"trimtab terminal set {wanted}", "error")


def _lines(seen: Observed | None, expected: Resolution, problems: list[Finding]) -> Iterator[str]:
    if seen is not None:
        effort = f", effort {seen.effort}" if seen.effort else ""
        yield f"asked for  {seen.model}{effort}, max_tokens {seen.max_tokens}"
        yield f"version    {seen.cli_version}, {seen.seconds:.1f} s"
    yield f"expected   {expected.model or 'no session starts'} ({expected.source})"
    yield from problem_lines(problems)
    if not problems:
        yield "fine: they agree" if seen is not None else "fine: no session starts, as the settings say"

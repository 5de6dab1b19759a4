"""`trimtab terminal show`: the model a fresh session runs here, and what loses to it; reads files, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import click

from trimtab.core.errors import UsageError
from trimtab.core.finding import Finding
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import Resolution, resolve
from trimtab.terminal.versions import installed, numbers

F = TypeVar("F", bound=Callable[..., Any])


def place_options(command: F) -> F:
    """Add the options that say where a session starts, and how."""
    for option in (
        click.option("--settings", metavar="FILE", help="As the terminal's --settings: a file, or JSON."),
        click.option("--agents", "given", metavar="JSON", help="As the terminal's --agents: JSON, or a file of it."),
        click.option("--agent", metavar="NAME", help="As the terminal's --agent."),
        click.option("--model", "flag", metavar="MODEL", help="As the terminal's --model."),
        click.option("--project", metavar="DIR", help="The project's folder.  [default: where you are]"),
        click.option("--home", metavar="DIR", help="The home whose settings count.  [default: yours]"),
    ):
        command = option(command)
    return command


@click.command()
@place_options
@click.option("--fallback-model", "fallback", metavar="MODELS", help="As the terminal's --fallback-model.")
@click.option("--resume", metavar="ID", help="As the terminal's --resume.  [default: the session written last]")
@click.option("--cli-version", metavar="V", help="The terminal's version.  [default: the installed one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(
    home: str | None,
    project: str | None,
    flag: str | None,
    agent: str | None,
    given: str | None,
    settings: str | None,
    fallback: str | None,
    resume: str | None,
    cli_version: str | None,
    as_json: bool,
) -> int:
    """Show the model a fresh session would run here, where it comes from, and every layer that loses.

    Leaves with 1 where something is wrong that makes settings do other than they say.
    """
    if cli_version is not None and numbers(cli_version) is None:
        raise click.UsageError(f"--cli-version: expected a version such as 2.1.330, not {cli_version!r}")
    place = Place.here(home, project)
    version = cli_version or installed(env=place.env)[1]
    found = resolve(place, version, flag, settings, agent, fallback=fallback, given=given, resume=resume)
    if resume is not None and found.runs and found.resumed is None:
        hint = f"give an id: ls -t {place.transcripts}"
        raise UsageError(f"--resume: no session of this project has the id {resume!r}", hint=hint)
    found = replace(found, problems=(*found.problems, *_unlisted(found)))
    click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    return 1 if any(problem.weight == "error" for problem in found.problems) else 0


def _unlisted(found: Resolution) -> Iterator[Finding]:
    """Find a model that no list has: misspelt, or one that a gateway has."""
    from trimtab.models.catalogue import Catalogue

    catalogue, full = Catalogue(), f"anthropic:{found.model}"
    if not found.runs or not found.model or catalogue.model(full) is not None:
        return
    near = " or ".join(repr(name.partition(":")[2]) for name in catalogue.near(full))
    why = "where the API does not have it, a session ends in an error, or runs a fallback model and says nothing"
    mend = f"did you mean {near}?" if near else "trimtab terminal verify, or name one of trimtab models list"
    yield Finding(f"{found.model!r} is in no list of models", found.source, why, mend)


def problem_lines(problems: Sequence[Finding]) -> Iterator[str]:
    """Write findings, each with the next thing to do."""
    for problem in problems:
        at = f"{problem.where}: " if problem.where else ""
        yield f"{problem.weight}: {at}{problem.what}"
        if problem.why:
            yield f"  {problem.why}"
        if problem.mend:
            yield f"  hint: {problem.mend}"


def _lines(found: Resolution) -> Iterator[str]:
    yield f"model    {(found.model or repr('')) if found.runs else 'none: no session starts'}"
    yield f"from     {found.source}{f', key {found.key}' if found.key else ''}"
    yield f"version  {found.cli_version}"
    yield ""
    lost = [layer for layer in found.layers if layer.lost and (layer.value is not None or layer.file)]
    if lost:
        yield "what loses, the strongest first"
        for layer in lost:
            said = "" if layer.value is None else f" = {layer.value!r}"
            yield f"  {layer.layer:<24} {layer.key}{said}: {layer.lost}{f' ({layer.file})' if layer.file else ''}"
        yield ""
    if found.fallbacks:
        yield f"fallback {', then '.join(found.fallbacks)} (where {found.model} is overloaded, fails or is not found)"
    if found.resumed is not None:
        yield f"resumed  {found.resumed.model} ({found.resumed.why}; session {found.resumed.session})"
    for agent in found.subagents:
        yield f"subagent {agent.name}: {agent.model} ({agent.source})"
    if found.calls:
        calls = ", ".join(f"{name} = {model}" for name, model in found.calls.items())
        yield f"calls    {calls} (a subagent whose call names a model)"
    yield "aliases  " + ", ".join(f"{alias} = {model}" for alias, model in found.aliases.items())
    if found.problems:
        yield ""
        yield from problem_lines(found.problems)

"""What came of a change of the terminal's settings: what its files say now, and what the installed terminal does."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trimtab.cli.terminal_set_around import Around
from trimtab.terminal.names import plain
from trimtab.terminal.verify import Silent
from trimtab.terminal.verify import verify as ask


@dataclass(frozen=True, slots=True)
class Judged:
    """The model a fresh session `runs`, what decided that, and whether the terminal was asked (`unverified`: why not).

    `problem` is empty where the session runs what was asked for; `restore`: the terminal does not do what its files say, so that
    the change must be taken back.
    """

    runs: str
    decided_by: str
    version: str
    verified: bool = False
    unverified: str = ""
    problem: str = ""
    mend: str = ""
    restore: bool = False


def judge(here: Around, wanted: str, *, verify: bool) -> Judged:
    """Resolve the settings again, ask the terminal where there is one, and compare with what was wanted."""
    found = here.resolved()
    beaten = here.beaten(found, wanted)
    judged = Judged(found.model, found.source, here.version, problem=beaten.problem, mend=beaten.mend)
    if why := _not_asked(here, verify=verify):
        return replace(judged, unverified=why)
    asked = ask(here.place)
    if isinstance(asked, Silent):
        said = asked.finding
        if asked.reason != "no request":
            return replace(judged, unverified=f"not verified: {said.what}: {said.where}")
        problem = f"the terminal does not start: {said.why}; what was written is taken back"
        mend = f"see what it says: {said.mend}; --no-verify sets the model all the same"
        return replace(judged, problem=problem, mend=mend, restore=True)
    if asked.model == plain(wanted):
        # What the terminal does counts, whatever its files are taken to say.
        return replace(judged, runs=asked.model, verified=True, problem="", mend="")
    if asked.model == found.model:
        return replace(judged, verified=True)
    problem = f"the terminal asked for {asked.model}, where its files say {found.model}; what was written is taken back"
    return replace(judged, runs=asked.model, problem=problem, mend="trimtab terminal show", restore=True)


def _not_asked(here: Around, *, verify: bool) -> str:
    if not verify:
        return "not verified"
    if here.installed is None:
        return "not verified: no terminal is installed"
    if here.installed != here.version:
        return f"not verified: the terminal that is installed is {here.installed}"
    return ""

"""Options that several commands share, and what they lead to: an app, a policy, a store."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unicodedata import category

import click

from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.app import App
    from trimtab.policy.spec import Policy
    from trimtab.run.workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])
POLICY_FILE = "trimtab.toml"
_EXTRA = ("numpy", "scipy", "matplotlib")

policy_option = click.option(
    "--policy", "policy_file", default=POLICY_FILE, show_default=True, metavar="FILE", help="The policy file."
)
environment_option = click.option(
    "--environment", default="local", show_default=True, metavar="NAME", help="The environment whose roles count."
)
store_option = click.option(
    "--store", type=Path, metavar="FILE", help="The file with runs and facts.  [default: the policy's]"
)
app_option = click.option(
    "--app", "factory", metavar="MODULE:CALLABLE", help="What gives the workflows.  [default: the policy's app.factory]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def one_line(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Read words that are kept and printed later as one line without control characters: those could forge a line of a log.

    Raises UsageError where they are empty, unless that is the default.
    """
    if value is None:
        return None
    line = "".join("?" if category(sign) == "Cc" else sign for sign in " ".join(value.split()))
    if not line and parameter.default != "":
        raise UsageError(f"{parameter.opts[0]} is empty", hint=f"{context.command_path} --help")
    return line


def by_whom(why: str, metavar: str = "NAME") -> Callable[[F], F]:
    """Make the option that says who does something; `why` is its help."""
    return click.option("--by", required=True, metavar=metavar, callback=one_line, help=why)


def load_policy(policy_file: str) -> Policy:
    """Read the policy file."""
    from trimtab.policy.load import load

    return load(Path(policy_file))


def find_store(store: Path | None, policy_file: str) -> Path:
    """Find the store: as given, or the policy's, or the default beside where we are."""
    if store:
        return store
    return load_policy(policy_file).store if Path(policy_file).exists() else Path("trimtab.db")


def load_workflows(policy: Policy, factory: str | None) -> Sequence[Workflow[Any, Any]]:
    """Import and call the factory named on the command line or in the policy; modules beside the policy file are found."""
    from trimtab.run.workflow import Workflow

    named = factory or policy.app.factory
    if not named:
        raise UsageError(
            f"{policy.source}: which application?",
            hint=f'add [app] factory = "module:callable" to {policy.source}, or give --app',
        )
    module_name, _, attribute = named.partition(":")
    sys.path.insert(0, str(Path(policy.source).resolve().parent))
    try:
        made: object = getattr(importlib.import_module(module_name), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"cannot load the application {named!r}: {error}", hint='name it as "package.module:callable"'
        ) from error
    listed: Sequence[object] = made if isinstance(made, Sequence) else [made]  # pyright: ignore[reportUnknownVariableType]
    workflows: list[Workflow[Any, Any]] = [w for w in listed if isinstance(w, Workflow)]
    if not workflows or len(workflows) != len(listed):
        raise UsageError(f"{named!r} gave {made!r}", hint="return a Workflow or a list of them")
    return workflows


def load_callable(policy: Policy, named: str, key: str) -> Callable[..., Any]:
    """Import the function that a key of the policy names; modules beside the policy file are found."""
    module_name, _, attribute = named.partition(":")
    sys.path.insert(0, str(Path(policy.source).resolve().parent))
    try:
        found: object = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{policy.source}: {key}: cannot load {named!r}: {error}", hint='name it as "package.module:callable"'
        ) from error
    if not callable(found):
        raise UsageError(f"{policy.source}: {key}: {named!r} is {found!r}", hint="name a function")
    return found


def needs_extra(missing: ModuleNotFoundError, what: str) -> Exception:
    """Say how to install what the statistics need, where that is what is missing."""
    if missing.name is None or missing.name.partition(".")[0] not in _EXTRA:
        return missing
    return UsageError(f"{what} needs {missing.name}, which is not installed", hint="pip install 'trimtab[learn]'")


def make_app(policy_file: str, factory: str | None, environment: str, store: Path | None) -> App:
    """Compose the app that a command works with."""
    from trimtab.app import App

    policy = load_policy(policy_file)
    return App(*load_workflows(policy, factory), policy=policy, store=store, environment=environment)

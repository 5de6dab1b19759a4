"""`[hosts]` of the policy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trimtab.core.errors import PolicyError
from trimtab.policy.host_groups import kind_of
from trimtab.policy.load import check, parse
from trimtab.policy.rollout_spec import FileSpec, HealthSpec, HostGroup

BEFORE = "[environments.staging]\n[environments.production]\n"
WHERE = "addresses = ['deploy@app-1', 'app-2']\n"
PROVE = "prove = 'curl -fsS http://127.0.0.1:8080/ask'\n"
FILES = (
    "files = { settings = { path = '/etc/charter/settings.json', keys = { orchestrator = 'models.orchestrator' } } }\n"
)
FINE = WHERE + PROVE + FILES


def hosts(body: str = FINE, group: str = "production", more: str = "") -> dict[str, HostGroup]:
    return dict(parse(f"{BEFORE}[hosts.{group}]\n{body}\n{more}").hosts)


def refused(body: str, group: str = "production", more: str = "") -> str:
    with pytest.raises(PolicyError) as caught:
        hosts(body, group, more)
    return str(caught.value).replace("trimtab.toml: ", "").replace(f"hosts.{group}", "G")


def one_file(entry: str) -> str:
    return f"{WHERE}{PROVE}files = {{ f = {{ {entry} }} }}"


def test_a_whole_group_is_read():
    (group,) = hosts(
        FINE + "environment = 'staging'\nbatch = 2\nmax_failures = 1\nsoak = '10m'\nbecome = 'sudo -n'\n"
        "unit = 'charter@1.service'\nlast = 'tail -1 log'\ntimeout = '5s'\nssh = ['-p', '2222']\n"
        "health = [ { http = 'http://127.0.0.1/health' }, { command = 'true' }, { journal = '/srv/trimtab.toml' } ]",
        "edge",
    ).values()
    assert group == HostGroup(
        "edge",
        "staging",
        ("deploy@app-1", "app-2"),
        (FileSpec("settings", "/etc/charter/settings.json", "json", {"orchestrator": "models.orchestrator"}),),
        "curl -fsS http://127.0.0.1:8080/ask",
        batch=2,
        max_failures=1,
        soak=timedelta(minutes=10),
        become="sudo -n",
        unit="charter@1.service",
        last="tail -1 log",
        health=(
            HealthSpec(http="http://127.0.0.1/health"),
            HealthSpec(command="true"),
            HealthSpec(journal="/srv/trimtab.toml"),
        ),
        timeout=timedelta(seconds=5),
        ssh=("-p", "2222"),
    )


def test_what_is_not_said_has_a_default_and_the_group_is_called_as_its_environment():
    group = hosts()["production"]
    assert (group.environment, group.batch, group.max_failures, group.soak) == ("production", 1, 0, timedelta(0))
    assert (group.unit, group.restart, group.health, group.ssh, group.become) == (None, None, (), (), "")
    assert group.timeout == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/charter/settings.json", "json"),
        ("/etc/charter/models.toml", "toml"),
        ("/srv/app/.env", "env"),
        ("/srv/app/production.env", "env"),
        ("/etc/default/charter", None),
        ("/home/deploy/.claude/settings.json", "terminal"),
        ("/srv/repo/.claude/settings.local.json", "terminal"),
        ("/home/deploy/.claude/other.json", "json"),
        ("/etc/claude-code/managed-settings.json", "terminal"),
        ("/etc/claude-code/managed-settings.d/50-model.json", "terminal"),
    ],
)
def test_the_kind_of_a_file_is_told_by_its_path(path: str, kind: str | None):
    assert kind_of(path) == kind


@pytest.mark.parametrize("address", ["app-1", "root@app-1", "10.0.0.7", "deploy@fd00::1", "ssh://deploy@app-1:2222", "a@b.c@app-1", "büro-1"])  # fmt: skip
def test_addresses_are_as_ssh_is_given_them(address: str):
    assert hosts(FINE.replace("app-2", address))["production"].addresses[1] == address


@pytest.mark.parametrize(
    "address",
    ["", "-oProxyCommand=touch /tmp/x", "-lroot", "deploy@-oProxyCommand=x", "-x@app-1", "app 1", "app;reboot", "$(reboot)", "`reboot`", "a\\u000ab", "deploy@", "@app", "ssh://-x"],
)  # fmt: skip
def test_what_ssh_or_a_shell_would_take_for_more_than_an_address_is_refused(address: str):
    said = refused(FINE.replace("'app-2'", f'"{address}"'))
    assert said.startswith('G.addresses[2]: expected an address for ssh such as "app-1" or "deploy@app-1"')


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PROVE + FILES, "G: expected 'addresses'\nhint: add addresses = [\"deploy@app-1\", \"app-2\"], as ssh is given them"),
        (WHERE + FILES, "G: expected 'prove'\nhint: add prove = \"...\": a command there whose output names the model of a new answer"),
        (WHERE + PROVE, "G: expected 'files'\nhint: add [G.files.settings] with path and keys: what says there which model plays which role"),
        (WHERE + PROVE + "files = {}", "G: expected 'files'\nhint: add [G.files.settings] with path and keys: what says there which model plays which role"),
        (FINE + "host = 1", "G.host: unknown key 'host', expected one of 'addresses', 'batch', 'become', 'environment', 'files', 'health', 'last', 'max_failures', 'prove', 'restart', 'soak', 'ssh', 'timeout', 'unit'"),
        (FINE + "environment = 'prodution'", "G.environment: unknown environment 'prodution', expected one of 'local', 'production', 'staging'\nhint: did you mean 'production'?"),
        (FINE.replace("'app-2'", "'deploy@app-1'"), "G.addresses[2]: 'deploy@app-1' is in this list already\nhint: take it out"),
        (FINE.replace("['deploy@app-1', 'app-2']", "[]"), "G.addresses: expected a list of addresses, not an empty list"),
        (FINE + "batch = 0", "G.batch: expected a whole number of 1 or more, not 0"),
        (FINE + "max_failures = -1", "G.max_failures: expected a whole number of 0 or more, not -1"),
        (FINE + "soak = '10'", "G.soak: expected a time such as \"0s\", \"90s\", \"12h\" or \"14d\", not '10'"),
        (FINE + "timeout = '0s'", "G.timeout: expected a time such as \"90s\", \"30m\", \"12h\" or \"14d\", not '0s'"),
        (FINE + "unit = '-x'", "G.unit: expected a unit of systemd such as \"charter.service\", not '-x'"),
        (FINE + "unit = 'a.service'\nrestart = 'kill 1'", "G.restart: 'unit' and 'restart' exclude each other\nhint: take one of them out"),
        (FINE.replace("'curl -fsS http://127.0.0.1:8080/ask'", "' '"), "G.prove: expected a command, not ' '"),
        (FINE + "health = [ { command = 'a', http = 'http://b' } ]", "G.health[1]: expected exactly one of 'command', 'http' and 'journal', not 2\nhint: write each check as an entry of its own"),
        (FINE + "health = [ { command = 'a' }, {} ]", "G.health[2]: expected exactly one of 'command', 'http' and 'journal', not 0\nhint: write each check as an entry of its own"),
        (FINE + "health = [ { http = 'ftp://b' } ]", "G.health[1].http: expected a URL (\"http://...\"), not 'ftp://b'"),
        (one_file("keys = { a = 'b' }"), "G.files.f: expected a 'path'\nhint: add path = \"/etc/...\""),
        (one_file("path = 'settings.json', keys = { a = 'b' }"), "G.files.f.path: expected the path of a file from the root of the host (\"/etc/...\"), not 'settings.json'"),
        (one_file("path = '~/settings.json', keys = { a = 'b' }"), "G.files.f.path: expected the path of a file from the root of the host (\"/etc/...\"), not '~/settings.json'"),
        (one_file("path = '/etc/default/app', keys = { a = 'b' }"), "G.files.f: '/etc/default/app' does not tell what kind of file it is\nhint: add kind = \"json\", \"toml\" or \"env\""),
        (one_file("path = '/a.json'"), "G.files.f: expected 'keys': role = where its model stands\nhint: keys = { orchestrator = \"model\" }"),
        (one_file("path = '/a.json', keys = {}"), "G.files.f.keys: expected 'keys': role = where its model stands\nhint: keys = { orchestrator = \"model\" }"),
        (one_file("path = '/a.json', keys = { a = 'b..c' }"), "G.files.f.keys.a: expected dotted keys such as \"models.orchestrator\", not 'b..c'"),
        (one_file("path = '/a.env', keys = { a = 'b.c' }"), "G.files.f.keys.a: expected a variable such as \"ORCHESTRATOR_MODEL\", not 'b.c'"),
        (one_file("path = '/a.json', keys = { a = 'm', b = 'm' }"), "G.files.f.keys.b: the model of role 'a' stands at 'm' already\nhint: a key names the model of one role"),
        (one_file("path = '/a.json', keys = { a = 'm.a', b = 'm' }"), "G.files.f.keys.b: the model of role 'a' stands at 'm.a' already\nhint: a key names the model of one role"),
        (one_file("path = '/a.json', kind = 'terminal', keys = { a = 'models.a' }"), "G.files.f.keys.a: expected \"model\", the one key of the terminal that is written, not 'models.a'"),
        (one_file("path = '/a.json', kind = 'terminal', keys = { a = 'model' }, ids = 'full'"), 'G.files.f.ids: the terminal knows ids without their provider only\nhint: ids = "bare"'),
        (one_file("path = '/a.json', lock = true, keys = { a = 'b' }"), "G.files.f.lock: a file of kind 'json' cannot lock a model\nhint: it is for settings of the terminal"),
        (one_file("path = '/a.json', kind = 'yaml', keys = { a = 'b' }"), "G.files.f.kind: expected one of 'json', 'toml', 'env', 'terminal', not 'yaml'"),
        (WHERE + PROVE + "files = { f = { path = '/a.json', keys = { a = 'b' } }, g = { path = '/a.json', keys = { b = 'c' } } }", "G.files.g.path: is the file of 'f' already\nhint: one file is one entry: put all its keys there"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_key(body: str, said: str):
    assert refused(body) == said


def test_a_group_that_is_not_called_as_an_environment_says_which_it_is_in():
    assert refused(FINE, "edge").startswith("G: expected an 'environment'\nhint: add environment = 'local'")
    assert hosts(FINE, "local")["local"].environment == "local"


def test_an_address_is_in_one_group_of_an_environment():
    other = "[hosts.edge]\nenvironment = 'production'\naddresses = ['app-3', 'app-2']\n" + PROVE + FILES
    assert refused(FINE, more=other).startswith("hosts.edge.addresses[2]: 'app-2' is in group 'production' of the same")


def test_a_file_of_a_host_is_of_one_environment():
    other = "[hosts.staging]\naddresses = ['app-2']\n" + PROVE + FILES
    assert (
        "hosts.staging.addresses[1]: 'app-2' is in group 'production', which writes '/etc/charter/settings.json' for another"
        in refused(FINE, more=other)
    )
    assert set(hosts(FINE, more=other.replace("/etc/charter", "/etc/other"))) == {"production", "staging"}


def test_roles_that_no_workflow_has_are_refused_in_files_but_the_terminal_is_one():
    read = parse(f"{BEFORE}[hosts.production]\n{FINE.replace('{ orchestrator =', '{ paymnt =')}")
    with pytest.raises(PolicyError, match=r"hosts\.production\.files\.settings\.keys\.paymnt: unknown role 'paymnt'"):
        check(read, ["payment"])
    laptop = one_file("path = '/home/o/.claude/settings.json', keys = { terminal = 'model' }, lock = true")
    read = parse(f"{BEFORE}[hosts.production]\n{laptop}")
    check(read, ["payment"])
    assert read.hosts["production"].files[0] == FileSpec(
        "f", "/home/o/.claude/settings.json", "terminal", {"terminal": "model"}, lock=True
    )

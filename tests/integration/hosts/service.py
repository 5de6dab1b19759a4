"""`charter.service` of a host of the bed: reads its settings when it starts and says over HTTP which model plays which role.

The model provider behind it is a stub: an answer names the model that the settings name, and nobody is asked. What it reads and
keeps is real: a settings file in JSON (reached over links, owned by the service's user), an env file, and `/ask`, `/last` and
`/health` on the host itself.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer

HOST, PORT = "127.0.0.1", 8080
SETTINGS = Path("/etc/charter/settings.json")
ENV = Path("/etc/charter/worker.env")
LAST = Path("/var/lib/charter/last.json")
RELEASE = Path("/srv/charter/releases/7")
FAULTS = Path("/run/faults")
USER = 990
# Role -> the variable of the env file that names its model; the settings file names the others.
VARIABLES = {"payment": "CHARTER_PAYMENT_MODEL"}
MODE = 0o640


def install(root: Path, models: Mapping[str, str], ballast: int = 0) -> None:
    """Lay the service's files below `root` as a deployment would; `ballast`: bytes by which the settings are longer."""
    for folder in (SETTINGS.parent, RELEASE.parents[1], LAST.parent):
        shutil.rmtree(below(root, folder), ignore_errors=True)
        below(root, folder).mkdir(parents=True)
    release = below(root, RELEASE)
    release.mkdir(parents=True)
    (release.parents[1] / "current").symlink_to("releases/7")
    below(root, SETTINGS).symlink_to("../../srv/charter/current/settings.json")
    (release / "settings.json").write_text(settings_text(models, ballast))
    below(root, ENV).write_text(env_text(models))
    for path, owner in ((release / "settings.json", USER), (below(root, ENV), 0), (below(root, LAST.parent), USER)):
        os.chown(path, owner, USER)
        path.chmod(MODE if path.is_file() else 0o755)


def settings_text(models: Mapping[str, str], ballast: int = 0) -> str:
    roles = {role: {"model": model, "max_tokens": 4096} for role, model in models.items() if role not in VARIABLES}
    return json.dumps({"service": "charter", "roles": roles, "routes": ["r" * 80] * (ballast // 90)}, indent=2) + "\n"


def env_text(models: Mapping[str, str]) -> str:
    lines = [f"{VARIABLES[role]}={model}" for role, model in models.items() if role in VARIABLES]
    return "\n".join(["# kept by hand", *lines, "CHARTER_PORT=8080"]) + "\n"


def below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def fault(name: str) -> str | None:
    """Give what stands in /run/faults/NAME after its first line; None where that line (the new model, say) is not in the settings."""
    try:
        when, _, what = (FAULTS / name).read_text().partition("\n")
    except FileNotFoundError:
        return None
    return what if any(when in path.read_text() for path in (SETTINGS, ENV)) else None


def configured() -> dict[str, str]:
    """Read role -> model from both files; a half-written one is an error, as in any program."""
    roles = {role: said["model"] for role, said in json.loads(SETTINGS.read_text())["roles"].items()}
    lines = dict(line.split("=", 1) for line in ENV.read_text().splitlines() if "=" in line and line[0] != "#")
    return roles | {role: lines[variable].strip('"') for role, variable in VARIABLES.items()}


class Charter(BaseHTTPRequestHandler):
    models: dict[str, str]

    def do_GET(self) -> None:
        if self.path == "/ask":
            while fault("hang") is not None:
                time.sleep(0.05)
            wrong = fault("model")
            said = dict.fromkeys(self.models, wrong) if wrong else self.models
            LAST.write_text(json.dumps(said))
            self.answer(200, said)
        elif self.path == "/last":
            self.answer(200, json.loads(LAST.read_text()) if LAST.exists() else {})
        elif self.path == "/health":
            self.answer(200 if fault("health") is None else 503, {})
        else:
            self.answer(404, {})

    def answer(self, code: int, said: dict[str, str]) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode() + b"\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so in the standard library
        pass


class Server(TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody who asked is gone."""


def serve() -> None:
    """As the user `charter`: a file that lost its owner or mode cannot be read."""
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    Charter.models = configured()
    with Server((HOST, PORT), Charter) as server:
        server.serve_forever()

"""How much memory this process has resident, as `ps` tells it on Linux and macOS."""

from __future__ import annotations

import os
import subprocess


def resident_mb() -> float:
    """In MB of 2**20 bytes."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024

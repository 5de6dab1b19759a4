"""What a machine has left of disk, and whether its clock is right; read-only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from trimtab.core.finding import Checked, Finding

# Below these a store soon cannot be written: a run stops there, though nothing that was acknowledged is lost.
_LITTLE, _NONE = 2**30, 100 * 2**20
_SKEW = timedelta(seconds=30)
_GB = 1e9


def check_disk(folders: Sequence[Path]) -> Checked:
    """Look at the file systems of these folders (or of what is above them, where they do not exist)."""
    found: list[Finding] = []
    free: list[str] = []
    for folder in dict.fromkeys(_existing(folder) for folder in folders):
        there = os.statvfs(folder)
        left = there.f_bavail * there.f_frsize
        free.append(f"{left / _GB:.1f} GB free at {folder}")
        if left < _LITTLE:
            found.append(
                Finding(
                    f"the disk has {left / _GB:.2f} GB left",
                    str(folder),
                    "runs stop when the journal cannot be written, and settings cannot be replaced",
                    f"df -h {folder}",
                    "error" if left < _NONE else "warning",
                )
            )
        # File systems without a fixed number of files say 0 of 0.
        if there.f_files and there.f_favail < 1000:  # noqa: PLR2004 - a store needs a handful, logs take the rest
            why = "no file can be made, however much space is left"
            found.append(
                Finding(f"only {there.f_favail} more files can be made", str(folder), why, f"df -i {folder}", "error")
            )
    return Checked("disk", "; ".join(free), tuple(found))


def check_clock(now: datetime, server: datetime | None, newest: datetime | None) -> Checked:
    """Compare the clock with a server's (None: none was heard) and with the newest fact of the journal (None: there is none)."""
    mend = "set the time, and keep it by NTP: timedatectl set-ntp true"
    why = "prices, budgets of a day, deadlines and experiments go by it"
    found: list[Finding] = []
    if server is not None and abs(now - server) > _SKEW:
        way = "ahead of" if now > server else "behind"
        apart = timedelta(seconds=round(abs(now - server).total_seconds()))
        found.append(Finding(f"the clock is {apart} {way} the model provider's", "", why, mend, "error"))
    if newest is not None and newest - now > _SKEW:
        found.append(Finding(f"the journal has a fact of {newest:%Y-%m-%d %H:%M:%S}, later than now", "", why, mend))
    heard = (
        "not compared: no provider answered" if server is None else f"{abs((now - server).total_seconds()):.0f} s off"
    )
    return Checked("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, {heard}", tuple(found))


def _existing(folder: Path) -> Path:
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())

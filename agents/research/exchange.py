"""Folders through which jobs hand things on; each is gone when its work ends, however it does.

Beside a folder lies the name of the process that made it, so that what a killed one has left can be
told from what is in use. Jobs see their own folder and not that name.
"""

import os
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from agents.research.experiments.worker import is_gone, this_worker
from agents.research.job_properties import EXCHANGE
from agents.sandbox.folders import make_folder
from messaging.process.logs import get_logger

log = get_logger()

_OWNER = ".owner"
_MINE = 0o700


@asynccontextmanager
async def exchange_folder(workspace: Path) -> AsyncIterator[str]:
    """A name for a folder, relative to the workspace; the sandbox makes it for the first job."""
    folder = workspace / EXCHANGE / uuid4().hex
    make_folder(folder.parent)
    owner = folder.with_suffix(_OWNER)
    owner.write_text(this_worker(), "utf-8")
    try:
        yield str(folder.relative_to(workspace))
    finally:
        await to_thread(_clear, owner)


def sweep(workspace: Path) -> None:
    """Remove the folders that processes left which have ended; those of the living stay."""
    for owner in (workspace / EXCHANGE).glob(f"*{_OWNER}"):
        try:
            is_left = is_gone(owner.read_text("utf-8", "replace"))
        except FileNotFoundError:  # it was in use, and its work has ended
            continue
        if is_left:
            _clear(owner)


def _clear(owner: Path) -> None:
    folder = owner.with_suffix("")
    try:
        if folder.is_dir():
            _remove(folder)
        owner.unlink(missing_ok=True)
    except OSError as error:  # the next start tries again
        log.warning("jobs.exchange_not_removed", folder=str(folder), error=str(error))


def _remove(top: Path) -> None:
    """Remove a folder that a job has filled: with folders that nobody may enter, or thousands deep.

    Folders below are moved up before they are emptied, so that no path becomes long.
    """
    waiting = [top]
    while waiting:
        place = waiting.pop()
        place.chmod(_MINE)
        for entry in list(os.scandir(place)):
            path = Path(entry.path)
            if not entry.is_dir(follow_symlinks=False):
                path.unlink()
                continue
            if place != top:
                path.chmod(_MINE)  # else it cannot be moved
                path = path.rename(top / uuid4().hex)
            waiting.append(path)
        if place != top:
            place.rmdir()
    top.rmdir()

"""What one job is shown, held open: a moment later its name may lead to something else.

Other jobs may change the workspace while a job waits for its turn, starts, or has its room built.
So each thing to be shown is opened once and kept open, and the job's warden compares what lies at
its name in the finished room (`room.require`): what a name leads to may change, but no other file
or folder gets the number of one that is open.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from agents.sandbox.errors import NotShownError
from agents.sandbox.kernel.beneath import LeavesError, opened
from agents.sandbox.view import View

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class Place(NamedTuple):
    """A file or folder by more than its name."""

    path: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Sight:
    """A view as it can be kept now.

    Attributes:
        view: shows nothing that is not there.
        workspace: where it lies.
        shown: where lies what is shown besides.
    """

    view: View
    workspace: Place
    shown: tuple[Place, ...]


@contextmanager
def sight_of(workspace: Path, view: View) -> Iterator[Sight]:
    """Hold open what `view` shows, as long as a job needs it.

    Raises:
        NotShownError: something below the workspace is reached over a link.
    """
    with ExitStack() as held:
        place = _place(str(workspace), held.enter_context(_opened(workspace)))
        shown = []
        for path in view.read_only:
            try:
                fd = _open(held, workspace, path)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
            else:
                shown.append(_place(path, fd))
        there = replace(view, read_only=tuple(each.path for each in shown))
        yield Sight(there, place, tuple(shown))


def _open(held: ExitStack, workspace: Path, path: str) -> int:
    if not Path(path).is_relative_to(workspace):
        return held.enter_context(_opened(Path(path)))  # the operator's, which no job can change
    try:
        fd = held.enter_context(opened(workspace, path, os.O_PATH))
    except LeavesError as error:
        raise NotShownError(path, "leads out of the workspace") from error
    if (real := Path(f"/proc/self/fd/{fd}").readlink()) != Path(path):
        raise NotShownError(path, f"is or follows a link to {real}, where more may lie")
    return fd


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _place(path: str, fd: int) -> Place:
    status = os.fstat(fd)
    return Place(path, status.st_dev, status.st_ino)

"""Files at places where anybody may have put anything: a FIFO, for one, which waits for ever."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for one.

    Args:
        path: what to open.
        follow: whether it may be a link.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{str(path)!r} is no regular file")
    return os.fdopen(handle, "rb")


def read_plain(path: Path) -> bytes:
    """Return what is in a regular file; see `open_plain`."""
    with open_plain(path) as file:
        return file.read()

"""Files at places where anybody may have put anything: a FIFO, for one, which waits for ever."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
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


def open_own(path: Path) -> BufferedRandom:
    """Open a file of our own for reading and appending; made when missing, as it was if it is not.

    Raises:
        OSError: a link, a FIFO or a folder lies in its place, or it cannot be opened.
    """
    return open(path, "ab+", opener=_our_own)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of which `path` is the file; waits for its holder.

    Raises:
        OSError: as `open_own`.
    """
    with open_own(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, or we die
        yield


def _our_own(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", path)
    return handle


def read_plain(path: Path) -> bytes:
    """Return what is in a regular file; see `open_plain`."""
    with open_plain(path) as file:
        return file.read()

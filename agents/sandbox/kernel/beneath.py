"""Open files below a folder, and never outside of it, whatever links and races lie between.

A path that is resolved first and opened afterwards can be swapped in between, so the kernel is
asked to do both at once: `openat2` with RESOLVE_BENEATH (Linux 5.6). Where it is missing or
forbidden, the path is walked one folder at a time and links are refused.
"""

import contextlib
import ctypes
import errno
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

_SYS_OPENAT2 = 437  # the same number on every architecture
_RESOLVE = 0x08 | 0x02  # RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS
_WAITLESS = os.O_NONBLOCK | os.O_NOCTTY  # a FIFO must not keep the caller waiting
_TRIES = 16  # EAGAIN: something was renamed while the kernel looked

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class LeavesError(OSError):
    """The path leads out of the folder, or over a link where links are not followed."""


def relative(root: Path, path: str, *, without: str = "") -> str:
    """`path` as it is from `root`, "." for the folder itself, without `..` and double slashes.

    Nothing here expands `~`, yet whoever says it means a home: a folder of that name would be
    removed some day by those who forget the quotes. `./~` is one that is there.

    Raises:
        LeavesError: it leads out of `root` by its letters alone.
        PermissionError: so it leads to `without`, a folder of `root`.
        ValueError: it holds a zero byte, at which the kernel would take it to end.
    """
    if "\0" in path:
        raise ValueError("embedded null byte")
    if path.split("/", 1)[0] == "~":
        raise LeavesError(errno.EXDEV, "leads out of the folder", path)
    if posixpath.isabs(path):
        for start in (root, root.resolve()):
            if Path(path).is_relative_to(start):
                path = str(Path(path).relative_to(start))
                break
    normal = posixpath.normpath(path or ".")
    if posixpath.isabs(normal) or normal.split("/", 1)[0] == "..":
        raise LeavesError(errno.EXDEV, "leads out of the folder", path)
    if without and Path(normal).is_relative_to(without):
        raise _withheld(path)
    return normal


@contextlib.contextmanager
def opened(
    root: Path, path: str, flags: int, mode: int = 0o666, *, without: str = ""
) -> Iterator[int]:
    """A descriptor of `path` below `root`, closed at the end.

    Raises:
        LeavesError: the path leads out of `root`.
        PermissionError: by its letters or over a link, it leads to `without`, a folder of `root`.
        OSError: as `os.open`.
    """
    flags |= os.O_CLOEXEC | (0 if flags & os.O_PATH else _WAITLESS)
    place = relative(root, path, without=without)
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = _open(root_fd, place, flags, mode)
    finally:
        os.close(root_fd)
    try:
        if without and Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(
            root.resolve() / without
        ):
            raise _withheld(path)
        yield fd
    finally:
        os.close(fd)


def make_folders(root: Path, path: str, *, without: str = "") -> None:
    """Make the folder `path` below `root` and those above it; nothing if they are there.

    What root makes gets the owner of the folder it is in.

    Raises:
        LeavesError: the path leads out of `root`.
        PermissionError: it leads to `without`; see `opened`.
        OSError: as `os.mkdir`; FileExistsError when something else has the name.
    """
    made = "."
    for name in relative(root, path, without=without).split("/"):
        with (
            opened(root, made, os.O_PATH | os.O_DIRECTORY, without=without) as parent_fd,
            contextlib.suppress(FileExistsError),
        ):
            os.mkdir(name, dir_fd=parent_fd)
            _give(parent_fd, name)
        made = posixpath.join(made, name)
        with opened(root, made, os.O_PATH | os.O_DIRECTORY, without=without):
            pass


def _give(folder_fd: int, name: str) -> None:
    if os.geteuid() == 0:
        above = os.fstat(folder_fd)
        os.chown(name, above.st_uid, above.st_gid, dir_fd=folder_fd, follow_symlinks=False)


def _withheld(path: str) -> PermissionError:
    return PermissionError(errno.EACCES, "belongs to the guild itself; give another path", path)


def _open(root_fd: int, path: str, flags: int, mode: int) -> int:
    for _ in range(_TRIES):
        how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
        fd: int = _libc.syscall(
            _SYS_OPENAT2, root_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
        )
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number in {errno.ENOSYS, errno.EPERM}:
            return walk(root_fd, path, flags, mode)
        if number == errno.EXDEV:
            raise LeavesError(number, "leads out of the folder", path)
        if number not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(number, os.strerror(number), path)


def walk(root_fd: int, path: str, flags: int, mode: int) -> int:
    """As `openat2`, one folder at a time; links are refused, those that stay inside too."""
    *folders, name = path.split("/")
    parent_fd = os.dup(root_fd)
    try:
        for folder in folders:
            child_fd = _step(parent_fd, folder, os.O_PATH | os.O_DIRECTORY, path)
            os.close(parent_fd)
            parent_fd = child_fd
        return _step(parent_fd, name, flags, path, mode)
    finally:
        os.close(parent_fd)


def _step(parent_fd: int, name: str, flags: int, path: str, mode: int = 0o666) -> int:
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent_fd)
    except OSError as error:
        if _is_link(parent_fd, name):
            raise LeavesError(errno.ELOOP, "goes over a link", path) from error
        raise
    if flags & os.O_PATH and not flags & os.O_DIRECTORY and _is_link(parent_fd, name):
        os.close(fd)  # O_PATH opens the link itself
        raise LeavesError(errno.ELOOP, "goes over a link", path)
    return fd


def _is_link(parent_fd: int, name: str) -> bool:
    try:
        return os.readlink(name, dir_fd=parent_fd) is not None
    except OSError:
        return False

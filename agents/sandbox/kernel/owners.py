"""Mapped owners: files of one user appear, in one mount, as those of another."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.sandbox.kernel import mounts
from agents.sandbox.kernel.namespaces import USERS, unshare


def lay_mapped_over(path: str, owner: tuple[int, int], shown: tuple[int, int]) -> None:
    """Lay the tree at `path` over itself, with what belongs to `owner` shown as of `shown`.

    New files made as `shown` there belong to `owner` on the disk.

    Raises:
        OSError: the file system or the kernel has no mapped mounts, or this user may not.
    """
    with _users(owner, shown) as users_fd:
        fd = mounts.clone_tree(path)
        try:
            mounts.map_owners(fd, users_fd)
            mounts.attach(fd, path)
        finally:
            os.close(fd)


@contextmanager
def _users(owner: tuple[int, int], shown: tuple[int, int]) -> Iterator[int]:
    """A namespace of users that exists to hold the map, kept by a child that does nothing else."""
    ready_fd, their_ready_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            unshare(USERS)
            os.write(their_ready_fd, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(their_ready_fd)
    try:
        if not os.read(ready_fd, 1):
            raise PermissionError("no namespace of users can be made")
        for kind, inner, outer in zip(("uid", "gid"), owner, shown, strict=True):
            Path(f"/proc/{pid}/{kind}_map").write_text(f"{inner} {outer} 1")
        users_fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield users_fd
        finally:
            os.close(users_fd)
    finally:
        os.close(ready_fd)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

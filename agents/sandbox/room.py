"""A room of its own for each job: processes, mounts, network and temporary files.

Built inside the fence by the job's warden, who is process 1 in it.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.sandbox.confinement import Confinement
from agents.sandbox.fence.scene import SHARED_MEMORY, TEMPORARY
from agents.sandbox.kernel import calls, mounts, namespaces
from agents.sandbox.limits import Limits
from agents.sandbox.sight import Place

TEMPORARY_FOLDERS = (TEMPORARY, SHARED_MEMORY)
_EMPTY_FILE = Path(__file__).with_name("fence") / "etc" / "empty"
_COVER_BYTES = 64 * 1024
_COVER_FILES = 256


def build(
    confinement: Confinement, limits: Limits, hidden: Iterable[str], kept: Iterable[str]
) -> None:
    """Move this process, and the job to come, into a new room.

    Raises:
        OSError: the kernel refuses a part of it; names the part.
    """
    scene = confinement.scene
    assert scene is not None, "rooms are built behind a fence"
    kinds = namespaces.MOUNTS | namespaces.SYSTEM_V
    namespaces.unshare(kinds if scene.network else kinds | namespaces.NETWORK)
    if not scene.network:
        namespaces.raise_loopback()
    mounts.make_private()
    mounts.mount_proc("/proc", read_only=True)
    with _carried_over(scene.in_folders(TEMPORARY_FOLDERS)):
        for folder in TEMPORARY_FOLDERS:
            mounts.mount_tmpfs(
                folder, size_bytes=limits.tmp_bytes, files=limits.tmp_files, mode=0o1777
            )
    covered = set(map(os.path.realpath, hidden))
    _hide(covered, [*kept, *_programs_below(covered, confinement)])
    # No other process may look into this one's memory, nor into the job's, which is forked off it.
    calls.prctl(calls.PR_SET_DUMPABLE, 0)


def require(shown: Iterable[Place]) -> None:
    """Refuse a room in which something else lies where one of `shown` was to be.

    Raises:
        OSError: names the path.
    """
    for place in shown:
        found = Path(place.path).stat()
        if (found.st_dev, found.st_ino) != (place.device, place.inode):
            text = "was exchanged for something else while it was put up"
            raise OSError(errno.ESTALE, text, place.path)


@contextmanager
def _carried_over(paths: Iterable[str]) -> Iterator[None]:
    """Keep trees at their place while something is laid over the folders they lie in."""
    trees = _cloned(paths)
    yield
    for path, fd in trees.items():
        _put_back(fd, path)


def _programs_below(folders: set[str], confinement: Confinement) -> Iterator[str]:
    """What jobs run on, where it lies in `folders`, as in a workspace that is a checkout."""
    assert confinement.scene is not None
    shown = confinement.scene.in_folders(folders, programs=True)
    yield from set(shown) - folders - set(confinement.read_only)


def _hide(hidden: set[str], kept: Iterable[str]) -> None:
    """Cover what is hidden, the outer before the inner, and put what is kept of it on top."""
    trees, covers = _cloned(kept), []
    for path in sorted(hidden | trees.keys(), key=lambda each: Path(each).parts):
        if path in hidden and _cover(path):
            covers.append(path)
        if path in trees:
            _put_back(trees[path], path)
    for path in covers:
        mounts.make_read_only(path)


def _cloned(paths: Iterable[str]) -> dict[str, int]:
    return {path: mounts.clone_tree(path) for path in paths if Path(path).exists()}


def _put_back(fd: int, path: str) -> None:
    mounts.make_target(_of(fd), Path(path))
    mounts.attach(fd, path)
    os.close(fd)


def _of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}")


def _cover(path: str) -> bool:
    """Lay nothing over `path`; whether that is a folder, in which others can be made."""
    if Path(path).is_dir():
        mounts.mount_tmpfs(path, size_bytes=_COVER_BYTES, files=_COVER_FILES)
        return True
    if Path(path).exists():
        mounts.bind(str(_EMPTY_FILE), path, mounts.READ_ONLY)
    return False

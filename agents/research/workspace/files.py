"""Files of a workspace: read, write, append, link and list, all below one folder."""

import errno
import fcntl
import os
import posixpath
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.job_properties import STATE
from agents.research.workspace.atomic import append, replace, replace_link
from agents.sandbox.kernel.beneath import LeavesError, make_folders, opened, relative

MIB = 1024 * 1024
_MOST_ENTRIES = 100_000
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WorkspaceFiles:
    """What the file tools do, for one folder. Every error is a `WorkRefusedError` that names it.

    Code outside the fence reads and writes a workspace by this only: jobs may have put
    links and FIFOs there, which neither lead it out of the folder nor keep it waiting.

    Args:
        root: the folder that all paths are relative to, and may not leave.
        max_bytes: the largest file that is read, written or appended to.
        withheld: a folder in it that no path leads to: the guild's own, which jobs do not see.
    """

    def __init__(self, root: Path, *, max_bytes: int = 8 * MIB, withheld: str = STATE) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._withheld = withheld

    def with_the_guilds_own(self) -> "WorkspaceFiles":
        """The same with nothing withheld, for paths that the guild itself has made up."""
        return WorkspaceFiles(self._root, max_bytes=self._max_bytes, withheld="")

    def read(self, path: str) -> str:
        """The whole file, line ends as they are. A file over the limit is refused, not cut."""
        data = self.read_bytes(path)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise _refused(
                error,
                path,
                f"is no UTF-8 text (byte 0x{data[error.start]:02x} at {error.start:,}); iconv in "
                "bash_run makes it one if it is text at all",
                key="file_path",
            ) from error

    def read_bytes(self, path: str) -> bytes:
        """The whole file, as `read`, whatever is in it."""
        with _explained(path, "file_path", of_file=True), self._opened(path, os.O_RDONLY) as fd:
            self._require_file(fd, path)
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read(self._max_bytes + 1)
            remedy = "read a part of it with bash_run and head, tail or sed"
            self._require_size(len(data), path, remedy)
        return data

    def write(self, path: str, content: str) -> int:
        """Replace the file, or make it with the folders above it, in one step for its readers.

        Returns:
            its size in bytes.
        """
        data = self._encoded(path, content)
        with _explained(path, "file_path", of_file=True):
            self._make_folders(posixpath.dirname(relative(self._root, path)) or ".")
            with self._place(path) as (folder_fd, name):
                replace(folder_fd, name, data)
        return len(data)

    def append(self, path: str, content: str) -> int:
        """Add to the end of the file, or make it; a write that fails leaves it as it was.

        Returns:
            its size in bytes afterwards.
        """
        data = self._encoded(path, content)
        made = 0 if self.has_file(path) else os.O_CREAT | os.O_NOFOLLOW  # none through a link
        with _explained(path, "file_path", of_file=True):
            self._make_folders(posixpath.dirname(relative(self._root, path)) or ".")
            with self._opened(path, os.O_RDWR | os.O_APPEND | made) as fd:
                self._require_file(fd, path)
                fcntl.flock(fd, fcntl.LOCK_EX)
                size_bytes = os.fstat(fd).st_size
                self._require_size(size_bytes + len(data), path, "begin another file")
                append(fd, data, size_bytes)
        return size_bytes + len(data)

    def list(self, path: str = ".", *, recursive: bool = False) -> list[str]:
        r"""Names of what the folder holds, sorted; with `recursive` paths from there.

        Links are listed and not followed. Bytes of a name that are no UTF-8 are shown as `\xff`.
        """
        found: list[str] = []
        waiting = [""]
        with _explained(path, "path"):
            start = relative(self._root, path)
            while waiting:
                below = waiting.pop()
                folder = posixpath.join(start, below) if below else start
                with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
                    for name, is_folder in _entries(fd):
                        found.append(posixpath.join(below, name))
                        is_withheld = posixpath.normpath(f"{folder}/{name}") == self._withheld
                        if recursive and is_folder and not is_withheld:
                            waiting.append(found[-1])
                if len(found) > _MOST_ENTRIES:
                    text = f"holds more than {_MOST_ENTRIES:,} entries; list a folder below it"
                    raise _refused(OSError(), path, text, key="path")
        return sorted(map(_shown, found))

    def make_directory(self, path: str) -> None:
        """Make the folder and those above it; nothing if it is there."""
        with _explained(path, "path"):
            self._make_folders(path)

    def link(self, path: str, folder: str) -> None:
        """Make `path` a link to `folder`, in one step for its readers; over another link only."""
        if not self.has_folder(folder):
            raise _refused(OSError(), folder, "is no folder of the workspace", key="folder")
        with _explained(path, "path"):
            above = posixpath.dirname(relative(self._root, path))
            self._make_folders(above or ".")
            target = posixpath.relpath(f"/{relative(self._root, folder)}", f"/{above}")
            with self._place(path) as (folder_fd, name):
                replace_link(folder_fd, name, target)

    def has_file(self, path: str) -> bool:
        """Whether there is a file of this name in the workspace."""
        return self._is(stat.S_ISREG, path)

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder of this name in the workspace."""
        return self._is(stat.S_ISDIR, path)

    def _is(self, kind: Callable[[int], bool], path: str) -> bool:
        try:
            with self._opened(path, os.O_PATH) as fd:
                return kind(os.fstat(fd).st_mode)
        except (OSError, ValueError):
            return False

    def move(self, source: str, target: str) -> None:
        """Give `source` another place, in one step; in that of an empty folder, too."""
        with _explained(target, "path"):
            self._make_folders(posixpath.dirname(relative(self._root, target)) or ".")
            with self._place(source) as (source_fd, old), self._place(target) as (target_fd, new):
                os.rename(old, new, src_dir_fd=source_fd, dst_dir_fd=target_fd)

    def remove_folder(self, path: str) -> None:
        """Remove the folder and what it holds; nothing if there is none."""
        if self.has_folder(path):
            with _explained(path, "path"), self._place(path) as (parent_fd, name):
                shutil.rmtree(name, dir_fd=parent_fd)

    def _opened(self, path: str, flags: int) -> AbstractContextManager[int]:
        return opened(self._root, path, flags, without=self._withheld)

    def _make_folders(self, path: str) -> None:
        make_folders(self._root, path, without=self._withheld)

    @contextmanager
    def _place(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder above `path` as a descriptor, and the name in it."""
        folder, name = posixpath.split(relative(self._root, path, without=self._withheld))
        with self._opened(folder or ".", os.O_RDONLY | os.O_DIRECTORY) as folder_fd:
            yield folder_fd, name

    def _encoded(self, path: str, content: str) -> bytes:
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            text = f"cannot hold {content[error.start]!r} (at {error.start:,}): it is no character"
            raise _refused(error, path, text, key="content") from error
        self._require_size(len(data), path, "write it in parts")
        return data

    @staticmethod
    def _require_file(fd: int, path: str) -> None:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder", path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is no regular file", path)

    def _require_size(self, size_bytes: int, path: str, remedy: str) -> None:
        if size_bytes > self._max_bytes:
            text = f"is over the limit of {self._max_bytes:,} bytes; {remedy}"
            raise _refused(OSError(), path, text, key="file_path")


def _entries(fd: int) -> Iterator[tuple[str, bool]]:
    with os.scandir(fd) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


@contextmanager
def _explained(path: str, key: str, *, of_file: bool = False) -> Iterator[None]:
    """Turn what the system says into what happened, to which path, and what to do."""
    try:
        if of_file and path.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, "ends as only the name of a folder does", path)
        yield
    except LeavesError as error:
        raise OutsideWorkspaceError(key, path) from error
    except FileNotFoundError as error:
        text = "does not exist in the workspace; list_directory shows what there is"
        raise _refused(error, path, text, key=key) from error
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno in _FULL:
            text = f"could not be written: {text.lower()}; it is as it was before"
        elif isinstance(error, (NotADirectoryError, FileExistsError)):
            text = "lies below a file, or has the name of one; only folders hold files"
        raise _refused(error, path, text, key=key) from error
    except ValueError as error:  # a zero byte, or half a character
        raise _refused(error, path, f"is no path: {error}", key=key) from error


def _refused(error: Exception, path: str, text: str, *, key: str) -> WorkRefusedError:
    return WorkRefusedError(type(error).__name__, f"{path!r} {text}", where=key)

"""Change what a folder holds under a name: as a whole, or not at all."""

import errno
import os
import secrets
import stat


def replace(folder_fd: int, name: str, data: bytes) -> None:
    """Write a draft beside `name` and give it the name; the draft is gone if that fails."""
    mode = _mode_to_keep(folder_fd, name)
    draft = _draft()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o666, dir_fd=folder_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(draft, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        os.unlink(draft, dir_fd=folder_fd)
        raise


def replace_link(folder_fd: int, name: str, target: str) -> None:
    """Make `name` a link to `target`, in place of another link or of nothing."""
    if (mode := _mode(folder_fd, name)) is not None and not stat.S_ISLNK(mode):
        raise OSError(errno.EINVAL, "is no link; only a link is replaced by one", name)
    draft = _draft()
    os.symlink(target, draft, dir_fd=folder_fd)
    try:
        os.rename(draft, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        os.unlink(draft, dir_fd=folder_fd)
        raise


def append(fd: int, data: bytes, size_bytes: int) -> None:
    """Add `data` to a file of `size_bytes`; a write that fails leaves it as it was."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        os.ftruncate(fd, size_bytes)
        raise


def _mode_to_keep(folder_fd: int, name: str) -> int | None:
    """The permissions of what is replaced, which must be a regular file; None for a new one."""
    mode = _mode(folder_fd, name)
    if mode is None:
        return None
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "is a link; write to the file that it leads to", name)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", name)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", name)
    return stat.S_IMODE(mode)


def _mode(folder_fd: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _draft() -> str:
    return f".{secrets.token_hex(8)}.draft"

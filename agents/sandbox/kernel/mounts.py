"""Mounts, made and changed in the namespace of the calling process."""

import ctypes
import os
from pathlib import Path

from agents.sandbox.kernel.calls import libc, system_call

READ_ONLY = 0x1
NO_SUID = 0x2
NO_DEVICES = 0x4
NO_EXEC = 0x8
_BIND = 0x1000
_RECURSIVE = 0x4000
_PRIVATE = 0x4_0000
_DETACH = 0x2

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_ATTR_IDMAP = 0x0010_0000


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def make_private() -> None:
    """Keep every change of mounts from here on to this namespace."""
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)


def mount_proc(path: str, *, read_only: bool) -> None:
    flags = NO_SUID | NO_DEVICES | NO_EXEC | (READ_ONLY if read_only else 0)
    _mount("proc", path, "proc", flags)


def mount_tmpfs(path: str, *, size_bytes: int, files: int, mode: int = 0o755) -> None:
    options = f"size={size_bytes},nr_inodes={files},mode={mode:o}"
    _mount("tmpfs", path, "tmpfs", NO_SUID | NO_DEVICES, options)


def bind(source: str, target: str, attributes: int = 0) -> None:
    """Show the tree at `source` at `target`, too, with `attributes` on every mount in it."""
    _mount(source, target, None, _BIND | _RECURSIVE)
    if attributes:
        _set_attributes(_AT_FDCWD, target, _AT_RECURSIVE, _MountAttributes(set=attributes))


def make_read_only(path: str) -> None:
    """Freeze the one mount at `path`."""
    _set_attributes(_AT_FDCWD, path, 0, _MountAttributes(set=READ_ONLY))


def pivot_to(new_root: str, old_root: str) -> None:
    """Make `new_root`, a mount, the root; the old one appears at `old_root` below it."""
    system_call("pivot_root", os.fsencode(new_root), os.fsencode(old_root))
    os.chdir("/")


def detach(path: str) -> None:
    libc("umount2", os.fsencode(path), _DETACH)


def clone_tree(path: str) -> int:
    """A copy of the mounts at `path`, attached nowhere yet, as a descriptor."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    return system_call("open_tree", _AT_FDCWD, os.fsencode(path), flags)


def map_owners(tree_fd: int, users_fd: int) -> None:
    """Show owners in the top mount of a cloned tree as the namespace `users_fd` maps them."""
    _set_attributes(
        tree_fd, "", _AT_EMPTY_PATH, _MountAttributes(set=_ATTR_IDMAP, userns_fd=users_fd)
    )


def attach(tree_fd: int, path: str) -> None:
    """Lay a cloned tree over `path`."""
    system_call("move_mount", tree_fd, b"", _AT_FDCWD, os.fsencode(path), _MOVE_MOUNT_F_EMPTY_PATH)


def make_target(source: Path, target: Path) -> None:
    """Make what a bind needs to lie on: a folder for a folder, a file for anything else."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _set_attributes(at_fd: int, path: str, flags: int, attributes: _MountAttributes) -> None:
    size = ctypes.sizeof(attributes)
    system_call("mount_setattr", at_fd, os.fsencode(path), flags, ctypes.byref(attributes), size)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = (None if text is None else os.fsencode(text) for text in (source, target, kind))
    data = None if options is None else options.encode()
    try:
        libc("mount", *texts, ctypes.c_ulong(flags), data)
    except OSError as error:
        raise OSError(error.errno, f"mount at {target}: {os.strerror(error.errno or 0)}") from None

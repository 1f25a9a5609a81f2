"""Landlock: a process gives up rights to files, sockets and signals, for itself and its children.

A second lock behind the mounts: what it denies stays denied were a mount ever wrong.
"""

import ctypes
import errno
import os
from collections.abc import Iterable

from agents.sandbox.kernel.calls import system_call

_QUERY_VERSION = 1
_RULE_PATH = 1

_WRITE_FILE = 1 << 1
_REMOVE = (1 << 4) | (1 << 5)  # folders, files
_MAKE = 0b111_1111 << 6  # devices, folders, files, sockets, pipes, blocks, links
_REFER = 1 << 13  # since version 2: to move or link between folders
_TRUNCATE = 1 << 14  # since version 3
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2  # since version 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder_fd", ctypes.c_int32))


def version() -> int:
    """What this kernel offers; 0 is nothing."""
    try:
        return system_call("landlock_create_ruleset", None, 0, _QUERY_VERSION)
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EOPNOTSUPP}:
            return 0
        raise


def restrict_writing(to: Iterable[str], offered: int) -> None:
    """Let files be changed below `to` alone, and signals and abstract sockets reach no further.

    `offered` is the `version` of this kernel; with 0 there is nothing to do.
    """
    if offered == 0:
        return
    rights = _WRITE_FILE | _REMOVE | _MAKE
    rights |= _REFER if offered >= 2 else 0  # noqa: PLR2004  versions, as above
    rights |= _TRUNCATE if offered >= 3 else 0  # noqa: PLR2004
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if offered >= 6 else 0  # noqa: PLR2004
    ruleset = _Ruleset(rights, 0, scopes)
    fd = system_call("landlock_create_ruleset", ctypes.byref(ruleset), _size(offered), 0)
    try:
        for path in to:
            _allow(fd, path, rights)
        system_call("landlock_restrict_self", fd, 0)
    finally:
        os.close(fd)


def _size(offered: int) -> int:
    """How much of `_Ruleset` this version knows: one field, then two, then three."""
    return 8 * (1 + (offered >= 4) + (offered >= 6))  # noqa: PLR2004


def _allow(ruleset_fd: int, path: str, rights: int) -> None:
    folder_fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathRule(rights, folder_fd)
        system_call("landlock_add_rule", ruleset_fd, _RULE_PATH, ctypes.byref(rule), 0)
    finally:
        os.close(folder_fd)

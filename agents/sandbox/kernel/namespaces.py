"""Namespaces: private views of processes, mounts, networks and users."""

import fcntl
import os
import socket
import struct
from pathlib import Path

from agents.sandbox.kernel.calls import libc

MOUNTS = 0x0002_0000
HOST_NAME = 0x0400_0000
SYSTEM_V = 0x0800_0000
USERS = 0x1000_0000
PROCESSES = 0x2000_0000
NETWORK = 0x4000_0000

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def unshare(kinds: int) -> None:
    """Move this process to new namespaces; of processes, only the children made from now on."""
    libc("unshare", kinds)


def enter(fd: int, kind: int) -> None:
    libc("setns", fd, kind)


def fork_into_new_processes(own_fd: int) -> int:
    """As `os.fork`, but the child is process 1 of a namespace of its own.

    When process 1 ends, however it does, the kernel ends every other one.

    Args:
        own_fd: an open `/proc/self/ns/pid` of the caller, whose next children are here again.
    """
    unshare(PROCESSES)
    try:
        pid = os.fork()
    except OSError:
        enter(own_fd, PROCESSES)
        raise
    if pid != 0:
        enter(own_fd, PROCESSES)
    return pid


def map_user(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """In a new namespace of users, be called `uid` and `gid` from here on."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def raise_loopback() -> None:
    """Let a process of a new network reach itself at 127.0.0.1."""
    request = struct.pack("16sh22x", b"lo", _IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)

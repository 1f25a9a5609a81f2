"""A fence without bubblewrap: the zygote puts up its own, before it imports what jobs need.

The same namespaces and the same files, made by system calls.
"""

import os
import select
import signal
from pathlib import Path
from typing import NoReturn

from agents.sandbox.confinement import NOBODY
from agents.sandbox.fence.scene import TEMPORARY, Scene, Shown
from agents.sandbox.kernel import calls, capabilities, mounts, namespaces

_BASE = TEMPORARY  # any folder that every machine has; covered for a moment
_OLD, _NEW = "/old", "/new"
_BASE_BYTES = 16 * 1024 * 1024
_BASE_FILES = 65_536


def enter(scene: Scene) -> None:
    """Return in a child that sees `scene` alone, as process 1; the caller waits for it and exits.

    When the caller dies, so does everything behind the fence.

    Raises:
        OSError: the kernel refuses a part of it; names the part.
    """
    _unshare(network=scene.network)
    alive_fd, their_alive_fd = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(alive_fd)
        _wait_for(pid)
    os.close(their_alive_fd)
    _die_with(alive_fd)
    mounts.make_private()
    _raise_root(scene)
    capabilities.keep_only(set(capabilities.BUILDERS.values()))
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)


def _unshare(*, network: bool) -> None:
    kinds = namespaces.MOUNTS | namespaces.SYSTEM_V | namespaces.HOST_NAME | namespaces.PROCESSES
    kinds |= 0 if network else namespaces.NETWORK
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        namespaces.unshare(kinds)
    else:
        namespaces.unshare(kinds | namespaces.USERS)
        namespaces.map_user(NOBODY, NOBODY, uid, gid)


def _wait_for(pid: int) -> NoReturn:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _die_with(alive_fd: int) -> None:
    """Ask for SIGKILL at the parent's death, and end if that was before the asking.

    The parent is outside, so its number says nothing here: it holds a pipe open.
    """
    calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([alive_fd], [], [], 0)[0]:
        os._exit(1)
    os.close(alive_fd)


def _raise_root(scene: Scene) -> None:
    """Put the new root up beside the old one, then let go of that."""
    shown = [item._replace(source=os.path.realpath(item.source)) for item in scene.shown]
    os.umask(0o022)
    mounts.mount_tmpfs(_BASE, size_bytes=_BASE_BYTES, files=_BASE_FILES)
    for name in (_OLD, _NEW):
        Path(_BASE + name).mkdir()
    mounts.pivot_to(_BASE, _BASE + _OLD)
    mounts.mount_tmpfs(_NEW, size_bytes=_BASE_BYTES, files=_BASE_FILES)
    Path(_NEW + TEMPORARY).mkdir()
    mounts.mount_tmpfs(_NEW + TEMPORARY, size_bytes=_BASE_BYTES, files=_BASE_FILES)
    for folder in scene.folders():
        Path(_NEW + folder).mkdir(exist_ok=True)
    for item in shown:
        _show(item)
    for link in scene.links:
        Path(_NEW + link.path).symlink_to(link.target)
    mounts.mount_proc(f"{_NEW}/proc", read_only=False)
    mounts.make_read_only(_NEW)
    os.chdir(_NEW)
    mounts.pivot_to(".", ".")
    mounts.detach(".")


def _show(item: Shown) -> None:
    source, target = _OLD + item.source, _NEW + item.target
    mounts.make_target(Path(source), Path(target))
    attributes = mounts.NO_SUID
    attributes |= 0 if item.is_writable else mounts.READ_ONLY
    attributes |= 0 if item.has_devices else mounts.NO_DEVICES
    mounts.bind(source, target, attributes)

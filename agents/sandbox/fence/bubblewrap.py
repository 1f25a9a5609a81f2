"""A fence that bubblewrap puts up: namespaces and a root of its own around the zygote.

Started by root it needs no namespace of users, so that nothing inside is root outside; started by
anybody else it needs one, which the kernel must allow.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.sandbox.confinement import NOBODY
from agents.sandbox.fence.fence import FenceName
from agents.sandbox.fence.scene import TEMPORARY, Scene, Shown
from agents.sandbox.kernel.capabilities import BUILDERS

_NAMESPACES = ("pid", "ipc", "uts")


class Bubblewrap:
    """Runs the zygote behind `bwrap`.

    Args:
        program: the binary.
        origin: where it is from, for people.
    """

    name: FenceName = "bubblewrap"
    is_none = False
    is_built = True

    def __init__(self, program: Path, origin: str) -> None:
        self._program = program
        self._origin = origin

    def __str__(self) -> str:
        return f"bubblewrap ({self._program}, {self._origin})"

    def wrap(self, command: Sequence[str], scene: Scene) -> list[str]:
        """The command line that runs `command` behind the fence."""
        return [str(self._program), *_isolation(scene), *_files(scene), "--", *command]


def _isolation(scene: Scene) -> Iterator[str]:
    yield from ("--die-with-parent", "--new-session")
    yield from (f"--unshare-{kind}" for kind in _NAMESPACES)
    if not scene.network:
        yield "--unshare-net"
    if os.geteuid() != 0:
        yield from ("--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY))
    yield from ("--cap-drop", "ALL")
    for capability in BUILDERS:
        yield from ("--cap-add", capability)


def _files(scene: Scene) -> Iterator[str]:
    yield from ("--tmpfs", TEMPORARY)  # first, as the workspace may lie in it
    for folder in scene.folders():
        yield from ("--perms", "0755", "--dir", folder)
    for item in scene.shown:
        yield from (_verb(item), item.source, item.target)
    for link in scene.links:
        yield from ("--symlink", link.target, link.path)
    yield from ("--proc", "/proc", "--remount-ro", "/")


def _verb(item: Shown) -> str:
    if item.has_devices:
        return "--dev-bind"
    return "--bind" if item.is_writable else "--ro-bind"

"""What lies behind a fence: everything a job could find there, in the order it is put up."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Self

TEMPORARY = "/tmp"  # noqa: S108  a private one
SHARED_MEMORY = "/dev/shm"  # noqa: S108  and this
# Where a fence and its rooms mount what belongs to no file system of the machine.
MOUNT_POINTS = ("/proc", "/dev", TEMPORARY, SHARED_MEMORY)


class Shown(NamedTuple):
    """A file or tree of the machine that appears behind the fence, read-only unless said."""

    source: str
    target: str
    is_writable: bool = False
    has_devices: bool = False


class Link(NamedTuple):
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A file system of its own, made of parts of the machine's.

    Attributes:
        shown: what is shown, a parent before what lies on it.
        links: symbolic links beside that.
        network: whether the machine's network is there.
    """

    shown: tuple[Shown, ...]
    links: tuple[Link, ...] = ()
    network: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(
            tuple(Shown(*item) for item in data["shown"]),
            tuple(Link(*item) for item in data["links"]),
            data["network"],
        )

    def in_folders(self, folders: Iterable[str], *, programs: bool = False) -> list[str]:
        """What is shown below `folders`, the outermost of each tree; or of that only `programs`."""
        inside = [
            PurePosixPath(item.target)
            for item in self.shown
            if not (programs and item.is_writable)
            and any(PurePosixPath(item.target).is_relative_to(folder) for folder in folders)
        ]
        outermost = (path for path in inside if not any(up in inside for up in path.parents))
        return [str(path) for path in outermost]

    def folders(self) -> list[str]:
        """Folders to make first, parents before children: those that lead to what is shown."""
        shown = {item.target for item in self.shown}
        paths = (*shown, *(link.path for link in self.links), *MOUNT_POINTS)
        leading = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        return sorted((leading | set(MOUNT_POINTS)) - shown - {"/"} - _below(shown, leading))


def _below(shown: set[str], paths: set[str]) -> set[str]:
    """Those of `paths` that exist already, in a tree that is shown."""
    return {
        path
        for path in paths
        if any(str(parent) in shown for parent in PurePosixPath(path).parents)
    }

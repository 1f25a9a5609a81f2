"""What one job sees of the machine, more or less than others do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one job sees that others may not, and does not that others may. Paths are absolute.

    Attributes:
        hidden: folders and files that appear empty and cannot be changed. What is not there when
            the job starts cannot be hidden, nor can another hard link of a hidden file. Below the
            workspace hide what lies at its top: a folder further down could be renamed with the
            folder that it is in, and the next job would find it.
        read_only: shown besides the workspace; in it, it can be read but not changed, and is
            reached over no link.
        writable: folders below hidden ones that stay as they are; made where they are missing.
        gpu: whether the devices of graphics processors are there.
        network: whether the machine's network is there, with all that listens on it.
    """

    hidden: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    gpu: bool = False
    network: bool = False

    def __post_init__(self) -> None:
        for path in (*self.hidden, *self.read_only, *self.writable):
            if not path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
                raise ValueError(f"a view names absolute paths without '..', not {path!r}")

    def __or__(self, other: "View") -> "View":
        """Both views: what either hides, shows or keeps; what `other` hides, this does not show."""
        read_only = tuple(path for path in self.read_only if not _is_below(path, other.hidden))
        writable = tuple(path for path in self.writable if not _is_below(path, other.hidden))
        return View(
            hidden=tuple(dict.fromkeys(self.hidden + other.hidden)),
            read_only=tuple(dict.fromkeys(read_only + other.read_only)),
            writable=tuple(dict.fromkeys(writable + other.writable)),
            gpu=self.gpu or other.gpu,
            network=self.network or other.network,
        )

    def kept(self) -> Iterator[str]:
        """What is shown although it lies below something hidden."""
        for path in (*self.read_only, *self.writable):
            if _is_below(path, self.hidden):
                yield path


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)

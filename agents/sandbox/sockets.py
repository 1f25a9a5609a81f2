"""Sockets by which programs of this machine listen, which a read-only mount does not close."""

from collections.abc import Iterable
from pathlib import Path

_TABLE = Path("/proc/net/unix")


def listening_below(folders: Iterable[str]) -> tuple[str, ...]:
    """Paths of sockets in `folders` that some program has made and that are there now."""
    roots = [Path(folder) for folder in folders]
    try:
        lines = _TABLE.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ()
    paths = {Path(fields[7]) for line in lines[1:] if len(fields := line.split(maxsplit=7)) > 7}  # noqa: PLR2004  the last column is the path
    return tuple(
        sorted(
            str(path)
            for path in paths
            if any(path.is_relative_to(root) for root in roots) and path.exists()
        )
    )

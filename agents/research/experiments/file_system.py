"""Whether other machines can write to a file, too."""

import os
from pathlib import Path

_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2"}
    | {"beegfs", "davfs", "fuse.glusterfs", "fuse.sshfs", "ncpfs", "smb3", "smbfs", "virtiofs"}
)


def is_remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether `path` lies on a file system that machines share; no where that is not known."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    place, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mounted = _unescaped(before.split()[4])
        if len(mounted) >= len(place) and _holds(mounted, os.path.realpath(path)):
            place, kind = mounted, after.split()[0]  # of two at one place, the later one counts
    return kind in _REMOTE


def _holds(mounted: str, path: str) -> bool:
    return path == mounted or path.startswith(f"{mounted.rstrip('/')}/")


def _unescaped(mounted: str) -> str:
    """The kernel writes blanks and the like as octal numbers."""
    for octal in ("040", "011", "012", "134"):
        mounted = mounted.replace(f"\\{octal}", chr(int(octal, 8)))
    return mounted

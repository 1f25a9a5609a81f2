"""Folders that jobs will write to, made by the host before they start."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make `path` with the folders above it; each belongs to whom the folder it is in belongs."""
    if path.exists():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)

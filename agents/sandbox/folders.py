"""Folders that jobs will write to: which may be, and made by the host before they start."""

import os
import pwd
from pathlib import Path

from agents.sandbox.errors import SandboxError

_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)


def require_no_more_than_a_workspace(path: Path) -> None:
    """Refuse a workspace that holds this user's home, or in which the system lies.

    Raises:
        SandboxError: it does; jobs could change the programs and keys of this user.
    """
    homes = [Path(pwd.getpwuid(os.geteuid()).pw_dir)] if _has_name() else []
    if any(holy.is_relative_to(path) for holy in (*homes, *map(Path, _SYSTEM))):
        raise SandboxError(
            f"the workspace {path} holds more than work: jobs could change your settings, keys or "
            "the system there; choose a folder below it"
        )


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def make_folder(path: Path) -> None:
    """Make `path` with the folders above it; each belongs to whom the folder it is in belongs."""
    if path.exists():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)

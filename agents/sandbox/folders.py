"""Folders that jobs will write to: which may be, and made by the host before they start."""

import os
import pwd
from pathlib import Path

from agents.sandbox.environment import search_path
from agents.sandbox.errors import NotShownError, SandboxError
from agents.sandbox.fence.layout import python_trees
from agents.sandbox.kernel.beneath import make_folders

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


def require_no_code_of_the_guild(path: Path) -> None:
    """Refuse a workspace from which this Python would import what a job left there.

    The trees that jobs see read-only may lie in it, as `.venv` does: nobody can move them there.

    Raises:
        SandboxError: the guild's code, or another folder of Python's path, could be changed.
    """
    kept = {tree for tree in python_trees() if tree.parent == path}
    for entry in map(Path, search_path(path)):
        real = entry.resolve()
        if real.is_relative_to(path) and not any(real.is_relative_to(tree) for tree in kept):
            raise SandboxError(
                f"the workspace {path} holds {real}, from which this Python imports: jobs could "
                "change what the guild itself runs next; choose a folder of its own, such as "
                f"{path / 'lab'}"
            )


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def make_folder(path: Path) -> None:
    """Make `path` with the folders above it; each gets the owner of the folder it is in."""
    if path.exists():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)


def make_folder_below(root: Path, path: str) -> None:
    """Make `path` with the folders above it, whatever links jobs have put there.

    Raises:
        NotShownError: it leads out of `root`, or something else has its name.
    """
    if not Path(path).is_relative_to(root):
        make_folder(Path(path))
        return
    try:
        make_folders(root, path)
    except OSError as error:
        raise NotShownError(path, f"cannot be made a folder: {error.strerror}") from error

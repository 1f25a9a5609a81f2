"""As which user jobs run behind a fence, and how that user gets to own the workspace."""

import contextlib
import os
from pathlib import Path

from agents.sandbox.confinement import NOBODY, Confinement
from agents.sandbox.fence.namespaces import enter
from agents.sandbox.kernel import owners

_NOBODY = (NOBODY, NOBODY)


def settle(confinement: Confinement) -> Confinement:
    """Have the fence around this process, and the workspace be the jobs' own.

    What they write there belongs to its owner outside.

    Started by an ordinary user, all is that user's already. Started by root, jobs are nobody, and
    a mapped mount shows nobody as the workspace's owner; where the file system has no such
    mounts, jobs are the workspace's owner.

    Raises:
        OSError: the kernel refuses a part of the fence; names the part.
        PermissionError: the workspace belongs to root, and no job may run as root.
    """
    if confinement.scene is None:
        return confinement
    if not confinement.is_built:
        enter(confinement.scene)
    return _as_owner(confinement) if os.geteuid() == 0 else confinement


def _as_owner(confinement: Confinement) -> Confinement:
    owner = _owner_of(confinement.workspace)
    for path in confinement.read_only:
        with contextlib.suppress(OSError):  # then jobs read there what anybody may
            owners.lay_mapped_over(path, _owner_of(path), _NOBODY)
    try:
        owners.lay_mapped_over(confinement.workspace, owner, _NOBODY)
    except OSError as error:
        if owner[0] == 0:
            raise PermissionError(
                f"the workspace {confinement.workspace} belongs to root, whom no job may be, and "
                f"its file system cannot map owners ({error.strerror}); give the workspace to an "
                "ordinary user with chown -R, or start Guildbus as one"
            ) from error
        return confinement.with_owner(owner)
    return confinement.with_owner(_NOBODY)


def _owner_of(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_uid, status.st_gid

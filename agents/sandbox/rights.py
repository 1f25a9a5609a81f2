"""What a job gives up before the first foreign line runs."""

import os

from agents.sandbox.confinement import Confinement
from agents.sandbox.kernel import bpf, call_filter, calls, capabilities, landlock
from agents.sandbox.room import TEMPORARY_FOLDERS


def give_up(confinement: Confinement, writable: tuple[str, ...]) -> None:
    """Be an ordinary user without any of root's power, and do without many system calls.

    Raises:
        OSError: the kernel refuses; the job must not run.
    """
    if confinement.owner is not None:
        uid, gid = confinement.owner
        os.setgroups([])
        capabilities.bound(set())
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    capabilities.keep_only(set())
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    kept = filter(os.path.isdir, writable)  # a file that is kept is there to be read
    folders = (confinement.workspace, "/dev", *TEMPORARY_FOLDERS, *kept)
    landlock.restrict_writing(folders, landlock.version())
    bpf.install(call_filter.program())

"""`python -m agents.sandbox.fence.probe CONFINEMENT`: whether a job could be kept in here.

Does all that is done for a job but the job, and says what the kernel refused.
"""

import os
import sys
from typing import NoReturn

from agents.sandbox import rights, room
from agents.sandbox.confinement import Confinement
from agents.sandbox.kernel import namespaces
from agents.sandbox.limits import Limits
from agents.sandbox.settling import settle


def main() -> None:
    try:
        confinement = settle(Confinement.from_json(sys.argv[1]))
        own_fd = os.open("/proc/self/ns/pid", os.O_RDONLY)
        pid = namespaces.fork_into_new_processes(own_fd)
    except OSError as error:
        raise SystemExit(str(error)) from None
    if pid == 0:
        _be_a_job(confinement)
    _, status = os.waitpid(pid, 0)
    raise SystemExit(os.waitstatus_to_exitcode(status))


def _be_a_job(confinement: Confinement) -> NoReturn:
    try:
        room.build(confinement, Limits(), hidden=(), kept=())
        rights.give_up(confinement, writable=())
        os.listdir(confinement.workspace)  # noqa: PTH208  whether it may be entered
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()

"""`python -m tests.sandbox.without_namespaces`: what the doctor says where no user may make them.

Imitates such a machine in a namespace of users whose limit is none, as a user who is not root.
"""

import os
import sys
from pathlib import Path

from agents.sandbox.kernel import namespaces

USER = 4321
_LOOK = "from agents.sandbox.doctor import look; print(*look(), sep='\\n')"


def main() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        namespaces.unshare(namespaces.USERS)
        namespaces.map_user(USER, USER, uid, gid)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    except OSError as error:
        raise SystemExit(f"such a machine cannot be imitated: {error}") from None
    os.execv(sys.executable, [sys.executable, "-P", "-c", _LOOK])


if __name__ == "__main__":
    main()

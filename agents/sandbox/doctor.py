"""What `guildbus doctor` says of the sandbox."""

import os

from agents.sandbox.errors import NoFenceError
from agents.sandbox.fence.choice import choose_fence
from agents.sandbox.kernel import landlock


def look() -> tuple[str, str]:
    """Which fence foreign code would be behind on this machine, or what is missing for one."""
    try:
        fence = choose_fence()
    except NoFenceError as error:
        return "missing", str(error)
    offered = landlock.version()
    lock = f"Landlock {offered}" if offered else "no Landlock in this kernel"
    users = "as root" if os.geteuid() == 0 else "as an ordinary user"
    return "ok", f"{fence}, {users}; {lock}, seccomp"

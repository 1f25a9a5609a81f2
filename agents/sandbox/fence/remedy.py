"""What the operator of a machine without a fence can do, found in the machine's own settings.

Behind the fence each job gets namespaces of its own, so bubblewrap alone is not enough: what it
starts must keep its capabilities, which a profile that takes them from its children prevents.
"""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

_SYSTEM_PROGRAM = "/usr/bin/bwrap"
_WITHOUT = "in the properties of research.jobs it gives foreign code all the rights of this user"


def remedy(root: Path = Path("/")) -> str:
    """What to do, as commands where it is known; `root` is where the machine's files lie."""
    missing = list(_missing(root)) or ["install bubblewrap (apt install bubblewrap)"]
    also = "; and on its host, " if _is_in_a_container(root) else "; and "
    return f"To have one, {also.join(missing)}. To go without, set 'fence: none': {_WITHOUT}"


def _missing(root: Path) -> Iterator[str]:
    """What keeps namespaces from being made here, as what to do about it."""
    is_root = os.geteuid() == 0
    if _is_in_a_container(root):
        yield _container(is_root=is_root)
    if is_root:  # needs no namespace of users
        return
    settings = root / "proc" / "sys"
    if _value(settings / "kernel" / "apparmor_restrict_unprivileged_userns") == "1":
        yield _profile(root)
    if _value(settings / "kernel" / "unprivileged_userns_clone") == "0":
        yield "run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _value(settings / "user" / "max_user_namespaces") == "0":
        yield "run: sudo sysctl -w user.max_user_namespaces=10000"


def _profile(root: Path) -> str:
    """Since Ubuntu 23.10: only programs with a profile that says so make namespaces of users."""
    on_path = shutil.which("bwrap")
    program = os.path.realpath(on_path or _SYSTEM_PROGRAM)
    steps = [] if on_path else ["sudo apt install bubblewrap"]
    restricting = root / "etc" / "apparmor.d" / "bwrap-userns-restrict"
    if restricting.exists():  # since Ubuntu 25.04; takes capabilities from what bwrap starts
        steps += [
            f"sudo ln -s {restricting} /etc/apparmor.d/disable/",
            f"sudo apparmor_parser -R {restricting}",
        ]
    profile = f'abi <abi/4.0>, profile guildbus-bwrap "{program}" flags=(unconfined) {{ userns, }}'
    file = "/etc/apparmor.d/guildbus-bwrap"
    steps.append(f"echo {shlex.quote(profile)} | sudo tee {file}")
    steps.append(f"sudo apparmor_parser -r {file}")
    return "have AppArmor let bubblewrap make namespaces: " + " && ".join(steps)


def _container(*, is_root: bool) -> str:
    options = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    options += " --security-opt systempaths=unconfined"
    if is_root:
        options += " --cap-add SYS_ADMIN --cap-add NET_ADMIN"
    return f"start this container with {options} (Podman: unmask=ALL for systempaths=unconfined)"


def _is_in_a_container(root: Path) -> bool:
    return any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv"))


def _value(setting: Path) -> str:
    try:
        return setting.read_text().strip()
    except OSError:
        return ""

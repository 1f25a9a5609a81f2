"""Throw-away namespaces in which everything may be attacked, as nothing there is real."""

import fcntl
import os
import shutil
import signal
import socket
import struct
from pathlib import Path

from agents.sandbox.kernel import calls, mounts, namespaces
from tests.sandbox.attacks.attack import KEYS_OF_ROOT

ARENA = Path("/tmp/arena")
USER = 4321  # an ordinary one
_MARK = Path("/run/guildbus-stage")
_LEFT_ALONE = {"proc", "sys", "dev", "run"}
_SIOCSIFADDR = 0x8916
_EXITING = 0x4  # PF_EXITING among the flags of a process


def enter(secret: str, *, as_root: bool) -> None:
    """Return in a child that sees the machine under overlays, alone, as root or as a user.

    Raises:
        OSError: this machine cannot do that.
    """
    kinds = namespaces.MOUNTS | namespaces.PROCESSES | namespaces.NETWORK
    kinds |= namespaces.SYSTEM_V | namespaces.HOST_NAME
    if os.geteuid() == 0:
        namespaces.unshare(kinds)
    else:
        uid, gid = os.geteuid(), os.getegid()
        namespaces.unshare(kinds | namespaces.USERS)
        namespaces.map_user(0, 0, uid, gid)
    _follow(os.fork())
    calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    mounts.make_private()
    mounts.mount_proc("/proc", read_only=False)
    _cover()
    namespaces.raise_loopback()
    _have_address("lo:1", "169.254.169.254")
    _hide(secret)
    _follow(os.fork())  # process 1 buries; the child attacks
    if not as_root:
        Path("/root").chmod(0o711)
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        os.environ["HOME"] = "/nonexistent"
        calls.prctl(calls.PR_SET_DUMPABLE, 1)


def require() -> None:
    """Refuse to go on anywhere but here."""
    assert _MARK.exists(), "attacks without a sandbox run on a stage alone"


def others() -> list[str]:
    """Every process on the stage that goes on, but process 1 and this one.

    One that was killed has no command line any more while it is on its way out.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in {1, os.getpid()}:
            try:
                command = (entry / "cmdline").read_text().replace("\0", " ")[:100]
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if stat[0] not in {"Z", "X"} and not int(stat[6]) & _EXITING:
                    found.append(command or f"process {entry.name}, which shows no command")
            except OSError:
                continue
    return found


def _follow(pid: int) -> None:
    """As the parent, end as the child does."""
    if pid == 0:
        return
    while True:
        ended, status = os.wait()
        if ended == pid:
            os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def _cover() -> None:
    calls.libc("mount", b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755")
    upper = _MARK
    upper.mkdir()
    for folder in sorted(Path("/").iterdir()):
        if folder.is_symlink() or not folder.is_dir() or folder.name in _LEFT_ALONE:
            continue
        for name in ("upper", "work"):
            (upper / folder.name / name).mkdir(parents=True)
        shutil.copystat(folder, upper / folder.name / "upper")
        options = f"lowerdir={folder},upperdir={upper}/{folder.name}/upper"
        options += f",workdir={upper}/{folder.name}/work"
        try:
            calls.libc("mount", b"overlay", os.fsencode(folder), b"overlay", 0, options.encode())
        except OSError as error:
            raise OSError(error.errno, f"{folder} cannot be covered") from error
    ARENA.mkdir()
    for folder in (b"/dev/shm", os.fsencode(ARENA)):
        calls.libc("mount", b"tmpfs", folder, b"tmpfs", 0, b"mode=1777")


def _hide(secret: str) -> None:
    """Put the secret where secrets are."""
    Path("/etc/shadow").write_text(secret)
    Path("/etc/shadow").chmod(0o644)
    KEYS_OF_ROOT.mkdir(exist_ok=True)
    (KEYS_OF_ROOT / "id_ed25519").write_text(secret)


def _have_address(name: str, address: str) -> None:
    family = struct.pack("=H2s4s8x", socket.AF_INET, b"", socket.inet_aton(address))
    request = struct.pack("16s16s8x", name.encode(), family)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFADDR, request)

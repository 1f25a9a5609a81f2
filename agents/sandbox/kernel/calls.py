"""Call libc and the kernel by name or number; a failure is an OSError that names the call."""

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "capset": 91, "seccomp": 277},
}
# Since Linux 5.1 a new call has one number on every architecture.
_COMMON_NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47


def libc(name: str, *arguments: object) -> int:
    """Call a function of libc that answers -1 and sets errno when it fails."""
    return _checked(name, getattr(_libc, name)(*arguments))


def system_call(name: str, *arguments: object) -> int:
    """Make a system call that libc may have no function for.

    Raises:
        OSError: it failed; ENOSYS where this kernel or architecture lacks it.
    """
    numbers = _COMMON_NUMBERS | _NUMBERS.get(platform.machine(), {})
    number = ctypes.c_long(numbers.get(name, -1))
    return _checked(name, _libc.syscall(number, *map(_widened, arguments)))


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _checked(f"prctl({option})", _libc.prctl(option, *padded))


def _widened(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, answer: int) -> int:
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return answer

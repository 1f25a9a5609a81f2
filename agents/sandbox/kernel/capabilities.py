"""Parts of root's power that a process holds."""

import contextlib
import ctypes

from agents.sandbox.kernel import calls

# What it takes to build a room for a job, enter it, and give everything up.
BUILDERS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_ADMIN": 21,
}
_VERSION_3 = 0x2008_0522
_AMBIENT_CLEAR_ALL = 4
_HIGHEST = 63


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_only(kept: set[int]) -> None:
    """Give up every other capability, for this process and whatever it starts."""
    bound(kept)
    hold(kept)


def bound(kept: set[int]) -> None:
    """Let no program started from here on, set-uid or not, gain more than `kept`."""
    for capability in range(_HIGHEST + 1):
        if capability not in kept:
            with contextlib.suppress(OSError):  # this kernel has no such one, or it is gone
                calls.prctl(calls.PR_CAPBSET_DROP, capability)
    calls.prctl(calls.PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def hold(kept: set[int]) -> None:
    """Have `kept` and no other; programs started from here on have none of them."""
    mask = sum(1 << capability for capability in kept)
    low, high = mask & 0xFFFF_FFFF, mask >> 32
    words = (_Words * 2)(_Words(low, low, 0), _Words(high, high, 0))
    header = _Header(_VERSION_3, 0)
    calls.system_call("capset", ctypes.byref(header), words)

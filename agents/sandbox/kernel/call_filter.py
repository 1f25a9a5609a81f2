"""The system calls that a job does without.

Refused is what reaches other processes, mounts, namespaces, the clock, the kernel's own code and
its less trodden interfaces. Everything that ordinary programs need stays.
"""

import errno
import platform

from agents.sandbox.kernel.bpf import Check, Line, assemble, refuse

_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
# Linux 6.13 ends before this one. What came later is unknown to this list, so it is not there.
_FIRST_UNKNOWN = 467

# Numbers by name: x86-64, then 64-bit ARM; None where the architecture never had the call.
_REFUSED: dict[str, tuple[int, int | None]] = {
    # other processes
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    # mounts and namespaces
    "chroot": (161, 51),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "setns": (308, 268),
    "umount2": (166, 39),
    "unshare": (272, 97),
    # keys, which belong to no namespace
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "request_key": (249, 218),
    # the kernel itself
    "acct": (163, 89),
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "perf_event_open": (298, 241),
    "reboot": (169, 142),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "userfaultfd": (323, 282),
    # clocks, names, terminals, ports
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "ioperm": (173, None),
    "iopl": (172, None),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "vhangup": (153, 58),
}
# Memory that no limit counts: files without a name, and System V's.
_ABSENT: dict[str, tuple[int, int | None]] = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
    # Its flags lie behind a pointer. Told that there is no such call, libc uses `clone`.
    "clone3": (435, 435),
}
# Calls that set a mode, and which of their arguments it is. On the disk a file may be root's.
_MODES: dict[str, tuple[tuple[int, int | None], int]] = {
    "chmod": ((90, None), 1),
    "fchmod": ((91, 52), 1),
    "fchmodat": ((268, 53), 2),
    "fchmodat2": ((452, 452), 2),
    "mknod": ((133, None), 1),
    "mknodat": ((259, 33), 2),
}
_CLONE = (56, 220)
_IOCTL = (16, 29)
_SOCKET = (41, 198)
_SOCKET_PAIR = (53, 199)

_NEW_NAMESPACES = 0x7E02_0080
_OTHERS_RIGHTS = 0o6000  # set-uid and set-gid; kernels take them off a file that is written to
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16


def program() -> bytes:
    """The filter for this machine's architecture.

    Raises:
        OSError: ENOSYS, there is none.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    return assemble(_ARCHITECTURES[machine], _FIRST_UNKNOWN, _rules(machine), errno.ENOSYS)


def _rules(machine: str) -> list[Line]:
    column = list(_ARCHITECTURES).index(machine)
    lines: list[Line] = []
    for error, table in ((errno.EPERM, _REFUSED), (errno.ENOSYS, _ABSENT)):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                lines += refuse(number, error)
    for numbers, argument in _MODES.values():
        number = numbers[column]
        if number is not None:
            check = Check(argument, (0,), mask=_OTHERS_RIGHTS, refuses_others=True)
            lines += refuse(number, errno.EPERM, check)
    ordinary = Check(0, (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK), refuses_others=True)
    no_namespace = Check(0, (0,), mask=_NEW_NAMESPACES, refuses_others=True)
    typing_for_others = Check(1, (_TIOCSTI, _TIOCLINUX))
    lines += refuse(_CLONE[column], errno.EPERM, no_namespace)
    lines += refuse(_IOCTL[column], errno.EPERM, typing_for_others)
    lines += refuse(_SOCKET[column], errno.EAFNOSUPPORT, ordinary)
    lines += refuse(_SOCKET_PAIR[column], errno.EAFNOSUPPORT, ordinary)
    return lines

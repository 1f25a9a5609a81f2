"""Attacks on the kernel: its mounts, namespaces, settings and less trodden interfaces."""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import socket
import stat
import time
from functools import partial
from pathlib import Path

from agents.sandbox.kernel import calls, mounts, namespaces
from tests.sandbox.attacks.attack import Target, Unsupported, add_attack, attack

_X86 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)
_SIGCHLD = 17


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if answer < 0:
        code = ctypes.get_errno()
        if code == errno.ENOSYS and not _is_confined():
            raise Unsupported(f"system call {number}")
        raise OSError(code, f"system call {number}: {os.strerror(code)}")
    return answer


def _is_confined() -> bool:
    return "Seccomp:\t2" in Path("/proc/self/status").read_text()


def _is_heard(number: int, *arguments: object, said: int) -> bool:
    """Whether the kernel takes the call seriously enough to say what is wrong with it."""
    try:
        _call(number, *arguments)
    except OSError as error:
        if error.errno == said:
            return True
        raise
    return True


def _call_number(x86: int, arm: int) -> int:
    return x86 if _X86 else arm


for _name, _kind in {
    "users": namespaces.USERS,
    "mounts": namespaces.MOUNTS,
    "network": namespaces.NETWORK,
    "processes": namespaces.PROCESSES,
    "host_name": namespaces.HOST_NAME,
}.items():

    def _unshare(kind: int, t: Target) -> bool:
        namespaces.unshare(kind)
        return True

    add_attack(f"have_own_namespace_of_{_name}", partial(_unshare, _kind))


@attack()
def clone_into_a_namespace_of_users(t: Target) -> bool:
    pid = _call(_call_number(56, 220), namespaces.USERS | _SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attack()
def clone3_into_a_namespace_of_users(t: Target) -> bool:
    arguments = (ctypes.c_uint64 * 8)(namespaces.USERS, 0, 0, 0, _SIGCHLD, 0, 0, 0)
    pid = _call(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attack()
def enter_another_namespace(t: Target) -> bool:
    fd = os.open("/proc/1/ns/uts", os.O_RDONLY)
    namespaces.enter(fd, namespaces.HOST_NAME)
    return True


@attack()
def mount_a_file_system(t: Target) -> bool:
    Path(t.name).mkdir()
    mounts.mount_tmpfs(t.name, size_bytes=4096, files=8)
    return True


@attack()
def mount_proc_again(t: Target) -> bool:
    Path(t.name).mkdir()
    mounts.mount_proc(t.name, read_only=False)
    return True


@attack()
def bind_a_folder(t: Target) -> bool:
    Path(t.name).mkdir()
    mounts.bind("/usr", t.name)
    return True


@attack()
def unmount_something(t: Target) -> bool:
    mounts.detach("/proc")
    return True


@attack()
def make_everything_writable(t: Target) -> bool:
    calls.libc("mount", None, b"/", None, ctypes.c_ulong(0x20 | 0x1000), None)
    return True


@attack()
def clone_a_tree_of_mounts(t: Target) -> bool:
    return mounts.clone_tree("/usr") > 0


@attack()
def change_a_mount(t: Target) -> bool:
    size = 32
    attributes = (ctypes.c_uint64 * 4)(0, 0, 0, 0)
    calls.system_call("mount_setattr", -100, b"/", 0, ctypes.byref(attributes), size)
    return True


@attack()
def open_a_file_system(t: Target) -> bool:
    return _call(430, b"tmpfs", 0) > 0


@attack()
def change_the_root(t: Target) -> bool:
    Path(t.name).mkdir()
    os.chroot(t.name)
    return True


@attack()
def pivot_the_root(t: Target) -> bool:
    return _is_heard(_call_number(155, 41), b".", b".", said=errno.EINVAL)


@attack()
def open_by_handle(t: Target) -> bool:
    Path(t.name).touch()
    handle = ctypes.create_string_buffer(136)
    handle[0:4] = (128).to_bytes(4, "little")  # type: ignore[assignment]
    mount_id = ctypes.c_int()
    numbers = (303, 304) if _X86 else (264, 265)
    _call(numbers[0], -100, t.name.encode(), handle, ctypes.byref(mount_id), 0)
    folder = os.open(".", os.O_RDONLY)
    return _call(numbers[1], folder, handle, os.O_RDONLY) > 0


@attack()
def load_a_program_into_the_kernel(t: Target) -> bool:
    return _is_heard(_call_number(321, 280), 0, ctypes.c_void_p(0), 0, said=errno.EINVAL)


@attack()
def count_events_of_the_machine(t: Target) -> bool:
    attributes = ctypes.create_string_buffer(128)
    attributes[0:8] = b"\x01\0\0\0\x80\0\0\0"  # type: ignore[assignment]  # software, 128 bytes
    return _call(_call_number(298, 241), attributes, 0, -1, -1, 0) > 0


@attack()
def handle_page_faults(t: Target) -> bool:
    return _call(_call_number(323, 282), os.O_CLOEXEC) > 0


@attack()
def use_the_rings(t: Target) -> bool:
    parameters = ctypes.create_string_buffer(120)
    return _call(425, 4, parameters) > 0


@attack()
def keep_a_key(t: Target) -> bool:
    return _call(_call_number(248, 217), b"user", t.name.encode(), b"x", 1, -1) > 0


@attack()
def ask_for_a_key(t: Target) -> bool:
    return _is_heard(
        _call_number(249, 218), b"user", t.name.encode(), ctypes.c_void_p(0), 0, said=errno.ENOKEY
    )


@attack()
def read_the_keyring(t: Target) -> bool:
    return _call(_call_number(250, 219), 0, -4, 0) > 0


@attack()
def have_memory_without_a_file(t: Target) -> bool:
    return os.memfd_create("x") > 0


@attack()
def have_secret_memory(t: Target) -> bool:
    return _call(447, 0) > 0


@attack()
def load_a_module(t: Target) -> bool:
    return _is_heard(_call_number(175, 105), b"no module", 9, b"", said=errno.ENOEXEC)


@attack()
def unload_a_module(t: Target) -> bool:
    return _is_heard(_call_number(176, 106), b"no_such_module", 0o4000, said=errno.ENOENT)


@attack()
def replace_the_kernel(t: Target) -> bool:
    number = _call_number(246, 104)
    return _is_heard(number, 0, 100_000, ctypes.c_void_p(0), 0, said=errno.EINVAL)


@attack()
def swap_to_a_file(t: Target) -> bool:
    return _is_heard(_call_number(167, 224), b"no-such-file", 0, said=errno.ENOENT)


@attack()
def keep_accounts(t: Target) -> bool:
    return _is_heard(_call_number(163, 89), b"no-such-file", said=errno.ENOENT)


@attack()
def watch_all_files(t: Target) -> bool:
    return _call(_call_number(300, 262), 0, 0) > 0


@attack()
def read_the_log_of_the_kernel(t: Target) -> bool:
    return calls.libc("klogctl", 10, None, 0) > 0


@attack()
def reach_for_the_ports(t: Target) -> bool:
    if not _X86:
        raise Unsupported("ports")
    return _call(172, 3) == 0


@attack()
def change_segments(t: Target) -> bool:
    if not _X86:
        raise Unsupported("segments")
    return _call(154, 0, ctypes.create_string_buffer(64), 64) >= 0


@attack()
def have_predictable_addresses(t: Target) -> bool:
    return _call(_call_number(135, 92), 0x0040000) >= 0


@attack()
def set_the_time_zone_of_the_kernel(t: Target) -> bool:
    zone = (ctypes.c_int * 2)()
    _libc.syscall(_call_number(96, 169), None, ctypes.byref(zone))
    return _call(_call_number(164, 170), None, ctypes.byref(zone)) == 0


@attack()
def tune_the_clock(t: Target) -> bool:
    timex = ctypes.create_string_buffer(256)
    _libc.syscall(_call_number(159, 171), timex)  # as it is
    timex[0:4] = (0x0010).to_bytes(4, "little")  # type: ignore[assignment]  # the status, unchanged
    return _call(_call_number(159, 171), timex) >= 0


@attack()
def rename_the_machine(t: Target) -> bool:
    socket.sethostname(socket.gethostname())
    return True


@attack()
def type_for_somebody_else(t: Target) -> bool:
    _, terminal = os.openpty()
    fcntl.ioctl(terminal, 0x5412, b"x")
    return True


@attack()
def have_system_v_memory(t: Target) -> bool:
    return _call(_call_number(29, 194), 0, 4096, 0o1600) >= 0


@attack()
def have_a_system_v_queue(t: Target) -> bool:
    return _call(_call_number(68, 186), 0, 0o1600) >= 0


@attack()
def read_system_v_memory_of_others(t: Target) -> str:
    segment = _call(_call_number(29, 194), t.shm_key, 0, 0)
    _libc.shmat.restype = ctypes.c_void_p
    return ctypes.string_at(_libc.shmat(segment, None, 0)).decode()


def _write_as_it_is(path: str, t: Target) -> bool:
    if not Path(path).exists():
        raise Unsupported(path)
    text = Path(path).read_text()
    with Path(path).open("w") as file:
        file.write(text)
    return True


def _open_to_write(path: str, t: Target) -> bool:
    if not Path(path).exists():
        raise Unsupported(path)
    os.close(os.open(path, os.O_WRONLY))
    return True


for _name, _path in {
    "core_pattern": "/proc/sys/kernel/core_pattern",
    "the_limit_of_processes": "/proc/sys/kernel/pid_max",
    "modprobe": "/proc/sys/kernel/modprobe",
}.items():
    add_attack(f"write_{_name}", partial(_write_as_it_is, _path))
for _name, _path in {
    "sysrq": "/proc/sysrq-trigger",
    "drop_caches": "/proc/sys/vm/drop_caches",
    "huge_pages": "/sys/kernel/mm/transparent_hugepage/enabled",
    "the_log": "/dev/kmsg",
    "memory": "/dev/mem",
    "user_file_systems": "/dev/fuse",
    "terminals": "/dev/ptmx",
}.items():
    add_attack(f"open_{_name}_to_write", partial(_open_to_write, _path))


@attack()
def read_a_disk(t: Target) -> bool:
    for path in Path("/dev").iterdir():
        if stat.S_ISBLK(path.stat().st_mode):
            os.close(os.open(path, os.O_RDONLY))
            return True
    raise Unsupported("no disk to be seen")


@attack()
def read_addresses_of_the_kernel(t: Target) -> bool:
    with Path("/proc/kallsyms").open() as lines:
        return int(next(lines).split()[0], 16) != 0


@attack()
def make_a_control_group(t: Target) -> bool:
    for path in Path("/sys/fs/cgroup").glob("**/cgroup.procs"):
        folder = path.parent / t.name
        folder.mkdir()
        folder.rmdir()
        return True
    raise Unsupported("no control groups")


@attack()
def be_root(t: Target) -> bool:
    os.setuid(0)
    return os.getuid() == 0


@attack()
def be_somebody_else(t: Target) -> bool:
    os.setresgid(1, 1, 1)
    os.setresuid(1, 1, 1)
    return os.getuid() == 1


@attack()
def be_in_another_group(t: Target) -> bool:
    os.setgroups([0, 1])
    return True


def _require_resources() -> None:
    """Root itself lacks this capability on some machines."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:\t")[2].split()[0], 16)
    if not (_is_confined() or effective & 1 << 24):
        raise Unsupported("CAP_SYS_RESOURCE")


@attack()
def be_the_last_to_be_killed(t: Target) -> bool:
    _require_resources()
    Path("/proc/self/oom_score_adj").write_text("-1000")
    return True


@attack()
def have_more_than_a_share(t: Target) -> bool:
    before = os.nice(0)
    return os.nice(-5) < before


@attack()
def have_the_processor_first(t: Target) -> bool:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


@attack()
def raise_own_limits(t: Target) -> bool:
    _require_resources()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    return True


@attack()
def set_a_clock_to_itself(t: Target) -> bool:
    """Of a clock that cannot be set: who may not set clocks hears that first."""
    return _is_heard(
        _call_number(227, 112), time.CLOCK_MONOTONIC, (ctypes.c_long * 2)(), said=errno.EINVAL
    )

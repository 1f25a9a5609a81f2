"""Attacks on files outside the workspace: to read, change or plant them."""

import io
import os
import pickle
import shutil
import site
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import agents
from tests.sandbox.attacks.attack import KEYS_OF_ROOT, Target, add_attack, attack


@attack()
def read_by_its_path(t: Target) -> str:
    return Path(t.secret).read_text()


@attack()
def read_by_dot_dot(t: Target) -> str:
    return Path("../" * 30 + t.secret.lstrip("/")).read_text()


@attack()
def read_by_a_symbolic_link(t: Target) -> str:
    Path(t.name).symlink_to(t.secret)
    return Path(t.name).read_text()


@attack()
def read_by_a_link_to_a_folder(t: Target) -> str:
    Path(t.name).symlink_to("/")
    return (Path(t.name) / t.secret.lstrip("/")).read_text()


@attack()
def read_by_a_hard_link(t: Target) -> str:
    Path(t.name).hardlink_to(t.secret)
    return Path(t.name).read_text()


@attack()
def read_by_own_root(t: Target) -> str:
    return Path(f"/proc/self/root{t.secret}").read_text()


@attack()
def read_by_root_of_process_1(t: Target) -> str:
    return Path(f"/proc/1/root{t.secret}").read_text()


@attack()
def read_by_roots_of_all_processes(t: Target) -> str:
    return _all_of(f"/proc/*/root{t.secret}")


@attack()
def read_by_root_of_a_thread(t: Target) -> str:
    return _all_of(f"/proc/[0-9]*/task/[0-9]*/root{t.secret}")


@attack()
def read_by_working_folders(t: Target) -> str:
    return _all_of("/proc/*/cwd/" + "../" * 30 + t.secret.lstrip("/"))


@attack()
def read_by_descriptors_of_others(t: Target) -> str:
    return _all_of("/proc/[0-9]*/fd/*")


@attack()
def read_by_inherited_descriptors(t: Target) -> str:
    return _all_of("/proc/self/fd/*")


@attack()
def read_by_a_descriptor_of_the_root(t: Target) -> str:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    return _read_fd(os.open(t.secret.lstrip("/"), os.O_RDONLY, dir_fd=root))


@attack()
def read_by_a_child_of_a_shell(t: Target) -> str:
    shell = ["/bin/sh", "-c", 'cat "$1"', "sh", t.secret]
    return subprocess.run(shell, capture_output=True, text=True, check=False).stdout


@attack()
def read_by_mapped_files(t: Target) -> str:
    return _all_of("/proc/[0-9]*/map_files/*")


@attack()
def read_environments(t: Target) -> str:
    return _all_of("/proc/[0-9]*/environ")


@attack()
def read_command_lines(t: Target) -> str:
    return _all_of("/proc/[0-9]*/cmdline")


@attack()
def read_the_shadow_file(t: Target) -> str:
    return Path("/etc/shadow").read_text()


@attack()
def read_home_folders(t: Target) -> str:
    return _all_of(f"{KEYS_OF_ROOT}/*") + _all_of("/home/*/.ssh/*")


@attack()
def read_the_shared_memory_of_the_machine(t: Target) -> str:
    return _all_of("/dev/shm/*")


@attack()
def read_the_temporary_files_of_the_machine(t: Target) -> str:
    return _all_of("/tmp/*") + _all_of("/var/tmp/*")


@attack()
def read_the_guild_s_own_state(t: Target) -> str:
    return _all_of(".guildbus/*")


@attack()
def read_after_breaking_out_of_chroot(t: Target) -> str:
    Path(t.name).mkdir()
    root = os.open(".", os.O_RDONLY)
    os.chroot(t.name)
    os.fchdir(root)
    os.chdir("../" * 30)
    os.chroot(".")
    return Path(t.secret).read_text()


@attack(alone=True)
def read_by_winning_a_race(t: Target) -> str:
    """Swap a link under the feet of whoever checks before it opens."""
    Path("honest").write_text("nothing")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for goal in ("honest", t.secret):
                Path(f"{t.name}.new").symlink_to(goal)
                Path(f"{t.name}.new").replace(t.name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    for _ in range(2000):
        try:
            seen.add(Path(t.name).read_text())
        except OSError:
            continue
    stop.set()
    swapping.join()
    return "".join(seen)


@attack()
def write_over(t: Target) -> None:
    Path(t.file).write_text("changed")


@attack()
def write_at_the_end(t: Target) -> None:
    with Path(t.file).open("a") as file:
        file.write("changed")


@attack()
def write_through_a_link(t: Target) -> None:
    Path(t.name).symlink_to(t.file)
    Path(t.name).write_text("changed")


@attack()
def write_through_own_root(t: Target) -> None:
    Path(f"/proc/self/root{t.file}").write_text("changed")


@attack()
def truncate(t: Target) -> None:
    os.truncate(t.file, 0)


@attack()
def delete(t: Target) -> None:
    Path(t.file).unlink()


@attack()
def delete_the_folder(t: Target) -> None:
    shutil.rmtree(t.folder)


@attack()
def rename_away(t: Target) -> None:
    Path(t.file).rename(t.file + ".gone")


@attack()
def replace_by_own(t: Target) -> None:
    Path(t.name).write_text("changed")
    Path(t.name).replace(t.file)


@attack()
def change_the_mode(t: Target) -> None:
    Path(t.file).chmod(0o777)


@attack()
def change_the_owner(t: Target) -> None:
    os.chown(t.file, 12345, 12345)


@attack()
def change_the_time(t: Target) -> None:
    os.utime(t.file, (0, 0))


@attack()
def make_a_folder(t: Target) -> None:
    Path(t.folder, "new").mkdir()


@attack()
def make_a_link(t: Target) -> None:
    Path(t.folder, "new").symlink_to("/")


@attack()
def make_a_pipe(t: Target) -> None:
    os.mkfifo(f"{t.folder}/new")


@attack()
def make_a_device(t: Target) -> bool:
    os.mknod(t.name, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    return True


@attack()
def make_a_program_of_root_s(t: Target) -> bool:
    shutil.copy("/bin/true", t.name)
    os.chown(t.name, 0, 0)
    Path(t.name).chmod(0o4755)
    return True


@attack()
def unpack_out_of_the_folder(t: Target) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(f"{t.folder}/new"))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall("/", filter="fully_trusted")


@attack()
def unzip_by_links_out_of_the_folder(t: Target) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{t.name}/new", "changed")
    Path(t.name).symlink_to(t.folder)
    zipfile.ZipFile(packed).extractall(".")


class _Pickled:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return os.mkdir, (self._path,)


@attack()
def load_a_pickle_that_acts(t: Target) -> None:
    pickle.loads(pickle.dumps(_Pickled(f"{t.folder}/new")))


@attack()
def load_arrays_that_act(t: Target) -> None:
    import numpy as np  # noqa: PLC0415  other attacks need not wait for it

    np.save(f"{t.name}.npy", np.array([_Pickled(f"{t.folder}/new")], dtype=object))
    np.load(f"{t.name}.npy", allow_pickle=True)


PLACES = {
    "settings": "/etc",
    "programs": "/usr/local/bin",
    "libraries": site.getsitepackages()[0],
    "python": str(Path(os.__file__).parent),
    "this_package": str(Path(agents.__file__).parent),
    "compiled_code": str(Path(os.__file__).parent / "__pycache__"),
    "the_user_s_settings": "/root",
    "temporary_files": "/tmp",
    "shared_memory": "/dev/shm",
    "timers": "/var/spool",
    "run_files": "/run",
    "environment": sys.prefix,
}


def _plant(place: str, t: Target) -> None:
    Path(place, t.name).write_text("planted")


for _name, _place in PLACES.items():
    add_attack(f"plant_in_{_name}", partial(_plant, _place))


def _all_of(pattern: str) -> str:
    """Everything that can be read there, of files that do not block."""
    texts = []
    for path in Path("/").glob(pattern.lstrip("/")) if pattern[0] == "/" else Path().glob(pattern):
        try:
            if path.is_file():
                texts.append(_read_fd(os.open(path, os.O_RDONLY | os.O_NONBLOCK)))
        except OSError:
            continue
    return "\n".join(texts)


def _read_fd(fd: int) -> str:
    try:
        return os.pread(fd, 65536, 0).decode(errors="replace")
    except OSError:
        return os.read(fd, 65536).decode(errors="replace")
    finally:
        os.close(fd)

"""Which parts of this machine a job gets to see: programs and Python, its workspace, no more."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from agents.sandbox.fence.scene import Link, Scene, Shown
from agents.sandbox.view import View

_PROGRAMS = ("/usr", "/nix/store", "/gnu/store")
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Of /etc only what programs need to start, to tell the time and to draw text.
_SETTINGS = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")
_NETWORK_SETTINGS = ("ca-certificates", "pki", "resolv.conf", "ssl")
_MADE_SETTINGS = ("group", "hosts", "nsswitch.conf", "passwd")
_DEVICES = ("full", "null", "random", "urandom", "zero")
_GPU_DEVICES = ("nvidia*", "kfd", "dri", "dxg")
_PROCESSORS = ("/sys/devices/system/cpu", "/sys/devices/system/node")
_STREAMS = ("fd", "fd/0", "fd/1", "fd/2")
_STREAM_NAMES = ("fd", "stdin", "stdout", "stderr")
_PACKAGES = ("agents", "guild", "messaging")


def scene_of(workspace: Path, view: View) -> Scene:
    """What jobs of `view` that work in `workspace` see, before anything is hidden."""
    system, links = _system()
    code = _outermost(python_trees(), besides=system)
    shown = [
        *system,
        *_settings(_SETTINGS + (_NETWORK_SETTINGS if view.network else ())),
        *(Shown(str(path), str(path)) for path in (*code, *_present(_PROCESSORS))),
        *(Shown(str(path), str(path)) for path in _present(view.read_only)),
        *_devices(gpu=view.gpu),
        Shown(str(workspace), str(workspace), is_writable=True),
    ]
    links += [
        Link(f"/dev/{name}", f"/proc/self/{stream}")
        for name, stream in zip(_STREAM_NAMES, _STREAMS, strict=True)
    ]
    # Read-only code may lie in the workspace, and the workspace in a folder that is read-only.
    in_order = sorted(shown, key=lambda item: Path(item.target).parts)
    return Scene(tuple(in_order), tuple(links), view.network)


def _system() -> tuple[list[Shown], list[Link]]:
    shown, links = [Shown(str(path), str(path)) for path in _present(_PROGRAMS)], []
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            links.append(Link(str(path), str(path.readlink())))
        elif path.is_dir():
            shown.append(Shown(str(path), str(path)))
    return shown, links


def _settings(names: Iterable[str]) -> list[Shown]:
    made = Path(__file__).with_name("etc")
    return [
        *(Shown(str(made / name), f"/etc/{name}") for name in _MADE_SETTINGS),
        *(Shown(str(path), str(path)) for path in _present(f"/etc/{name}" for name in names)),
    ]


def _devices(*, gpu: bool) -> list[Shown]:
    paths = [Path("/dev", name) for name in _DEVICES]
    if gpu:
        paths += [*_gpu_devices(), *_present(["/sys"])]
    return [Shown(str(path), str(path), has_devices=True) for path in paths]


def has_gpu() -> bool:
    """Whether this machine shows the devices of a graphics processor."""
    return bool(_gpu_devices())


def _gpu_devices() -> list[Path]:
    return [path for pattern in _GPU_DEVICES for path in Path("/dev").glob(pattern)]


def python_trees() -> set[Path]:
    """Where this Python, its virtual environment and this package lie."""
    named = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    named |= {entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))}
    trees = {Path(name) for name in named} | _along_links(Path(sys.executable))
    root = Path(__file__).resolve().parents[3]
    trees |= {root / name for name in _PACKAGES}
    return (trees | {tree.resolve() for tree in trees}) - {Path("/")}


def _along_links(program: Path) -> set[Path]:
    """The folders through which `program` is found: an environment links to another Python."""
    folders = {program.parent}
    while program.is_symlink():
        program = Path(os.path.normpath(program.parent / program.readlink()))
        folders.add(program.parent)
    return folders


def _outermost(trees: Iterable[Path], *, besides: Iterable[Shown]) -> list[Path]:
    """Those of `trees` that exist and lie in no other, nor in what is shown anyway."""
    found: list[Path] = [Path(item.target) for item in besides]
    first = len(found)
    for tree in sorted(trees, key=lambda path: len(path.parts)):
        if tree.is_dir() and not any(tree.is_relative_to(other) for other in found):
            found.append(tree)
    return found[first:]


def _present(paths: Iterable[str]) -> list[Path]:
    return [path for path in map(Path, paths) if path.exists()]

"""The world that attacks are to leave alone: what there is of it, and what became of it."""

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.sandbox.attacks.attack import Target
from tests.sandbox.attacks.on_files import PLACES

_PORT = 4711  # in a network of its own
_KEY = 4711
Snapshot = dict[str, tuple[int, int, int, bytes]]


class Outside:
    """Files, listeners and processes outside the workspace, some for each attack alone.

    Args:
        folder: for all that lies in files.
        secret: what nobody inside may learn; it lies in every usual place.
    """

    def __init__(self, folder: Path, workspace: Path, secret: str) -> None:
        self._folder, self._workspace, self._secret = folder, workspace, secret
        self._heard: set[str] = set()
        self._victims: dict[str, subprocess.Popen[bytes]] = {}
        self._before: dict[str, Snapshot] = {}
        self._servers: list[asyncio.AbstractServer] = []

    async def open(self) -> None:
        state = self._workspace / ".guildbus"
        for path in (state / "secret", Path("/dev/shm/outside"), Path("/tmp/outside")):
            path.parent.mkdir(exist_ok=True)
            path.write_text(self._secret)
        os.set_inheritable(os.open("/tmp/outside", os.O_RDONLY), True)
        tcp = await asyncio.start_server(self._listen, ["0.0.0.0", "::1"], _PORT)
        paths = (str(self._folder / "socket"), "\0outside", str(state / "server.sock"))
        unix = [await asyncio.start_unix_server(self._listen, path) for path in paths]
        self._servers = [tcp, *unix]
        _share_memory(self._secret)
        self._victims["teller"] = _a_teller(self._secret)
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self._heard), ("0.0.0.0", _PORT)
        )

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for victim in self._victims.values():
            self._bury(victim)

    def target(self, name: str, *, has_victim: bool) -> Target:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)  # of an attack that is repeated
        folder.mkdir()
        own_secret = f"{self._secret}-{name}"
        (folder / "secret").write_text(own_secret)
        (folder / "secret").chmod(0o600)
        (folder / "file").write_text("as it was")
        self._bury(self._victims.pop(name, None))
        if has_victim:
            argv = [f"victim-of-{name}", "300"]
            self._victims[name] = subprocess.Popen(argv, executable="/bin/sleep")
        self._before[name] = _snapshot(folder)
        return Target(
            name=name,
            folder=str(folder),
            secret=str(folder / "secret"),
            file=str(folder / "file"),
            unix=str(self._folder / "socket"),
            abstract="outside",
            port=_PORT,
            shm_key=_KEY,
        )

    def harm(self, name: str, answer: dict[str, Any], output: str) -> list[str]:
        """What shows that attack `name` got out."""
        evidence = answer.get("evidence")
        harm = []
        if evidence is True or evidence == "forged":
            harm.append(f"it was let: {evidence}")
        if self._secret in str(evidence):
            harm.append("it read the secret")
        if len(output) > 1 << 20:
            harm.append(f"its output was kept: {len(output)} characters")
        if _snapshot(self._folder / name) != self._before[name]:
            harm.append("files outside changed")
        if planted := [place for place in PLACES.values() if Path(place, name).exists()]:
            harm.append(f"it planted a file in {planted}")
        if name in self._heard:
            harm.append("it reached who listens outside")
        if name in self._victims and not _is_well(self._victims[name].pid):
            harm.append("it harmed another process")
        if survivors := list(_named(f"survivor-of-{name}")):
            harm.append(f"processes survived: {survivors}")
            for pid in survivors:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return harm

    @staticmethod
    def _bury(victim: subprocess.Popen[bytes] | None) -> None:
        if victim is not None:
            victim.kill()
            victim.wait()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._heard.add((await reader.readline()).decode().strip())
        writer.close()


def _a_teller(text: str) -> subprocess.Popen[bytes]:
    """A process that was told `text` on its command line."""
    return subprocess.Popen(["/bin/sh", "-c", "read forever", text], stdin=subprocess.PIPE)


def _share_memory(text: str) -> None:
    """Keep `text` in a System V segment that everybody may read."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(_KEY, 4096, 0o1666)
    ctypes.memmove(libc.shmat(segment, None, 0), text.encode(), len(text))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, heard: set[str]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard.add(data.decode().strip())


def _snapshot(folder: Path) -> Snapshot:
    found: Snapshot = {}
    for path in [folder, *folder.rglob("*")]:
        if os.path.lexists(path):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found


def _is_well(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return status[0] in {"S", "R", "D"}


def _named(mark: str) -> Iterator[int]:
    """Processes with this mark on their command line; the name of an attack may begin another."""
    whole = re.compile(rf"{re.escape(mark)}(?!\w)")
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and whole.search((entry / "cmdline").read_text()):
                yield int(entry.name)
        except OSError:
            continue

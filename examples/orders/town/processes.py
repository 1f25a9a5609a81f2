"""The processes of the story, each with a port of its own."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

HERE = Path(__file__).parents[1]
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.05
END_S = 20.0


class Town:
    """Starts processes, and starts them again.

    Args:
        folder: where they keep their data and logs.
        stack: at its end all of them are ended.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._ports = {name: _free_port() for name in ("redis", "bank", "web")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def bus(self) -> str:
        return f"redis://127.0.0.1:{self._ports['redis']}/0"

    @property
    def charges(self) -> Path:
        """The folder where the bank keeps a file a charge."""
        return self.folder / "charges"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def start(self, name: str) -> None:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        environ = os.environ | {
            "GUILDBUS_URL": self.bus,
            "GUILDBUS_ALLOW": "shop",
            "BANK_URL": self.url("bank"),
        }
        process = subprocess.Popen(
            self._command(name), cwd=HERE, env=environ, stdout=log, stderr=log
        )
        self._running[name] = process
        self._stack.callback(_end, process)

    def kill(self, name: str) -> None:
        """End `name` as a crash does."""
        process = self._running[name]
        process.kill()
        process.wait()

    async def listens(self, name: str) -> None:
        """Return once something answers on the port of `name`."""
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(_answers, self._ports[name]):
                assert self._running[name].poll() is None, self.log(name)
                await asyncio.sleep(LOOK_EVERY_S)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def _command(self, name: str) -> list[str]:
        port = str(self._ports.get(name))
        data = ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        web = ["uvicorn", "shop.web:app", "--workers", "2", "--log-level", "warning"]
        return {
            "redis": [_server(), "--port", port, "--bind", "127.0.0.1", *data],
            "bank": [sys.executable, "-m", "shop.bank", port, str(self.charges)],
            "guild": [sys.executable, "-m", "guild.cli", "run", "orders.yaml", "--wait", "60"],
            "web": [sys.executable, "-m", *web, "--port", port],
        }[name]


def _server() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        sys.exit("the story needs redis-server or valkey-server on the PATH")
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

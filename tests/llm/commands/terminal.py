"""A command in a terminal of its own, with somebody who types."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.reliability.workers.patience import stretched

CTRL_C, CTRL_D = "\x03", "\x04"
_PATIENCE_S = 10.0
_ESCAPES = re.compile(r"\x1b(\[[?0-9;]*([A-Za-z]|$)|$)")


class Terminal:
    """`guildbus` with a terminal for everything; leaving the block ends it."""

    def __init__(self, *words: str | Path, cwd: Path, **environ: str) -> None:
        self._leader, follower = pty.openpty()
        command = [sys.executable, "-m", "guild.cli", *map(str, words)]
        self._process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=cwd,
            env=os.environ | {"TERM": "dumb"} | environ,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  only so that Ctrl-C is a signal
        )
        os.close(follower)
        self.raw = ""
        self.shown = ""  # the same without escape sequences
        self._seen = 0

    def until(self, wanted: str) -> str:
        """What is shown from what was waited for last up to `wanted`."""
        for _ in self._reading():
            at = self.shown.find(wanted, self._seen)
            if at >= 0:
                begun, self._seen = self._seen, at + len(wanted)
                return self.shown[begun : self._seen]
        raise AssertionError(f"{wanted!r} did not come after {self.shown!r}")

    def more(self) -> None:
        """Wait until something more is shown."""
        before = len(self.shown)
        for _ in self._reading():
            if len(self.shown) > before:
                return

    def type(self, text: str) -> None:
        """Type it; a line ends by a newline."""
        os.write(self._leader, text.encode())

    def interrupt_typing(self) -> None:
        """Press Ctrl-C, and again as people do where nothing follows.

        A signal in the microseconds before readline waits is seen with the next key only.
        """
        self.type(CTRL_C)
        while not select.select([self._leader], [], [], stretched(1.0))[0]:
            self.type(CTRL_C)

    def end(self) -> int:
        """Wait until it ends; its exit status."""
        for _ in self._reading():
            pass
        return self._process.wait(timeout=stretched(_PATIENCE_S))

    def _reading(self) -> Iterator[None]:
        deadline = time.monotonic() + stretched(_PATIENCE_S)
        yield
        while time.monotonic() < deadline:
            if not select.select([self._leader], [], [], 0.5)[0]:
                continue
            try:
                more = os.read(self._leader, 65536)
            except OSError:  # nobody holds its other end any more
                return
            self.raw += more.decode(errors="replace")
            self.shown = _ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace("\n\r", "\n")
            yield
        raise AssertionError(f"nothing more came after {self.shown!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        os.close(self._leader)


def _take_terminal() -> None:
    import fcntl  # noqa: PLC0415  in the child
    import termios  # noqa: PLC0415  likewise

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

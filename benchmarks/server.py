"""The server that all contestants of a run share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from messaging.backends.redis.connection.embedded import EmbeddedServer


@contextmanager
def private_server(folder: Path) -> Iterator[str]:
    """The URL of a server of our own with AOF everysec; ended with the block."""
    server = EmbeddedServer(folder)
    path = server.start()
    try:
        yield f"unix://{path}"
    finally:
        server.stop()

"""A web server that gives files out of memory, and may break off."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agents.ml.data.downloads import Remote


class Site:
    """Files by path, and how a server hands them out.

    Attributes:
        breaks_after: so many bytes of each answer come, then the connection ends; None for all.
        knows_ranges: whether it goes on in the middle of a file.
        asked: the first byte of each request, as it was asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks_after: int | None = None
        self.knows_ranges = True
        self.asked: list[int] = []
        self.address = ""

    def holds(self, name: str, content: bytes) -> Remote:
        self.files[f"/{name}"] = content
        return Remote(f"{self.address}/{name}", len(content), hashlib.sha256(content).hexdigest())


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            site.asked.append(start)
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            is_part = start > 0 and site.knows_ranges
            rest = content[start:] if is_part else content
            self.send_response(206 if is_part else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: site.breaks_after])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

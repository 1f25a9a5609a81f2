"""The pages of the console: files of the package, the same for everybody."""

import hashlib
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("console")
INDEX = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_NOT_MODIFIED = 304


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def page_routes(folder: Path = FOLDER) -> Sequence[Route]:
    """A route for each file, and one for the folder itself, which is its index.

    A browser asks each time whether a file is still the same, which takes no more than a header.
    """
    files = {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    routes = [_route(f"/{name}", file) for name, file in files.items()]
    return [*routes, *([_route("/", files[INDEX])] if INDEX in files else ())]


def _read(path: Path) -> _File:
    content = path.read_bytes()
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, kind or "application/octet-stream", etag)


def _route(path: str, file: _File) -> Route:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}

    async def show(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if file.etag in [each.strip().removeprefix("W/") for each in known.split(",")]:
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(file.content, 200, headers, file.media_type)

    return Route(path, show, methods=["GET"])

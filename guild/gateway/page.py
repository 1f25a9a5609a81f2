"""The pages of the console: files of the package, the same for everybody.

The index names all other files below a folder `~VERSION`, another one for each content: so a
browser keeps them for good, and asks only whether the index is still the same. All addresses are
relative, so that it works under any path.

A browser would find out step by step what a module imports. So the index as it is served asks at
once for all that its modules need, and those that it preloads itself, such as the first view.
"""

import hashlib
import mimetypes
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("console")
INDEX = "index.html"
FOR_GOOD = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"
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
_MODULE = re.compile(r'<(?:script type="module" src|link rel="modulepreload" href)="([^"]+)"')
_NEEDS = re.compile(
    r"""\b(?:from|import)\s*"(\.[^"]+)"|\bnew URL\("([^"]+\.js)", import\.meta\.url\)"""
)
_LINK = re.compile(r'\b(href|src)="([^"]+)"')


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def page_routes(folder: Path = FOLDER) -> Sequence[Route]:
    """A route for each file, and one for the folder itself, which is its index."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if INDEX not in found:
        return ()
    version = hashlib.sha256(b"\0".join(map(_digest, found.values()))).hexdigest()[:12]
    index = _file(INDEX, _with_version(_with_preloads(found.pop(INDEX), found), version, found))
    files = [(name, _file(name, content)) for name, content in found.items()]
    return [
        *(_route(f"/{path}", index, ASKED_AGAIN) for path in ("", INDEX)),
        *(_route(f"/~{version}/{name}", file, FOR_GOOD) for name, file in files),
        *(_route(f"/{name}", file, ASKED_AGAIN) for name, file in files),
    ]


def _with_preloads(index: bytes, files: Mapping[str, bytes]) -> bytes:
    """The index, with a link for each module that its own import, and so on, and for workers."""
    text = index.decode()
    named = dict.fromkeys(name for name in _MODULE.findall(text) if name in files)
    needed, to_read = dict(named), list(named)
    for module in to_read:  # which grows
        for found in _NEEDS.findall(files[module].decode()):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(module), "".join(found)))
            if name in files and name not in needed:
                needed[name] = None
                to_read.append(name)
    links = [f'<link rel="modulepreload" href="{name}">' for name in needed if name not in named]
    return text.replace("</head>", "\n".join([*links, "</head>"]), 1).encode()


def _with_version(index: bytes, version: str, files: Mapping[str, bytes]) -> bytes:
    def link(found: re.Match[str]) -> str:
        attribute, name = found.groups()
        place = f"~{version}/{name}" if name in files else name
        return f'{attribute}="{place}"'

    return _LINK.sub(link, index.decode()).encode()


def _file(name: str, content: bytes) -> _File:
    media_type = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
    etag = f'"{_digest(content).hex()[:32]}"'
    return _File(content, media_type or "application/octet-stream", etag)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _route(path: str, file: _File, caching: str) -> Route:
    headers = {"ETag": file.etag, "Cache-Control": caching}

    async def show(request: Request) -> Response:
        known = request.headers.get("if-none-match", "").split(",")
        if file.etag in [each.strip().removeprefix("W/") for each in known]:
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(file.content, 200, headers, file.media_type)

    return Route(path, show, methods=["GET"])

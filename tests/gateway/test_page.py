"""The files of the console: types, caching, and addresses that work under any path."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from guild.gateway import gateway_app
from guild.gateway.page import TYPES, page_routes
from guild.runtime import Guild
from tests.gateway.conftest import LOCAL

PAGE = """<!doctype html>
<link rel="stylesheet" href="styles/base.css"><link href="https://elsewhere.example/x" rel="x">
<script type="module" src="main.js"></script>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "main.js").write_text('import "./parts/one.js";')
    for name in ("parts", "styles"):
        (tmp_path / name).mkdir()
    (tmp_path / "parts" / "one.js").write_text("export {};")
    (tmp_path / "styles" / "base.css").write_text("body {}")
    return tmp_path


def browsing(folder: Path, prefix: str = "") -> httpx.AsyncClient:
    app = Starlette(routes=list(page_routes(folder)))
    host = Starlette(routes=[Mount(prefix, app=app)]) if prefix else app
    return httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url=LOCAL)


def links_in(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page)


@pytest.mark.parametrize("prefix", ["", "/guild", "/a/b"])
async def test_the_page_finds_its_files_below_any_path(folder: Path, prefix: str) -> None:
    """getnora-io/nora 685, girder/girder 2982: white pages behind a proxy with a path."""
    async with browsing(folder, prefix) as browser:
        page = await browser.get(f"{prefix}/")
        style, elsewhere, script = links_in(page.text)
        files = {name: await browser.get(f"{page.url.join(name)}") for name in (style, script)}
        part = await browser.get(str(files[script].url.join("./parts/one.js")))

    assert elsewhere == "https://elsewhere.example/x"
    assert page.headers["Content-Type"] == TYPES[".html"]
    assert files[style].headers["Content-Type"] == TYPES[".css"]
    for each in (files[script], part):
        assert each.headers["Content-Type"] == TYPES[".js"]
    for each in (*files.values(), part):
        assert "immutable" in each.headers["Cache-Control"]
    assert page.headers["Cache-Control"] == "no-cache"


async def test_all_that_the_first_page_needs_is_asked_for_at_once(folder: Path) -> None:
    """Step by step, each import costs a round; at a distance of 100 ms six of them are a white
    page for as long as anybody looks at one."""
    modules = {
        "main.js": 'import { one } from "./parts/one.js"; () => import("./later.js");',
        "parts/one.js": 'import "../two.js";\nnew Worker(new URL("work.js", import.meta.url));',
        "parts/work.js": 'import { two } from "../two.js"',
        "two.js": 'export * from "./main.js";',
        "later.js": "",
        "first.js": 'import "./nowhere.js"; import "https://elsewhere.example/x.js";',
    }
    for name, text in modules.items():
        (folder / name).write_text(text)
    links = '<link rel="modulepreload" href="first.js"></head>'
    (folder / "index.html").write_text(PAGE.replace("<script", f"{links}<script"))
    async with browsing(folder) as browser:
        page = (await browser.get("/")).text
        asked = re.findall(r'rel="modulepreload" href="~\w+/([^"]+)"', page)

    assert asked == ["first.js", "parts/one.js", "two.js", "parts/work.js"]


async def test_what_has_not_changed_is_not_sent_again(folder: Path) -> None:
    async with browsing(folder) as browser:
        for path in ("/", "/main.js"):
            etag = (await browser.get(path)).headers["ETag"]
            same = await browser.get(path, headers={"If-None-Match": f'"x", W/{etag}'})
            other = await browser.get(path, headers={"If-None-Match": '"x"'})

            assert (same.status_code, same.content) == (304, b"")
            assert other.status_code == 200


async def test_another_content_has_another_address(folder: Path) -> None:
    async with browsing(folder) as browser:
        before = links_in((await browser.get("/")).text)
    (folder / "parts" / "one.js").write_text("export const one = 1;")
    async with browsing(folder) as browser:
        after = links_in((await browser.get("/")).text)
        gone = await browser.get(f"/{before[-1]}")

    assert before[-1] != after[-1]
    assert gone.status_code == 404


@pytest.mark.parametrize(
    "path", ["../pyproject.toml", "parts/../../x", "%2e%2e/conftest.py", "parts"]
)
async def test_nothing_beside_the_files_is_served(folder: Path, path: str) -> None:
    (folder.parent / "x").write_text("secret")
    async with browsing(folder) as browser:
        assert (await browser.get(f"/{path}")).status_code == 404


async def test_a_host_mounts_the_gateway_under_a_path_of_its_own(crew: Guild) -> None:
    host = Starlette(routes=[Mount("/guild", app=gateway_app(crew.client))])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(host), base_url=LOCAL, follow_redirects=True
    ) as http:
        told = await http.get("/guild/api/v1/guild")
        asked = await http.post(
            "/guild/api/v1/topics/says/requests",
            json={"type": "gw.say", "data": {"text": "x"}},
            headers={"Prefer": "respond-async"},
        )
        answer = await http.get(str(asked.url.join(asked.headers["Location"])))
        nowhere = await http.get("/guild/nothing")
        no_figures = await http.get("/guild/metrics")

    assert told.json()["id"] == crew.spec.id
    assert (asked.status_code, answer.status_code) == (202, 200)
    assert answer.json()["data"] == {"text": "x"}
    assert nowhere.json()["error"] == "NoSuchPathError"
    assert "/guild/api/v1/openapi.json lists what there is" in nowhere.json()["detail"]
    assert no_figures.status_code == 404
    assert "guildbus run SPEC --http" in no_figures.json()["detail"]

"""What a page must not do, whatever it is fed with, wherever it is mounted, whoever looks."""

import hashlib
import re
import runpy
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from guild.gateway.page import page_routes
from tests.console.conftest import CONSOLE
from tests.console.served import Served, serving_shop
from tests.console.shop import RIGHT_TO_LEFT, Charge, Say, Ship, order
from tests.console.watched import Watched

if TYPE_CHECKING:
    pass

EVIL = f"</script><img src=x onerror=alert(1)>{RIGHT_TO_LEFT}\u0007&lt;b&gt;"
RUNS_TEXT = r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write"
MADE_UP = (
    "#/<img src=x onerror=alert(1)>",
    "#/agents/<b>x",
    "#/publish/%3Cscript%3E",
    "#/conversations/..%2f..%2fguild",
    "#/dead-letters?agent=%27%3E&after=x",
    "#//x",
)
TOKEN = "a-token-that-is-only-for-this-test"


def test_markup_and_turned_text_are_shown_as_what_they_are_in_every_view(
    shop: Served, watched: Watched
) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: watched.complaints.append(dialog.message))
    client = shop.guild.client
    watched.open(f"{shop.url}#/messages")
    page.get_by_text("Live", exact=True).wait_for()
    conversation = shop.do(client.publish("orders", order("0000 1", customer=EVIL)))
    shop.do(client.publish("till", Charge(order=EVIL, number="0000", cents=1)))
    shop.do(client.publish("dock", Ship(order=EVIL)))
    shop.letters(2)
    shop.approvals(1)
    page.locator(".message", has_text="onerror").first.wait_for()
    # What the page has not drawn yet has no `inner_text`.
    seen = {"messages": page.locator("main").text_content() or ""}
    letters = shop.letters(2)
    for name, address in {
        "conversation": f"#/conversations/{conversation}",
        "letter": f"#/dead-letters/{letters[-1]}",
        "approvals": "#/approvals",
    }.items():
        watched.open(shop.url + address)
        page.locator(".panel").first.wait_for()
        page.get_by_text("onerror", exact=False).or_(page.locator(".odd")).first.wait_for()
        seen[name] = page.locator("main").inner_text()

    for name, text in seen.items():
        assert RIGHT_TO_LEFT not in text, name
        assert "\u0007" not in text, name
        assert "U+202E" in text or "\\u202e" in text, name
    assert page.locator("main img").count() == 0


def test_a_message_of_half_a_megabyte_is_cut_and_stops_nothing(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/messages?type=shop.say")
    page.get_by_text("Live", exact=True).wait_for()
    shop.do(shop.guild.client.publish("desk", Say(text="x" * 500_000)))
    page.locator(".message-head").click()

    page.get_by_text("Cut after 20000", exact=False).wait_for()
    assert len(page.locator("main").inner_text()) < 25_000


def test_an_address_that_somebody_made_up_shows_a_view_and_runs_nothing(
    shop: Served, watched: Watched
) -> None:
    for address in MADE_UP:
        page = watched.open(shop.url + address)
        page.locator("h1").wait_for()
        assert page.locator("main b, main img, main script").count() == 0


def token_file(folder: Path, *scopes: str) -> Path:
    file = folder / "tokens"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    file.write_text(f"ada {','.join(scopes)} sha256:{digest}\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def test_a_token_is_asked_for_kept_for_the_tab_and_stands_in_no_address(
    redis_url: str, tmp_path: Path, watched: Watched
) -> None:
    with serving_shop(redis_url, tokens=str(token_file(tmp_path, "read"))) as shop:
        page = watched.open(f"{shop.url}#/topology")
        page.get_by_role("heading", name="A token is needed").wait_for()
        assert watched.axe() == []
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("The gateway does not know that token.").wait_for()
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.locator(".graph .agent").first.wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        page.reload()
        page.locator(".graph .agent").first.wait_for()

        assert page.get_by_text("you may read", exact=False).count() == 1
        assert not [url for url in watched.urls if TOKEN in url]
        assert TOKEN not in page.content()
        assert page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"
        watched.open(f"{shop.url}#/agents")
        page.get_by_role("cell", name="till").first.wait_for()
        assert page.get_by_role("button", name="Pause till").count() == 0
        watched.open(f"{shop.url}#/publish/shop.say")
        page.get_by_text("Your token may not publish", exact=False).wait_for()
        assert "$GUILDBUS_TOKEN" in page.get_by_label("curl command").inner_text()


@pytest.mark.parametrize("prefix", ["/guild", "/a/b"])
def test_the_console_lives_under_any_prefix(redis_url: str, watched: Watched, prefix: str) -> None:
    with serving_shop(redis_url, prefix=prefix) as shop:
        page = watched.open(f"{shop.url.removesuffix('/')}#/topology/till")
        page.locator(".graph .agent").first.wait_for()
        page.locator("section.panel dl").wait_for()
        page.get_by_text("Live", exact=True).wait_for()

        assert all(url.startswith(shop.url.removesuffix("/")) for url in watched.urls)


def test_a_page_needs_nothing_but_its_gateway(shop: Served, watched: Watched) -> None:
    """Every address but the gateway's is cut off, and no complaint comes of it."""
    asked: list[str] = []

    def route(route: Any) -> None:
        if route.request.url.startswith(shop.url):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    watched.page.context.route("**/*", route)
    for view in ("topology/till", "messages", "publish", "chat", "agents", "dead-letters"):
        watched.open(f"{shop.url}#/{view}").locator("h1").wait_for()

    assert asked == []


def test_the_theme_that_was_chosen_is_there_before_anything_is_painted(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/agents")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("dark").check(force=True)
    dark = page.evaluate(paper)
    page.reload(wait_until="commit")
    page.wait_for_function("() => document.body !== null")

    assert light != dark
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_what_ships_has_no_code_in_its_markup_and_names_no_other_site() -> None:
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")

    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    own = [path for path in CONSOLE.rglob("*") if path.is_file() and path.parent.name != "vendor"]
    for path in own:
        text = path.read_text(encoding="utf-8")
        sites = set(re.findall(r"https?://[^\s\"'`)]+", text))

        assert sites <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(
            r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text
        ), path
        assert not re.search(r'(?:from|import\()\s*"/', text), f"{path} imports by an absolute path"


def test_what_the_first_view_needs_is_asked_for_at_once_and_not_step_by_step() -> None:
    page = TestClient(Starlette(routes=list(page_routes()))).get("/").text
    needed = set[Path]()
    sources = [path.read_text(encoding="utf-8") for path in CONSOLE.rglob("*.js")]
    first_view = re.search(r'DEFAULT_VIEW = "(\w+)"', "".join(sources))
    assert first_view is not None
    to_read = [CONSOLE / "main.js", CONSOLE / "views" / f"{first_view[1]}.js"]
    while to_read:
        module = to_read.pop().resolve()
        if module not in needed:
            needed.add(module)
            text = module.read_text(encoding="utf-8")
            imported = re.findall(r'from "(\.[^"]+)"', text)
            workers = re.findall(r'new Worker\(new URL\("([^"]+)"', text)
            to_read += [module.parent / path for path in (*imported, *workers)]

    asked = set(re.findall(r'rel="modulepreload" href="~\w+/([^"]+)"', page)) | {"main.js"}
    assert asked == {str(module.relative_to(CONSOLE.resolve())) for module in needed}


def test_what_is_vendored_is_what_was_pinned() -> None:
    vendor = runpy.run_path(str(CONSOLE.parents[2] / ".ci" / "vendor"))

    assert [problem for folder in vendor["FOLDERS"] for problem in vendor["_odd"](folder)] == []


def test_the_console_adds_less_than_150_kb_to_the_wheel(tmp_path: Path) -> None:
    archive = tmp_path / "console.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in CONSOLE.rglob("*"):
            packed.write(path)

    assert archive.stat().st_size < 150_000

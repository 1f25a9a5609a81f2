"""A browser, and a shop behind its gateway for it to look at."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.served import Served, serving_shop
from tests.console.watched import Watched
from tests.servers import missing, running_redis

try:
    from playwright.sync_api import Browser, Error, sync_playwright
except ImportError:  # of the extra `test`, without which the rest of the tests are collected, too
    Browser = Error = sync_playwright = None

ARGUMENTS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own browser: Playwright brings none.

    While it is open a loop runs in this thread, so that no test of a worker which waits by itself
    may come before it is closed.
    """
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if sync_playwright is None or binary is None:
        missing("playwright and chromium are needed: pip install playwright, apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def shop(redis_url: str) -> Iterator[Served]:
    """A shop of its own at work, with a gateway that asks for no token."""
    with serving_shop(redis_url) as served:
        yield served


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    """A page of which every complaint of the browser is a failure."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(20_000)
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert not watched.complaints


CONSOLE = Path(__file__).parents[2] / "guild" / "gateway" / "console"

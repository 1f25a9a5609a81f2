"""A real browser, and what it tells of a page: when it was painted, how long tasks took, memory."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import CDPSession, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--headless=new", "--disable-dev-shm-usage")
SIZE = {"width": 1280, "height": 800}
AGENT, MESSAGE = "svg.graph a.agent", "ol.messages li"
_LOOKING = """
window.seen = {tasks: [], shown: null};
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) seen.tasks.push(task.duration);
}).observe({type: "longtask", buffered: true});
const waiting = new MutationObserver(() => {
  if (!document.querySelector("svg.graph a.agent")) return;
  waiting.disconnect();
  requestAnimationFrame(() => setTimeout(() => { seen.shown = performance.now(); }));
});
waiting.observe(document, {childList: true, subtree: true});
"""
_PAINTED = """() => Object.fromEntries(
  performance.getEntriesByType("paint").map((each) => [each.name, each.startTime]))"""


_PAGES_THREAD, _TASK = "CrRendererMain", "ThreadControllerImpl::RunTask"


class NoBrowserError(Exception):
    """There is nothing to open a page with; the text says how to get it."""


class Paints(NamedTuple):
    """Seconds since a page was asked for."""

    first_s: float
    contentful_s: float
    agents_s: float


class Tab:
    """One page of the console, open."""

    def __init__(self, page: "Page", session: "CDPSession") -> None:
        self.page = page
        self._session = session

    async def show(self, view: str) -> None:
        """Go to a view by its address and wait until there is something in it."""
        await self.page.evaluate("(view) => { location.hash = `#/${view}`; }", view)

    async def paints(self) -> Paints:
        """When this page was painted, once its agents are."""
        await self.page.wait_for_function("() => seen.shown")
        painted = await self.page.evaluate(_PAINTED)
        shown = await self.page.evaluate("() => seen.shown")
        first, contentful = painted["first-paint"], painted["first-contentful-paint"]
        return Paints(first / 1e3, contentful / 1e3, shown / 1e3)

    async def longest_task_s(self) -> float:
        """Of the tasks since the last call; 0.0 where none took 50 ms."""
        return await self.page.evaluate("() => Math.max(0, ...seen.tasks.splice(0))") / 1e3

    async def heap_bytes(self) -> int:
        """What of the page's memory is in use, rubbish thrown away."""
        await self._session.send("HeapProfiler.collectGarbage")
        return int((await self._metrics())["JSHeapUsedSize"])

    async def busy_s(self) -> float:
        """For how long the page's thread has worked so far."""
        return (await self._metrics())["TaskDuration"]

    async def _metrics(self) -> dict[str, float]:
        told = await self._session.send("Performance.getMetrics")
        return {each["name"]: each["value"] for each in told["metrics"]}


class Browser:
    """Chromium without a window; its pages know nothing of each other."""

    def __init__(self, chromium: "Chromium", session: "CDPSession") -> None:
        self._chromium = chromium
        self._session = session

    @asynccontextmanager
    async def tab(self, address: str) -> AsyncIterator[Tab]:
        """A page at `address` with a cold cache, until the end of the block."""
        context = await self._chromium.new_context(viewport=SIZE)
        try:
            page = await context.new_page()
            session = await context.new_cdp_session(page)
            await session.send("Performance.enable", {"timeDomain": "threadTicks"})
            await page.add_init_script(_LOOKING)
            await page.goto(address)
            yield Tab(page, session)
        finally:
            await context.close()

    @asynccontextmanager
    async def tracing(self, tab: Tab) -> AsyncIterator[list[float]]:
        """Fills, at the end of the block, a list of what each task of the page's thread took.

        In seconds of processor time: on a machine that has other work, a task of a few milliseconds
        may last a hundred.
        """
        taken_s: list[float] = []
        await self._chromium.start_tracing(page=tab.page, categories=["toplevel"])
        yield taken_s
        taken_s += _tasks_in(json.loads(await self._chromium.stop_tracing())["traceEvents"])

    async def cpu_s(self) -> float:
        """Processor time of all processes of the browser so far."""
        told = await self._session.send("SystemInfo.getProcessInfo")
        return sum(each["cpuTime"] for each in told["processInfo"])


def _tasks_in(events: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """Seconds of processor time of each task in a thread that draws a page."""
    threads = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == _PAGES_THREAD
    }
    for each in events:
        if each["name"] == _TASK and (each["pid"], each["tid"]) in threads and "tdur" in each:
            yield each["tdur"] / 1e6


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A browser, until the end of the block.

    Raises:
        NoBrowserError: Playwright or Chromium is not installed.
    """
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415 - only this needs it
    except ImportError as error:
        raise NoBrowserError(
            "the page is measured in a browser that Playwright drives, which is not installed: "
            "pip install 'guildbus[test]'"
        ) from error
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowserError(
            "the page is measured in Chromium, which is not on PATH: apt-get install chromium, or "
            "name the program in the environment variable CHROMIUM"
        )
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        yield Browser(chromium, await chromium.new_browser_cdp_session())
        await chromium.close()

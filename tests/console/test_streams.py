"""Pages that stay open while servers go and come, while nobody looks, and for a week."""

import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

from tests.console.served import Served, serving_shop
from tests.console.shop import order
from tests.console.watched import Watched
from tests.servers import RedisServer, free_port, redis_binary

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

SEEN = """(state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def live(page: "Page") -> None:
    page.get_by_text("Live", exact=True).wait_for()


def test_a_page_says_that_redis_is_gone_and_goes_on_when_it_is_back(
    tmp_path: Path, watched: Watched
) -> None:
    server = RedisServer(redis_binary(), tmp_path)
    server.start()
    try:
        with serving_shop(server.url) as shop:
            page = watched.open(f"{shop.url}#/agents")
            page.get_by_role("cell", name="till").first.wait_for()
            live(page)
            server.kill()
            page.locator(".notice.bad").first.wait_for()
            assert page.get_by_role("cell", name="till").count(), "what was there stays"
            server.start()
            page.locator(".notice.bad").first.wait_for(state="detached", timeout=60_000)
            live(page)
    finally:
        server.stop()


def test_a_page_goes_on_by_itself_when_its_gateway_is_back(
    redis_url: str, watched: Watched
) -> None:
    port = free_port()
    with serving_shop(redis_url, port=port) as shop:
        page = watched.open(f"{shop.url}#/topology")
        live(page)
    page.get_by_text("Trying again", exact=False).wait_for()
    with serving_shop(redis_url, port=port):
        live(page)


def test_a_stream_that_fell_silent_is_opened_anew(shop: Served, watched: Watched) -> None:
    """A line that was cut while the machine slept may say nothing of it, ever."""
    page = watched.page
    page.clock.install()
    page.add_init_script(PUMP)
    watched.open(f"{shop.url}#/messages")
    live(page)
    page.clock.run_for(50_000)
    page.evaluate("flood(1)")
    page.locator(".message").first.wait_for()
    page.clock.run_for(50_000)
    assert page.evaluate("opened") == 1
    page.clock.run_for(60_000)

    page.wait_for_function("opened === 2")


def test_a_hidden_page_rests_and_catches_up_when_it_is_seen(shop: Served, watched: Watched) -> None:
    page = watched.page
    page.clock.install()
    watched.open(f"{shop.url}#/conversations")
    live(page)
    page.evaluate(SEEN, "hidden")
    page.clock.run_for(30_000)
    page.get_by_text("Resting while hidden").wait_for()
    streams = open_streams(shop)
    assert streams == 0
    page.evaluate(SEEN, "visible")
    live(page)
    assert open_streams(shop, 1) == 1


def open_streams(shop: Served, wanted: int = 0) -> int:
    ends_at = time.monotonic() + 20
    while (found := shop.app.state.streams.open) != wanted and time.monotonic() < ends_at:
        time.sleep(0.01)
    return int(found)


def test_a_stream_of_nothing_says_at_once_that_it_is_open(shop: Served) -> None:
    """Firefox tells a page of an answer with its first bytes."""
    asked = Request(f"{shop.url}api/v1/messages", headers={"Accept": "text/event-stream"})
    with urlopen(asked, timeout=10) as stream:
        assert stream.readline().startswith(b":")


def test_leaving_a_view_closes_its_streams(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/messages")
    live(page)
    assert open_streams(shop, 1) == 1, "browsers keep six connections for all tabs together"
    page.get_by_role("link", name="Publish").first.click()
    page.get_by_role("heading", name="Publish").wait_for()

    assert open_streams(shop, 0) == 0


PUMP = (Path(__file__).parent / "pump.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("view", ["messages", "conversations", "topology/desk", "agents"])
def test_a_page_that_is_open_for_a_week_holds_no_more_than_after_a_minute(
    shop: Served, watched: Watched, view: str
) -> None:
    page = watched.page
    page.add_init_script(PUMP)
    watched.open(f"{shop.url}#/{view}").locator("h1").wait_for()
    live(page)
    page.evaluate("pump(30)")
    after_a_minute = held(page)
    page.evaluate("pump(60)")
    later = held(page)

    assert page.locator(".message, tbody tr").count() <= 200
    assert later["Nodes"] <= after_a_minute["Nodes"] * 1.2 + 500
    assert later["JSHeapUsedSize"] <= after_a_minute["JSHeapUsedSize"] * 1.2 + 2_000_000


def held(page: "Page") -> dict[str, float]:
    """What the browser holds for the page when all that can go has gone."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return {each["name"]: each["value"] for each in metrics}


def test_a_flood_is_shown_by_its_newest_and_what_is_left_off_is_counted(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/messages")
    live(page)
    shown = page.get_by_text("200 messages shown", exact=False)
    while not shown.is_visible():
        orders = [order(customer=str(each)) for each in range(500)]
        shop.do(shop.guild.client.publish_many("orders", orders))
    page.get_by_text("passed too quickly to be shown", exact=False).wait_for()

    assert page.locator(".message").count() == 200


def test_an_answer_that_was_cut_off_is_followed_to_its_end(shop: Served, watched: Watched) -> None:
    """The line breaks after the request was accepted: it is asked once, and its answer comes."""
    page = watched.page
    cut: list[str] = []

    def break_off(route: "Route") -> None:
        if route.request.method == "POST" and not cut:
            cut.append(route.request.headers["idempotency-key"])
            response = route.fetch()
            first, *_ = response.text().split("\n\n")
            route.fulfill(response=response, body=f"{first}\n\n")
        else:
            route.continue_()

    page.route("**/api/v1/topics/desk/requests", break_off)
    watched.open(f"{shop.url}#/chat").get_by_label("What to say").fill("hear me")
    page.keyboard.press("Enter")
    page.locator(".turn.assistant[aria-busy=false] .said", has_text="hear me").wait_for()

    handled = shop.do(count(shop, "shop.said"))
    assert len(cut) == 1
    assert handled <= 1


async def count(shop: Served, wire_type: str) -> int:
    found = 0
    async for each in shop.guild.client.tap([">"], from_start=True, follow=False):
        found += each.envelope.type == wire_type
    return found

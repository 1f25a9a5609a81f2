"""What may happen to a guild under a page that stays open."""

from typing import TYPE_CHECKING

import pytest

from guild.spec.spec import GuildSpec
from tests.console.served import Served, serving_shop
from tests.console.shop import Say, shop
from tests.console.test_streams import PUMP, held, live
from tests.console.watched import Watched, texts
from tests.servers import RedisServer, free_port, redis_binary

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

LOOKING = ("topology", "messages", "conversations", "agents", "chat")
"""Views of each kind: with streams, with tables that are read again, with neither."""


def without(spec: GuildSpec, agent: str) -> GuildSpec:
    agents = tuple(each for each in spec.agents if each.id != agent)
    return spec.model_copy(update={"agents": agents, "description": "Smaller than before."})


@pytest.mark.parametrize("view", ["topology", "agents"])
def test_a_page_shows_the_spec_that_its_guild_was_started_with_anew(
    redis_url: str, watched: Watched, view: str
) -> None:
    port = free_port()
    page = watched.page
    with serving_shop(redis_url, port=port, spec=shop(f"shop-{view}")) as served:
        watched.open(f"{served.url}#/{view}")
        page.get_by_role("link", name="dock").first.wait_for()
        live(page)
    with serving_shop(redis_url, port=port, spec=without(shop(f"shop-{view}"), "dock")):
        page.get_by_text("The guild has another spec by now", exact=False).wait_for()
        page.get_by_text("Smaller than before.").wait_for()
        page.wait_for_function(GONE[view])


def test_a_form_offers_what_the_guild_takes_by_now(redis_url: str, watched: Watched) -> None:
    port = free_port()
    page = watched.page
    page.clock.install()
    with serving_shop(redis_url, port=port, spec=shop("shop-publish")) as served:
        watched.open(f"{served.url}#/publish")
        page.get_by_role("option", name="shop.ship").wait_for(state="attached")
    with serving_shop(redis_url, port=port, spec=without(shop("shop-publish"), "dock")):
        page.clock.run_for(61_000)  # the page has no stream, and looks once a minute
        page.get_by_text("Smaller than before.").wait_for()
        page.wait_for_function(GONE["publish"])


GONE = {
    "topology": "() => !document.querySelector('.graph').textContent.includes('dock')",
    "agents": "() => document.querySelector('main').textContent.includes('not in the spec')",
    "publish": """() => !document.querySelector('optgroup[label="Handled by an agent"]')
        .textContent.includes('shop.ship')""",
}


def test_what_was_typed_survives_that_the_gateway_goes_and_comes_back(
    redis_url: str, watched: Watched
) -> None:
    port = free_port()
    spec = shop("shop-that-restarts")
    page = watched.page
    with serving_shop(redis_url, port=port, spec=spec) as served:
        form = watched.open(f"{served.url}#/publish/shop.say").locator("form.panel")
        form.get_by_label("text").fill("half a sentence")
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("The gateway cannot be reached.").wait_for()
    with serving_shop(redis_url, port=port, spec=spec) as served:
        assert form.get_by_label("text").input_value() == "half a sentence"
        form.get_by_role("button", name="Publish").click()
        page.get_by_text("Accepted as", exact=False).wait_for()


def test_a_view_that_could_not_be_read_is_there_after_another_try(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/topology")
    page.locator(".graph .agent").first.wait_for()
    page.route("**/views/chat.js", lambda route: route.abort())
    page.get_by_role("link", name="Chat").click()
    page.get_by_text("This view could not be read", exact=False).wait_for()
    page.unroute("**/views/chat.js")
    page.get_by_role("button", name="Try again").click()

    page.get_by_label("What to say").wait_for()


def test_what_another_operator_does_is_seen_without_a_reload(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/topology/till")
    live(page)
    page.get_by_role("button", name="Pause till").wait_for()
    shop.do(shop.guild.client.pause("till"))

    page.locator(".graph .agent", has_text="paused").wait_for()
    page.get_by_role("button", name="Resume till").wait_for()


def test_conversations_of_the_guild_that_was_here_before_are_not_listed(
    redis_url: str, watched: Watched
) -> None:
    port = free_port()
    opened = watched.page.get_by_role("table", name="Conversations opened lately")
    with serving_shop(redis_url, port=port) as served:
        served.do(served.guild.client.pause("desk"))
        asked = served.do(served.guild.client.publish("desk", Say(text="one")))
        watched.open(f"{served.url}#/conversations/{asked}").locator(".seq-step").wait_for()
        watched.open(f"{served.url}#/conversations")
        opened.wait_for()
    with serving_shop(redis_url, port=port) as served:
        watched.page.reload()
        watched.page.get_by_role("heading", name="Conversations").wait_for()
        assert opened.count() == 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_view_says_that_redis_is_gone_and_goes_on_when_it_is_back(
    tmp_path: "Path", watched: Watched
) -> None:
    server = RedisServer(redis_binary(), tmp_path)
    server.start()
    page = watched.page
    page.set_default_timeout(60_000)
    try:
        with serving_shop(server.url) as served:
            for view in LOOKING:
                watched.open(f"{served.url}#/{view}").locator("main h1").wait_for()
                settled(page)
                before = texts(page.locator("main h1, main h2"))
                server.kill()
                trouble = page.locator("main .notice.bad").or_(page.get_by_text("Trying again"))
                trouble.first.wait_for()
                assert trouble.count() <= 2, "it is told once, beside the state of the stream"
                assert texts(page.locator("main h1, main h2")) == before, view
                server.start()
                page.locator("main .notice.bad").first.wait_for(state="detached")
                page.get_by_text("Trying again").wait_for(state="detached")
    finally:
        server.stop()


def settled(page: "Page") -> None:
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_week_of_a_million_handlings_leaves_no_more_than_its_first_minute(
    shop: Served, watched: Watched
) -> None:
    page = watched.page
    page.add_init_script(PUMP)
    page.clock.install()
    watched.open(f"{shop.url}#/topology/desk").locator("h1").wait_for()
    live(page)
    page.evaluate("flood(100)")
    first = held(page)
    for _ in range(7 * 24):
        page.clock.fast_forward("01:00:00")
        live(page)  # again: an hour of silence is a broken line
        page.evaluate("flood(120)")  # 50 handlings each
    later = held(page)

    assert later["Nodes"] <= first["Nodes"] * 1.2 + 500
    assert later["JSHeapUsedSize"] <= first["JSHeapUsedSize"] * 1.2 + 2_000_000

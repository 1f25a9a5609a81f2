"""The form of a message, as a newcomer meets it: nothing goes that was not meant."""

import json
from typing import TYPE_CHECKING

from tests.console.served import Served
from tests.console.test_acts import first_message
from tests.console.watched import Watched, texts

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def told(page: "Page", command: str) -> str:
    return page.get_by_label(f"{command} command").inner_text()


def test_a_needed_text_that_nobody_typed_is_not_sent_as_an_empty_one(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.charge")
    form = page.locator("form.panel")
    form.get_by_label("cents").fill("7")
    form.get_by_role("button", name="Publish").click()
    form.locator(".field", has_text="order").locator(".field-problem").wait_for()
    assert "order" not in told(page, "curl")

    form.get_by_role("button", name="Send an empty text as order").click()
    form.get_by_label("number").fill("4111")
    assert watched.axe() == []
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("Accepted as", exact=False).wait_for()
    assert first_message(shop, "shop.charge") == {"order": "", "number": "4111", "cents": 7}


def test_what_guilds_tell_each_other_is_offered_on_demand_alone(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/publish")
    types = page.get_by_label("Type of message").locator("option")
    page.locator("form.panel").wait_for()
    assert not [name for name in texts(types) if name.startswith(("guild.", "bus."))]
    page.get_by_label("Internal types, too").check()
    assert "guild.approval_request" in texts(types)

    watched.open(f"{shop.url}#/publish/guild.approval_request")
    page.get_by_role("heading", name="ApprovalRequest").wait_for()


def test_the_commands_are_those_of_what_was_done_last(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.say")
    form = page.locator("form.panel")
    form.get_by_label("text").fill("hello")
    assert told(page, "guildbus").startswith("guildbus request")
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("Accepted as", exact=False).wait_for()

    assert told(page, "guildbus").startswith("guildbus publish")
    assert "/topics/desk/messages" in told(page, "curl")
    page.get_by_role("button", name="As a request").click()
    assert "/topics/desk/requests" in told(page, "curl")


def test_a_request_that_waits_can_be_cancelled(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.say")
    form = page.locator("form.panel")
    form.get_by_label("text").fill("please wait")
    form.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Cancel the request").click()

    page.get_by_text("The request was cancelled.").wait_for()
    assert watched.axe() == []
    assert first_message(shop, "guild.operated")["act"] == "cancel"
    assert form.get_by_role("button", name="Ask").is_enabled()


def test_a_field_that_a_message_has_by_now_is_there_without_a_reload(
    shop: Served, watched: Watched
) -> None:
    page = watched.page
    page.clock.install()
    form = watched.open(f"{shop.url}#/publish/shop.said").locator("form.panel")
    form.get_by_label("text").fill("half a sentence")

    def grown(route: "Route") -> None:
        types = route.fetch().json()
        said = next(each for each in types if each["type"] == "shop.said")
        said["json_schema"]["properties"]["mood"] = {"type": "string"}
        route.fulfill(json=types)

    page.route("**/api/v1/schemas", grown)
    page.clock.run_for(61_000)
    form.get_by_label("mood").fill("good")

    assert "half a sentence" in told(page, "curl")
    assert told(page, "guildbus").startswith("guildbus publish SPEC shop.said ")


def test_a_message_of_json_that_is_no_object_does_not_go(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.say")
    form = page.locator("form.panel")
    form.get_by_role("button", name="JSON").click()
    form.get_by_label("Message as JSON").fill("[1]")
    form.get_by_role("button", name="Publish").click()

    assert "is an object" in form.locator(".field-problem").inner_text()
    assert json.loads(told(page, "curl").split("--data ")[1].strip("'"))["data"] == {}

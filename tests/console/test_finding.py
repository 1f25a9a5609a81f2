"""Finding one's way: addresses that lead nowhere, what there was before the page, what is kept."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.console.served import Served
from tests.console.shop import Charge, Say, Ship, order
from tests.console.watched import Watched, texts

if TYPE_CHECKING:
    from playwright.sync_api import Page


def link(page: "Page", name: str) -> str:
    return page.get_by_role("navigation", name="Views").get_by_role("link", name=name).inner_text()


def refused(shop: Served, count: int) -> list[str]:
    for number in range(count):
        charge = Charge(order=str(number), number="0000", cents=5)
        shop.do(shop.guild.client.publish("till", charge))
    return shop.letters(count)


def test_an_address_without_a_page_says_so_and_names_those_there_are(
    shop: Served, watched: Watched
) -> None:
    for address in ("#/nix", "#/constructor", "#/Topology"):
        page = watched.open(shop.url + address)
        page.get_by_role("heading", name="There is no such page").wait_for()
        assert watched.axe() == []
        assert page.locator("nav [aria-current]").count() == 0
    page.locator("main").get_by_role("link", name="Dead letters").click()
    page.get_by_role("heading", name="Dead letters").wait_for()


def test_what_is_not_there_any_more_is_said_without_advice_for_programs(
    shop: Served, watched: Watched
) -> None:
    for address, sentence in {
        "#/topology/nobody": "The guild has no agent nobody.",
        "#/agents/nobody": "The guild has no agent nobody.",
        "#/dead-letters/nix": "This dead letter is not there any more.",
    }.items():
        page = watched.open(shop.url + address)
        page.get_by_text(sentence).wait_for()
        assert "/agents lists" not in page.locator("main").inner_text()
        assert "/dead-letters lists" not in page.locator("main").inner_text()


def test_dead_letters_are_counted_in_the_menu_and_at_their_agent(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/topology")
    page.locator(".graph .agent").first.wait_for()
    page.get_by_text("Live", exact=True).wait_for()
    assert link(page, "Dead letters") == "Dead letters"
    refused(shop, 2)
    page.locator(".graph .agent", has_text="2 dead").wait_for()

    assert link(page, "Dead letters").split() == ["Dead", "letters", "2", "kept"]


def test_what_a_busy_agent_does_has_room_in_its_node(shop: Served, watched: Watched) -> None:
    busy = {"per_s": 123456.7, "waiting": 4174, "in_hand": 1009, "oldest_s": 0.815, "failed": 0}
    idle = {**busy, "waiting": 99_999_999, "oldest_s": 86_000, "state": "not in the spec, paused"}
    long = "knowledge-base-searcher-eu-west"
    agents = {"clerk": busy, "till": {**busy, "failed": 987_654_321}, long: idle}
    data = json.dumps({"at": 1.0, "agents": agents, "edges": {}, "rows": [], "left_off": 0})
    watched.page.route(
        "**/api/v1/live",
        lambda route: route.fulfill(
            body=f"event: snapshot\ndata: {data}\n\n", content_type="text/event-stream"
        ),
    )
    watched.page.route(
        "**/api/v1/graph",
        lambda route: route.fulfill(body=route.fetch().text().replace('"shelf"', f'"{long}"')),
    )
    page = watched.open(f"{shop.url}#/topology")
    page.locator(".agent", has_text="123k/s, 1\u202f009 in hand").first.wait_for()
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".graph .agent")].flatMap((agent) => {
            const box = agent.querySelector("rect").getBBox();
            const texts = [...agent.querySelectorAll("text")].filter((text) => text.textContent);
            const boxes = texts.map((text) => text.getBBox());
            const isOut = (each) => each.x < box.x || each.x + each.width > box.x + box.width;
            const meets = (a, b) => Math.abs(a.y - b.y) < 5 && a.x < b.x && a.x + a.width > b.x;
            return boxes.filter((each) => isOut(each) || boxes.some((other) => meets(each, other)))
                .map(() => agent.textContent);
        })"""
    )

    assert outside == []


def test_agents_are_drawn_where_something_blocks_what_lays_them_out(
    shop: Served, watched: Watched
) -> None:
    watched.page.route("**/layout_worker.js", lambda route: route.abort())
    page = watched.open(f"{shop.url}#/topology/till")
    page.locator(".graph .agent.chosen").wait_for()

    assert page.locator(".graph .agent").count() == 6
    assert page.locator(".graph .arrow").count() == 1, "those of the chosen one"


def test_what_topics_hold_is_shown_beside_what_passes(shop: Served, watched: Watched) -> None:
    shop.do(shop.guild.client.pause("desk"))
    for text in ("first", "second"):
        shop.do(shop.guild.client.publish("desk", Say(text=text)))
    page = watched.open(f"{shop.url}#/messages?topic=desk")
    page.get_by_role("link", name="What is there", exact=True).click()
    page.get_by_text("2 messages.").wait_for()

    page.locator(".message", has_text="second").wait_for()
    assert "second" in (page.locator(".message").first.text_content() or "")
    page.locator(".message-head").first.click()
    page.get_by_text("Conversation", exact=True).wait_for()
    assert watched.axe() == []
    page.get_by_label("Text", exact=True).fill("first")
    page.keyboard.press("Enter")
    page.get_by_text("1 message.").wait_for()


def test_conversations_are_found_after_the_page_was_loaded_again(
    shop: Served, watched: Watched
) -> None:
    shop.do(shop.guild.client.pause("desk"))
    asked = shop.do(shop.guild.client.publish("desk", Say(text="hear me")))
    failed = shop.do(shop.guild.client.publish("orders", order("0000 1111")))
    shop.letters(1)
    page = watched.open(f"{shop.url}#/conversations/{asked}")
    page.locator(".seq-step").first.wait_for()
    watched.open(f"{shop.url}#/conversations")
    page.reload()
    opened = page.get_by_role("table", name="Conversations opened lately")
    opened.get_by_role("link").wait_for()

    assert "shop.say" in opened.inner_text()
    assert watched.axe() == []
    page.get_by_role("table", name="Conversations with dead letters").get_by_role(
        "link"
    ).first.click()
    page.locator(".id", has_text=str(failed)).first.wait_for()


def test_what_ended_last_is_seen_in_the_timeline(shop: Served, watched: Watched) -> None:
    asked = shop.do(shop.guild.client.publish("orders", order("0000 1111")))
    shop.letters(1)
    page = watched.open(f"{shop.url}#/conversations/{asked}?as=timeline")
    page.locator(".bar-row").first.wait_for()
    hidden = page.evaluate(
        """() => [...document.querySelectorAll(".bar-work")].filter((bar) => {
            const inner = bar.getBoundingClientRect();
            const outer = bar.parentElement.getBoundingClientRect();
            return inner.right > outer.right + 0.5 || inner.width < 2;
        }).length"""
    )

    assert hidden == 0


def test_a_requeue_is_no_error_among_the_attempts_and_its_letter_is_left_behind(
    shop: Served, watched: Watched
) -> None:
    refused(shop, 1)
    page = watched.open(f"{shop.url}#/dead-letters")
    page.get_by_role("link", name="CardRefusedError").click()
    page.locator("td.main a").first.click()
    page.get_by_role("button", name="Requeue").click()
    page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
    page.get_by_role("heading", name="Dead letters").wait_for()
    assert page.url.endswith("#/dead-letters?type=shop.charge&error=CardRefusedError&agent=till")
    (again,) = shop.letters(1)
    watched.open(f"{shop.url}#/dead-letters/{again}")
    row = page.get_by_role("table", name="Attempts").get_by_role("row", name="requeued")
    row.wait_for()

    assert texts(row.get_by_role("cell"))[2:] == ["", "by local"]


def test_approvals_in_the_same_words_are_told_apart_and_lead_to_their_conversations(
    shop: Served, watched: Watched
) -> None:
    for _ in range(2):
        shop.do(shop.guild.client.publish("dock", Ship(order="1")))
    ids = shop.approvals(2)
    page = watched.open(f"{shop.url}#/approvals")
    marks = page.locator("article span[title] > .id")
    page.locator("article").nth(1).wait_for()
    assert len(set(texts(marks))) == 2
    page.get_by_role("button", name="Reject").first.click()
    dialog = page.get_by_role("dialog")
    assert ids[0][-6:] in dialog.inner_text()
    dialog.get_by_role("button", name="Reject").click()
    decided = page.get_by_role("table", name="Decided")
    decided.get_by_role("link").click()

    page.locator(".seq-step").first.wait_for()


def test_the_time_left_to_decide_is_told_by_the_clock_of_the_gateway(
    shop: Served, watched: Watched
) -> None:
    watched.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=5))
    shop.do(shop.guild.client.publish("dock", Ship(order="1")))
    shop.approvals(1)
    page = watched.open(f"{shop.url}#/approvals")

    page.get_by_text("in 23 h 59 min", exact=False).wait_for()


def test_a_choice_of_many_words_stays_in_its_panel(shop: Served, watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 320, "height": 640})
    carriers = ("by the fastest ship there is, with a voucher for the rest", "x" * 70)
    shop.do(shop.guild.client.publish("dock", Ship(order="1", carriers=carriers)))
    shop.approvals(1)
    page = watched.open(f"{shop.url}#/approvals")
    page.get_by_role("button", name="by the fastest").wait_for()
    outside = page.evaluate(
        """() => [...document.querySelectorAll("article *")].filter((each) =>
            each.getBoundingClientRect().right
            > each.closest("article").getBoundingClientRect().right).length"""
    )

    assert outside == 0


def test_the_heading_is_read_where_the_link_that_led_here_is_gone(
    shop: Served, watched: Watched
) -> None:
    refused(shop, 1)
    page = watched.open(f"{shop.url}#/dead-letters")
    page.get_by_role("link", name="CardRefusedError").press("Enter")
    page.get_by_role("button", name="Requeue all of these").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Dead letters"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Requeue all of these"


def test_escape_closes_the_menu_of_a_narrow_page(shop: Served, watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    page = watched.open(f"{shop.url}#/topology")
    menu = page.get_by_role("button", name="Menu")
    menu.press("Enter")
    page.get_by_role("link", name="Approvals", exact=True).focus()
    page.keyboard.press("Escape")

    assert menu.get_attribute("aria-expanded") == "false"
    assert page.evaluate("document.activeElement.textContent") == "Menu"


def test_who_answers_in_a_chat_goes_by_the_name_of_the_agent(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/chat")
    page.get_by_label("What to say").fill("hello")
    page.keyboard.press("Enter")
    page.locator(".turn.assistant[aria-busy=false]").wait_for()

    assert texts(page.locator(".speaker")) == ["You", "desk"]


def test_the_pages_of_a_long_list_miss_no_letter_and_show_none_twice(
    shop: Served, watched: Watched
) -> None:
    refused(shop, 60)
    page = watched.open(f"{shop.url}#/dead-letters?agent=till")
    seen = letters_on(page)
    page.get_by_role("link", name="Those after them").click()
    page.locator(f"a[href='{seen[0]}']").wait_for(state="detached")
    seen += letters_on(page)

    assert [len(seen), len(set(seen))] == [60, 60]
    assert page.get_by_role("link", name="Those after them").count() == 0


def letters_on(page: "Page") -> list[str]:
    links = page.locator("td.main a")
    links.first.wait_for()
    return [str(link.get_attribute("href")) for link in links.all()]


def test_a_moment_is_told_in_the_same_time_zone_wherever_it_is_told(
    shop: Served, watched: Watched
) -> None:
    zone = {"timezoneId": "Asia/Kolkata"}
    page = watched.page
    page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", zone)
    refused(shop, 1)
    watched.open(f"{shop.url}#/dead-letters?agent=till")
    time = page.locator("td.main time")
    time.wait_for()
    shown, title = time.inner_text(), str(time.get_attribute("title"))

    assert shown in title
    assert title.endswith("+05:30")


def test_what_is_too_long_to_be_shown_is_copied_whole_where_the_browser_lets_it(
    shop: Served, watched: Watched
) -> None:
    page = watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shop.do(shop.guild.client.pause("desk"))
    shop.do(shop.guild.client.publish("desk", Say(text="x" * 30_000)))
    watched.open(f"{shop.url}#/messages?topic=desk&show=held")
    page.locator(".message-head").click()
    page.get_by_text("all of them are copied", exact=False).wait_for()
    copy = page.get_by_role("button", name="Copy Message")
    copy.click()
    page.get_by_text("Copied to the clipboard: Message.").wait_for()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == {"text": "x" * 30_000}
    assert watched.axe() == []

    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    copy.click()
    page.get_by_text("does not let this page write to the clipboard", exact=False).wait_for()


def test_agents_that_are_not_well_are_listed_first(shop: Served, watched: Watched) -> None:
    shop.do(shop.guild.client.pause("dock"))
    page = watched.open(f"{shop.url}#/agents")
    page.locator("td.main", has_text="dock").wait_for()

    assert texts(page.locator("td.main"))[:2] == ["dock", "clerk"]


def test_a_long_word_stays_in_its_column_and_a_large_number_is_not_rounded(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/messages?type=shop.charge")
    page.get_by_text("Live", exact=True).wait_for()
    charge = Charge(order="x" * 3000, number="0000", cents=1152921504606846977)
    shop.do(shop.guild.client.publish("till", charge))
    (letter,) = shop.letters(1)
    page.locator(".message-head").first.click()
    assert "1152921504606846977" in (page.locator(".message pre").first.text_content() or "")
    watched.open(f"{shop.url}#/dead-letters/{letter}")
    page.locator("pre", has_text="1152921504606846977").wait_for()
    for address in (
        "#/messages?show=held",
        f"#/dead-letters/{letter}",
        "#/dead-letters?agent=till",
    ):
        watched.open(shop.url + address)
        page.locator("main .panel, main table, .empty, .messages").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address

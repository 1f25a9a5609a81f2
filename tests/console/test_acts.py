"""What can be done in the console is done to the guild, and by keyboard alone."""

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from guild.deciding import show_approval
from tests.console.served import Served
from tests.console.shop import Charge, Ship, order
from tests.console.watched import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Page


def agent_state(shop: Served, agent: str) -> str:
    return str(shop.do(shop.guild.client.agent(agent)).state)


def test_an_agent_is_paused_drained_and_resumed_after_it_was_said_what_will_happen(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/agents")
    page.get_by_role("button", name="Pause till").click()
    dialog = page.get_by_role("dialog")

    assert "begins another message" in dialog.inner_text()
    assert watched.axe() == []
    dialog.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume till").wait_for()
    assert agent_state(shop, "till") == "paused"

    page.get_by_role("button", name="Resume till").click()
    page.get_by_role("button", name="Drain till").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()

    page.get_by_text("till is drained, and paused until it is resumed.").wait_for()
    assert agent_state(shop, "till") == "paused"


def test_a_dialog_that_is_left_does_nothing_and_gives_the_focus_back(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/agents")
    button = page.get_by_role("button", name="Pause till")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")

    assert button.evaluate("(button) => document.activeElement === button")
    assert agent_state(shop, "till") == "active"


def test_a_form_of_unions_lists_and_recursion_is_sent_as_it_was_filled_in(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.place_order")
    form = page.locator("form.panel")
    form.get_by_label("customer").fill("Ada L'Ove")
    form.get_by_label("item").first.fill("book")
    form.get_by_role("button", name="Set inside").click()
    form.get_by_role("button", name="Add to inside").click()
    form.get_by_label("item").nth(1).fill("bookmark")
    form.get_by_label("Kind of payment").select_option(label="Invoice")
    form.get_by_label("days").fill("14")
    form.get_by_label("speed").select_option(label="fast")
    form.get_by_label("gift").select_option(label="true")
    form.get_by_label("weight_kg").fill("1.50")
    form.get_by_role("button", name="Set labels").click()
    form.get_by_role("button", name="Add to labels").click()
    form.get_by_label("key1").fill("1152921504606846977")
    curl = page.get_by_label("curl command").inner_text()
    command = page.get_by_label("guildbus command").inner_text()
    form.get_by_role("button", name="Ask").click()
    page.get_by_role("heading", name="The answer", exact=True).wait_for()

    sent = first_message(shop, "shop.place_order")
    assert sent == {
        "customer": "Ada L'Ove",
        "boxes": [{"item": "book", "inside": [{"item": "bookmark", "inside": []}]}],
        "payment": {"kind": "invoice", "days": 14},
        "speed": "fast",
        "gift": True,
        "weight_kg": 1.5,
        "labels": {"key1": 1152921504606846977},
        "note": "",
    }
    assert '"weight_kg":1.50' in curl
    assert "'customer=Ada L'\\''Ove'" in command
    assert "packing" in page.get_by_label("What came of it").inner_text()


def first_message(shop: Served, wire_type: str) -> Any:
    async def found() -> Any:
        async for each in shop.guild.client.tap([">"], from_start=True):
            if each.envelope.type == wire_type:
                return json.loads(each.envelope.payload)
        return None

    return shop.do(found())


def test_the_command_that_is_shown_does_the_same_as_the_form(
    shop: Served, watched: Watched, run_shell: Any
) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.say")
    page.locator("form.panel").get_by_label("text").fill("it's $HOME `date` ü \u202e")
    curl = page.get_by_label("curl command").inner_text()

    answer = run_shell(curl)

    assert "it's $HOME `date` ü \\u202e" in answer or "it's $HOME `date` ü \u202e" in answer


def test_fields_that_do_not_fit_are_told_beside_them(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.place_order")
    form = page.locator("form.panel")
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("The message does not fit its type", exact=False).wait_for()

    field = form.locator(".field", has_text="customer").first
    assert "required" in field.locator(".field-problem").inner_text()
    assert page.get_by_text("required", exact=False).count() == 3, "each is told once"
    assert watched.axe() == []


def test_a_form_becomes_json_and_json_a_form(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/publish/shop.charge")
    form = page.locator("form.panel")
    form.get_by_label("number").fill("4111 1111")
    form.get_by_role("button", name="JSON").click()
    text = form.get_by_label("Message", exact=False)

    assert json.loads(text.input_value()) == {"number": "4111 1111"}
    text.fill('{"order": "a", "number": "4", "cents": 1')
    assert "not JSON" in form.locator(".field-problem").inner_text()
    text.fill('{"order": "a", "number": "4", "cents": 7}')
    form.get_by_role("button", name="Form").click()
    assert form.get_by_label("cents").input_value() == "7"


def test_what_is_no_value_does_not_go_as_the_value_before_it(
    shop: Served, watched: Watched
) -> None:
    shop.do(shop.guild.client.publish("till", Charge(order="1", number="0000", cents=5)))
    (letter,) = shop.letters(1)
    page = watched.open(f"{shop.url}#/publish/shop.charge")
    form = page.locator("form.panel")
    form.get_by_label("cents").fill("7 or 8")
    form.get_by_role("button", name="Publish").click()
    assert form.get_by_label("cents").evaluate("it => it.validationMessage") != ""
    form.get_by_role("button", name="JSON").click()
    form.get_by_label("Message", exact=False).fill('{"order": "a", "number": "4", "cents": 1')
    form.get_by_role("button", name="Publish").click()
    assert "not JSON" in form.locator(".field-problem").first.inner_text()

    watched.open(f"{shop.url}#/dead-letters/{letter}")
    page.get_by_role("button", name="Edit the message").click()
    page.get_by_role("button", name="JSON").click()
    text = page.get_by_label("Message as JSON")
    text.fill('{"order": "1", "number": "4111", "cents": 5}')
    text.fill('{"order": "1", "number": "4222", "cents": 5')
    page.get_by_role("button", name="Requeue as edited").click()
    assert page.get_by_role("dialog").count() == 0
    text.fill('{"order": "1", "number": "4222", "cents": 5}')
    page.get_by_role("button", name="Requeue as edited").click()
    page.get_by_role("dialog").wait_for()
    assert shop.letters(1) == [letter]


def test_a_chat_shows_the_text_as_it_is_written_and_can_be_stopped(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/chat")
    said = page.get_by_label("What to say")
    said.fill("good day to you")
    page.keyboard.press("Enter")
    page.locator(".turn.assistant[aria-busy=false] .said", has_text="good day to you").wait_for()
    said.fill("please wait")
    page.keyboard.press("Enter")
    page.locator(".turn.assistant .said", has_text="please wait").wait_for()

    assert watched.axe() == []
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("It was stopped.").wait_for()


def test_a_dead_letter_is_edited_and_requeued(shop: Served, watched: Watched) -> None:
    shop.do(shop.guild.client.publish("till", Charge(order="1", number="0000", cents=5)))
    shop.letters(1)
    page = watched.open(f"{shop.url}#/dead-letters")
    page.get_by_role("link", name="CardRefusedError").click()
    page.locator("td.main a").first.click()
    page.get_by_role("button", name="Edit the message").click()
    page.get_by_label("number").fill("4111")
    page.get_by_role("button", name="Requeue as edited").click()
    dialog = page.get_by_role("dialog")

    assert "number" in dialog.inner_text()
    assert "cents" not in dialog.inner_text()
    dialog.get_by_role("button", name="Requeue").click()
    page.get_by_text("None of these is left.").wait_for()
    assert shop.letters(0) == []


def test_letters_of_a_kind_are_counted_before_all_are_requeued(
    shop: Served, watched: Watched
) -> None:
    for number in range(3):
        charge = Charge(order=str(number), number="0000", cents=5)
        shop.do(shop.guild.client.publish("till", charge))
    shop.letters(3)
    page = watched.open(f"{shop.url}#/dead-letters?agent=till")
    page.get_by_role("button", name="Requeue all of these").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 messages").wait_for()
    assert shop.letters(3), "to count them has moved none"
    dialog.get_by_role("button", name="Requeue").click()

    page.get_by_text("3 messages went to their agents again.").wait_for()


def test_letters_of_a_kind_are_counted_before_all_are_dropped(
    shop: Served, watched: Watched
) -> None:
    for number in range(3):
        charge = Charge(order=str(number), number="0000", cents=5)
        shop.do(shop.guild.client.publish("till", charge))
    shop.letters(3)
    page = watched.open(f"{shop.url}#/dead-letters?agent=till")
    page.get_by_role("button", name="Drop all of these").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 messages").wait_for()
    assert "cannot be undone" in dialog.inner_text()
    assert shop.letters(3), "to count them has dropped none"
    dialog.get_by_label("Why").fill("not ours")
    dialog.get_by_role("button", name="Drop for good").click()

    page.get_by_text("3 dead letters dropped.").wait_for()
    assert shop.letters(0) == []
    assert first_message(shop, "guild.dead_letter_dropped")["reason"] == "not ours"


def test_a_dead_letter_is_dropped_with_a_reason_that_the_events_keep(
    shop: Served, watched: Watched
) -> None:
    shop.do(shop.guild.client.publish("till", Charge(order="1", number="0000", cents=5)))
    (letter,) = shop.letters(1)
    page = watched.open(f"{shop.url}#/dead-letters/{letter}")
    page.get_by_role("button", name="Drop").click()
    dialog = page.get_by_role("dialog")

    assert "cannot be undone" in dialog.inner_text()
    dialog.get_by_label("Why").fill("not ours")
    dialog.get_by_role("button", name="Drop for good").click()
    page.get_by_text("None of these is left.").wait_for()
    assert first_message(shop, "guild.dead_letter_dropped")["reason"] == "not ours"


@pytest.mark.parametrize("act", ["Approve: fast", "Reject"])
def test_an_approval_is_decided_with_a_reason(shop: Served, watched: Watched, act: str) -> None:
    shop.do(shop.guild.client.publish("dock", Ship(order="1", carriers=("cheap", "fast"))))
    (lying,) = shop.approvals(1)
    page = watched.open(f"{shop.url}#/approvals")
    page.get_by_role("button", name=act).click()
    dialog = page.get_by_role("dialog")
    assert "cannot be taken back" in dialog.inner_text()
    dialog.get_by_label("Reason").fill("as agreed")
    dialog.get_by_role("button", name=act[:6]).click()
    page.get_by_text("Nothing waits for a decision.").wait_for()

    approval = shop.do(show_approval(shop.guild.client, lying))
    assert approval.decision is not None
    assert approval.decision.approved is (act != "Reject")
    assert (approval.decision.by, approval.decision.reason) == ("local", "as agreed")
    assert approval.decision.option == ("fast" if act != "Reject" else "")


def test_the_failing_step_of_a_conversation_is_shown_first_and_any_other_by_keyboard(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/topology")  # while a page looks, times are told
    page.locator(".graph .agent").first.wait_for()
    asked = shop.do(shop.guild.client.publish("orders", order("0000 1111")))
    shop.letters(1)
    watched.open(f"{shop.url}#/conversations/{asked}")

    page.get_by_text("failed first", exact=False).wait_for()
    assert "CardRefusedError" in page.locator("#step-detail").inner_text()
    page.locator(".seq-step", has_text="shop.place_order").focus()
    page.keyboard.press("Enter")
    page.locator("#step-detail", has_text="Ada").wait_for()
    assert watched.axe() == []


def test_a_conversation_that_is_looked_at_grows_as_it_goes_on(
    shop: Served, watched: Watched
) -> None:
    shop.do(shop.guild.client.pause("till"))
    asked = shop.do(shop.guild.client.publish("orders", order("0000 1111")))
    page = watched.open(f"{shop.url}#/conversations/{asked}?as=tree")
    page.locator(".tree-step", has_text="shop.charge").wait_for()
    until_streaming(page)
    shop.do(shop.guild.client.resume("till"))

    page.get_by_text("failed first", exact=False).wait_for()


def test_all_views_are_reached_by_keyboard_alone(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/topology")
    page.locator(".graph .agent").first.wait_for()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.getAttribute('href') ?? document.activeElement.textContent"
        )
        reached.add(name)

    assert {"#/messages", "#/publish", "#/agents", "#/dead-letters", "#/topology/till"} <= reached


def test_messages_are_filtered_and_held_and_go_on(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/messages?type=shop.charge")
    page.get_by_text("Nothing has passed yet.").wait_for()
    until_streaming(page)
    shop.do(shop.guild.client.publish("orders", order(customer="first")))
    page.locator(".message", has_text="shop.charge").wait_for()

    assert page.locator(".message", has_text="shop.place_order").count() == 0
    page.get_by_role("button", name="Pause").click()
    shop.do(shop.guild.client.publish("orders", order(customer="second")))
    page.get_by_text("1 message passed meanwhile", exact=False).wait_for()
    assert page.locator(".message").count() == 1


def test_a_message_that_is_read_is_not_pushed_away(shop: Served, watched: Watched) -> None:
    page = watched.open(f"{shop.url}#/messages?type=shop.reserve")
    until_streaming(page)
    shop.do(shop.guild.client.publish("orders", order()))
    page.locator(".message-head").click()
    shop.do(shop.guild.client.publish("orders", order()))
    page.get_by_text("1 message passed meanwhile", exact=False).wait_for()

    assert page.locator(".message").count() == 1
    page.get_by_role("button", name="Go on").click()
    shop.do(shop.guild.client.publish("orders", order()))
    page.locator(".message").nth(1).wait_for()
    assert page.locator(".message-head[aria-expanded=true]").count() == 1


def test_what_is_typed_and_where_survive_what_comes_meanwhile(
    shop: Served, watched: Watched
) -> None:
    page = watched.open(f"{shop.url}#/messages")
    until_streaming(page)
    field = page.get_by_label("Text", exact=True)
    field.press_sequentially("half")
    shop.do(shop.guild.client.publish("orders", order()))
    page.locator(".message").first.wait_for()

    assert field.input_value() == "half"
    assert field.evaluate("(field) => document.activeElement === field")


@pytest.mark.parametrize("key", [{"isComposing": True}, {"keyCode": 229}])
def test_enter_that_ends_a_composition_sends_nothing(
    shop: Served, watched: Watched, key: dict[str, Any]
) -> None:
    page = watched.open(f"{shop.url}#/chat")
    said = page.get_by_label("What to say")
    said.fill("むずかしい")
    said.evaluate(
        "(field, key) => field.dispatchEvent(new KeyboardEvent('keydown',"
        " { key: 'Enter', bubbles: true, cancelable: true, ...key }))",
        key,
    )

    assert page.locator(".turn").count() == 0
    page.keyboard.press("Enter")
    page.locator(".turn.assistant[aria-busy=false]", has_text="むずかしい").wait_for()


def until_streaming(page: "Page") -> None:
    page.get_by_text("Live", exact=True).wait_for()


@pytest.fixture
def run_shell() -> Any:
    def run(command: str) -> str:
        done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run

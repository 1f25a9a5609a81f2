"""Each view on a real guild: read by everybody, on every screen, in both themes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.served import Served
from tests.console.shop import Ship, order
from tests.console.watched import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = {"phone": (390, 844), "desk": (1280, 900)}
SHOTS = os.environ.get("GUILDBUS_SCREENSHOTS")
"""A folder to leave pictures in, to be looked at."""

VIEWS = {
    "topology": ("#/topology", ".graph .agent"),
    "topology-agent": ("#/topology/till", "section.panel dl"),
    "messages": ("#/messages", "h1"),
    "held": ("#/messages?show=held", ".message"),
    "nowhere": ("#/nowhere", ".empty"),
    "conversations": ("#/conversations", "h1"),
    "sequence": ("#/conversations/{conversation}", ".seq-step"),
    "timeline": ("#/conversations/{conversation}?as=timeline", ".bar-row"),
    "tree": ("#/conversations/{conversation}?as=tree", ".tree-step"),
    "publish": ("#/publish/shop.place_order", "form.panel"),
    "chat": ("#/chat", ".say"),
    "agents": ("#/agents", "table"),
    "agent": ("#/agents/till", "section.panel dl"),
    "dead-letters": ("#/dead-letters", "table"),
    "dead-letters-group": ("#/dead-letters?agent=till", "table"),
    "approvals": ("#/approvals", "article"),
    "dead-letter": ("#/dead-letters/{letter}", "section.panel"),
}


@pytest.fixture
def failed(shop: Served) -> dict[str, str]:
    """An order whose payment was refused."""
    conversation = shop.do(shop.guild.client.publish("orders", order("0000 1111")))
    (letter,) = shop.letters(1)
    shop.do(shop.guild.client.publish("dock", Ship(order="1", carriers=("cheap", "fast"))))
    shop.approvals(1)
    return {"conversation": str(conversation), "letter": letter}


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("phone", "light"),
        ("desk", "dark"),
        pytest.param("phone", "dark", marks=pytest.mark.long),
        pytest.param("desk", "light", marks=pytest.mark.long),
    ],
)
def test_each_view_can_be_read_by_everybody(
    shop: Served, failed: dict[str, str], watched: Watched, size: str, theme: str
) -> None:
    page = watched.page
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    page.emulate_media(color_scheme=theme)
    problems: dict[str, list[str]] = {}
    for name, (address, sign) in VIEWS.items():
        watched.open(shop.url + address.format(**failed))
        page.locator(sign).first.wait_for()
        problems[name] = watched.axe() + too_wide(page)
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{size}.png")

    assert not {name: each for name, each in problems.items() if each}


def too_wide(page: "Page") -> list[str]:
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"the page is {width} px wider than the screen"] if width > 0 else []

"""A page, and what the browser has to complain of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request

AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text(encoding="utf-8")
RUN_AXE = """async () => {
    const { violations } = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map(({ id, nodes }) =>
        `${id}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`)}`);
}"""
LISTEN = """addEventListener("securitypolicyviolation", (event) =>
    console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`));"""
OF_THE_NETWORK = "Failed to load resource"
"""The browser says so of each answer that is an error; the page has to say more."""


class Watched:
    """A page of the console.

    Attributes:
        complaints: errors of scripts, of the policy, and requests to elsewhere.
        foreseen: parts of complaints that a test means to provoke.
    """

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.complaints: list[str] = []
        self.urls: list[str] = []
        self._home = ""
        page.add_init_script(LISTEN)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))
        page.on("request", self._asked)

    def open(self, url: str) -> "Page":
        self._home = self._home or url.split("#", maxsplit=1)[0]
        self.page.goto(url)
        return self.page

    def axe(self) -> list[str]:
        """What axe finds wrong with the page as it is."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        found: list[str] = self.page.evaluate(RUN_AXE)
        return found

    def _said(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning") and OF_THE_NETWORK not in message.text:
            self.complaints.append(message.text)

    def _asked(self, request: "Request") -> None:
        self.urls.append(request.url)
        if not request.url.startswith((self._home, "data:", "about:")):
            self.complaints.append(f"asked {request.url}")


def texts(found: Any) -> list[str]:
    """What stands in each of the elements, in order."""
    return [text.strip() for text in found.all_inner_texts()]

"""Ways to look at a guild, one after the other: each begins from whatever was before."""

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.console.browser import Browser, Tab
from benchmarks.console.processes import Worker, running_console

ALONE, ATTACHED = "no gateway", "a gateway, no tab"
VIEWS = ("topology", "messages")
STAGES = (ALONE, ATTACHED, *VIEWS)


class Stages:
    """Brings a gateway and a tab about, or takes them away."""

    def __init__(self, spec: Path, url: str, guild: Worker, browser: Browser) -> None:
        self.guild = guild
        self._spec = spec
        self._url = url
        self._browser = browser
        self._of_gateway = AsyncExitStack()
        self._of_tab = AsyncExitStack()
        self._address = ""
        self._tab: Tab | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._of_tab.aclose()
        await self._of_gateway.aclose()

    async def enter(self, stage: str) -> None:
        """Return once it is so, and the guild has noticed."""
        if stage not in VIEWS:
            await self._of_tab.aclose()
            self._tab = None
        if stage == ALONE:
            await self._of_gateway.aclose()
            self._address = ""
        elif not self._address:
            running = running_console(self._spec, self._url)
            _, self._address = await self._of_gateway.enter_async_context(running)
        if stage in VIEWS:
            if self._tab is None:
                tab = self._browser.tab(self._address)
                self._tab = await self._of_tab.enter_async_context(tab)
                await self._tab.paints()
            await self._tab.show(stage)
        await self.guild.watched(is_watched=stage in VIEWS)

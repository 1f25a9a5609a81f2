"""Back-pressure: past the soft limit of a topic publishers learn later that they were heard.

What they published is stored by then, so waiting changes no order and nothing can be lost by it.
The answer to an append says how full the topic is: below the limit nothing is asked. Past it one
task a topic trims and looks, however many wait; where no group lags, none has to wait.
"""

import asyncio
from collections.abc import Callable

from messaging.backends.redis.server import Server
from messaging.backends.redis.upkeep import trim_topic
from messaging.errors import BackendError

LOOK_EVERY_S = 0.05


class Backpressure:
    """The publishers that wait for room, by topic.

    Attributes:
        soft_backlog: how many entries a topic holds before publishers are slowed.
    """

    def __init__(self, server: Server) -> None:
        options = server.options
        soft = options.soft_backlog
        self.soft_backlog = options.max_backlog - options.max_backlog // 4 if soft is None else soft
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, dict[Callable[[], None], asyncio.TimerHandle]] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    def hold(self, topic: str, let_go: Callable[[], None]) -> None:
        """Call `let_go` once `topic` has room again, at the latest after `soft_wait_s`."""
        wait_s = self._server.options.soft_wait_s
        timer = self._loop.call_later(wait_s, self._let_go, topic, let_go)
        self._held.setdefault(topic, {})[let_go] = timer
        if topic not in self._watching:
            self._watching[topic] = self._loop.create_task(self._watch(topic))

    async def close(self) -> None:
        """Let everybody go."""
        watching = tuple(self._watching.values())
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for topic in tuple(self._held):
            self._let_all_go(topic)

    async def _watch(self, topic: str) -> None:
        try:
            while self._held.get(topic):
                trimmed = await trim_topic(self._server, topic)
                if trimmed.left <= self.soft_backlog or not trimmed.lagging:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
        except BackendError:
            return  # the server is away: what they published is stored, and they are told so
        finally:
            del self._watching[topic]
            self._let_all_go(topic)

    def _let_all_go(self, topic: str) -> None:
        for let_go in tuple(self._held.get(topic, ())):
            self._let_go(topic, let_go)

    def _let_go(self, topic: str, let_go: Callable[[], None]) -> None:
        held = self._held[topic]
        held.pop(let_go).cancel()
        if not held:
            del self._held[topic]
        let_go()

"""autogen-core in memory: one runtime without telemetry, which is quicker, and a routed agent."""

from collections.abc import Sequence
from typing import Any

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from opentelemetry.trace import NoOpTracerProvider

from benchmarks.contestant import (
    AWAITED,
    REQUEST,
    REQUEST_64,
    Contestant,
    Note,
    Tally,
    publish_each,
)


class Counter(RoutedAgent):
    """Counts what is published and sends back what it is asked."""

    def __init__(self, tally: Tally) -> None:
        super().__init__("counter")
        self._tally = tally

    @message_handler(match=lambda note, ctx: not ctx.is_rpc)
    async def count(self, message: Note, ctx: MessageContext) -> None:
        self._tally.count()

    @message_handler(match=lambda note, ctx: ctx.is_rpc)
    async def answer(self, message: Note, ctx: MessageContext) -> Note:
        return message


class AutogenPeer(Contestant):
    """Messages never leave the process, as in Guildbus' memory."""

    scenarios = (AWAITED, REQUEST, REQUEST_64)
    is_on_server = False
    share = 4

    def __init__(self, _url: str) -> None:
        self._tally = Tally()
        self._runtime = SingleThreadedAgentRuntime(tracer_provider=NoOpTracerProvider())

    async def open(self) -> None:
        await Counter.register(self._runtime, "counter", lambda: Counter(self._tally))
        await self._runtime.add_subscription(TypeSubscription("bench.notes", "counter"))
        self._runtime.start()

    async def close(self) -> None:
        await self._runtime.stop()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))
        topic = TopicId("bench.notes", "bench")

        await publish_each(
            lambda note: self._runtime.publish_message(note, topic), notes, publishers
        )
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        answer: Any = await self._runtime.send_message(note, AgentId("counter", "bench"))
        assert isinstance(answer, Note)
        return answer

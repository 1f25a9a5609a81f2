"""Workers that lack one thing which keeps the promises: each row has one that has to fail."""

import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping

from messaging.backend import Delivery, Settlement
from messaging.backends.redis import server as server_module
from messaging.backends.redis.connection import error_replies
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.redis.consumer.fetcher import Fetcher
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.scripts import make_script
from messaging.backends.redis.server import Server
from messaging.consuming import task_scope
from messaging.consuming.committer import Committer
from messaging.consuming.liveness import Watch
from messaging.consuming.replica import Running
from messaging.control import tail
from messaging.errors import LostWorkerError, MessagingError, UnknownTypeError
from messaging.handling.settlement import SettlementBuilder
from messaging.handling.starts import Starts
from messaging.handling.unreadable import Unreadable
from messaging.state.contention import Contention
from messaging.state.steps import Journal

FENCING = "redis.call('HDEL', KEYS[1], old)"


async def mutate(server: Server, name: str, instead: Callable[[str], str]) -> None:
    """Let this process run the script `name` with another text."""
    text = getattr(server.scripts, name).text
    mutant = make_script(name, instead(text))
    assert mutant.text != text
    setattr(server.scripts, name, mutant)
    await server.connection.call("SCRIPT", "LOAD", mutant.text)


async def without_fence(server: Server) -> None:
    """Take over without making the other powerless, and never doubt what one was lent."""
    await mutate(server, "claim", lambda text: text.replace(FENCING, ""))
    server.scripts.recommit, server.scripts.resettle = server.scripts.commit, server.scripts.settle


async def acknowledging_early(server: Server) -> None:
    """Acknowledge what is lent, as at-most-once consumers do."""
    read = RedisConsumer.read

    async def read_and_acknowledge(
        self: RedisConsumer, max_count: int, wait_s: float
    ) -> list[Delivery]:
        lent = await read(self, max_count, wait_s)
        for delivery in lent:
            stream = server.keys.stream(delivery.envelope.topic)
            await server.connection.call("XACK", stream, self.group, delivery.position)
        return lent

    RedisConsumer.read = read_and_acknowledge  # type: ignore[method-assign] # this is a mutant


async def forgetting_failures(server: Server) -> None:
    """Acknowledge what failed, instead of trying it again."""

    async def failed(
        self: SettlementBuilder, delivery: Delivery, error: BaseException
    ) -> Settlement:
        return Settlement(delivery)

    SettlementBuilder.failed = failed  # type: ignore[method-assign] # this is a mutant


async def counting_lendings(server: Server) -> None:
    """Take what was lent so often for what was begun so often."""

    async def begin(self: Starts, delivery: Delivery, journal: Journal) -> Delivery:
        lendings = delivery.envelope.attempt + delivery.redelivery_count
        if delivery.redelivery_count > 1 and lendings > self._attempts:
            raise LostWorkerError(delivery.envelope.type, delivery.envelope.id, lendings)
        return delivery

    Starts.begin = begin  # type: ignore[method-assign] # this is a mutant


async def forgetting_starts(server: Server) -> None:
    """Record no start of a handler."""

    async def begin(self: Starts, delivery: Delivery, journal: Journal) -> Delivery:
        return delivery

    Starts.begin = begin  # type: ignore[method-assign] # this is a mutant


async def impatient_with_versions(server: Server) -> None:
    """Give up at once what this process does not know."""

    async def left(self: Unreadable, delivery: Delivery, error: UnknownTypeError) -> None:
        return None

    Unreadable.left = left  # type: ignore[method-assign] # this is a mutant


async def without_reloading(server: Server) -> None:
    """Take a script that the server does not know for an error like any other."""

    def code_of(error: Exception) -> str:
        return "" if "NOSCRIPT" in str(error) else error_replies.code_of(error)

    server_module.code_of = code_of  # type: ignore[attr-defined] # this is a mutant


async def without_memory(server: Server) -> None:
    """Do not notice that the server has forgotten the guild."""
    TopicRegistry._forgotten = nothing_forgotten  # type: ignore[method-assign] # this is a mutant


async def without_repair(server: Server) -> None:
    """Take a group that is gone from its stream for one that is owed nothing."""
    Fetcher._repair = nothing  # type: ignore[method-assign] # this is a mutant


async def without_counting(server: Server) -> None:
    """Do not compare what the server lends with what is in hand."""

    async def lend_again(self: Fetcher, topic: str) -> None:
        pass

    Fetcher.lend_again = lend_again  # type: ignore[method-assign] # this is a mutant


def nothing_forgotten(self: TopicRegistry, news: object, *, is_elsewhere: bool) -> list[str]:
    """Instead of a look at what the server has forgotten."""
    return []


async def nothing(*_: object) -> None:
    """Instead of a method that matters."""


async def dropping_when_full(server: Server) -> None:
    """Acknowledge what there was no room to answer."""

    def hold(self: Committer, settlement: Settlement, error: MessagingError) -> None:
        self.add(Settlement(settlement.delivery))

    Committer._hold = hold  # type: ignore[method-assign] # this is a mutant


async def doubting_always(server: Server) -> None:
    """Refuse a commit of what the server does not say is lent, also when it surely was."""
    server.scripts.commit, server.scripts.settle = server.scripts.recommit, server.scripts.resettle


async def beating_by_the_clock(server: Server) -> None:
    """Take for dead whoever's last beat is older than a lease, by the clocks on the wall."""
    beat = RedisConsumer.beat

    async def beat_by_the_clock(self: RedisConsumer) -> Mapping[str, int]:
        beats, now = await beat(self), int(time.time() * 1000)
        await server.connection.call("HSET", server.keys.beats(self.group), self.incarnation, now)
        return beats

    def look(self: Watch, beats: Mapping[str, int], now_s: float) -> list[str]:
        oldest = (time.time() - self._lease_s) * 1000
        return [name for name, at in beats.items() if name != self._own and at < oldest]

    RedisConsumer.beat = beat_by_the_clock  # type: ignore[method-assign] # this is a mutant
    Watch.look = look  # type: ignore[method-assign] # this is a mutant


async def waiting_by_the_clock(server: Server) -> None:
    """Keep what waits until the hour that it was told, whatever became of the clock."""
    for name in ("release", "commit", "recommit"):
        await mutate(server, name, lambda text: text.replace("if now < seen then", "if false then"))


async def counting_sleep(server: Server) -> None:
    """Take others for dead also for the time in which nobody could look."""
    look = Watch.look

    def look_and_count(self: Watch, beats: Mapping[str, int], now_s: float) -> list[str]:
        self._most_per_look_s = math.inf
        return look(self, beats, now_s)

    Watch.look = look_and_count  # type: ignore[method-assign] # this is a mutant


async def leaving_at_once(server: Server) -> None:
    """Neither finish nor give back anything at a SIGTERM."""

    async def drain(self: Running) -> None:
        os._exit(0)

    Running.drain = drain  # type: ignore[method-assign] # this is a mutant


async def leaving_unhurried(server: Server) -> None:
    """Wait for handlers after a second SIGTERM as after the first."""

    async def drain(self: Running) -> None:
        self._replica.stop()
        await self.wait()

    Running.drain = drain  # type: ignore[method-assign] # this is a mutant


async def leaving_patiently(server: Server) -> None:
    """Wait for a store that is away, also when leaving."""
    task_scope.LEAVE_S = tail.FAREWELL_S = 3600.0


async def without_turns(server: Server) -> None:
    """Let the version of the state decide, again and again."""
    Contention._take = alone  # type: ignore[method-assign] # this is a mutant
    Contention._share = nothing  # type: ignore[method-assign] # this is a mutant


async def alone(*_: object, **__: object) -> bool:
    """Instead of waiting for others."""
    return True


MUTANTS: dict[str, Callable[[Server], Awaitable[None]]] = {
    "no-fence": without_fence,
    "early-ack": acknowledging_early,
    "no-retry": forgetting_failures,
    "count-lendings": counting_lendings,
    "forget-starts": forgetting_starts,
    "impatient": impatient_with_versions,
    "no-reload": without_reloading,
    "no-memory": without_memory,
    "no-repair": without_repair,
    "no-count": without_counting,
    "drop-when-full": dropping_when_full,
    "doubting": doubting_always,
    "wall-clock": beating_by_the_clock,
    "waits-by-clock": waiting_by_the_clock,
    "counts-sleep": counting_sleep,
    "no-drain": leaving_at_once,
    "unhurried": leaving_unhurried,
    "patient": leaving_patiently,
    "no-turns": without_turns,
}

"""Workers that lack one thing which keeps the promises: each row has one that has to fail.

`MUTANTS` at the end names them all. A mutant whose place in the product is gone raises when it is
made, see replacing.py, and so does one of a script in which it changes nothing.
"""

import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from messaging.backend import Delivery, Settlement, Take
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
from tests.reliability.workers.replacing import Replace

FENCING = "redis.call('HDEL', KEYS[1], old)"


class Mutant(NamedTuple):
    """What such a worker does, and how it comes to that."""

    does: str
    patch: Callable[[Server, Replace], Awaitable[None]]


async def mutate(server: Server, name: str, instead: Callable[[str], str]) -> None:
    """Let this process run the script `name` with another text."""
    text = getattr(server.scripts, name).text
    mutant = make_script(name, instead(text))
    assert mutant.text != text
    setattr(server.scripts, name, mutant)
    await server.connection.call("SCRIPT", "LOAD", mutant.text)


def nothing_forgotten(self: TopicRegistry, state: object, *, is_elsewhere: bool) -> list[str]:
    """Instead of a look at what the server has forgotten."""
    return []


async def nothing(*_: object) -> None:
    """Instead of a method that matters."""


async def alone(*_: object, **__: object) -> bool:
    """Instead of waiting for others."""
    return True


async def without_fence(server: Server, replace: Replace) -> None:
    await mutate(server, "claim", lambda text: text.replace(FENCING, ""))
    replace(server.scripts, "recommit", server.scripts.commit)
    replace(server.scripts, "resettle", server.scripts.settle)


async def acknowledging_early(server: Server, replace: Replace) -> None:
    read = RedisConsumer.read

    async def read_and_acknowledge(
        self: RedisConsumer, max_count: int, wait_s: float, take: Take | None = None
    ) -> list[Delivery]:
        lent = await read(self, max_count, wait_s)
        for delivery in lent:
            stream = server.keys.stream(delivery.envelope.topic)
            await server.connection.call("XACK", stream, self.group, delivery.position)
        return lent

    replace(RedisConsumer, "read", read_and_acknowledge)


async def forgetting_failures(server: Server, replace: Replace) -> None:
    async def failed(
        self: SettlementBuilder, delivery: Delivery, error: BaseException
    ) -> Settlement:
        return Settlement(delivery)

    replace(SettlementBuilder, "failed", failed)


async def counting_lendings(server: Server, replace: Replace) -> None:
    async def begin(self: Starts, delivery: Delivery, journal: Journal) -> Delivery:
        lendings = delivery.envelope.attempt + delivery.redelivery_count
        if delivery.redelivery_count > 1 and lendings > self._attempts:
            raise LostWorkerError(delivery.envelope.type, delivery.envelope.id, lendings)
        return delivery

    replace(Starts, "begin", begin)


async def forgetting_starts(server: Server, replace: Replace) -> None:
    async def begin(self: Starts, delivery: Delivery, journal: Journal) -> Delivery:
        return delivery

    replace(Starts, "begin", begin)


async def impatient_with_versions(server: Server, replace: Replace) -> None:
    async def left(self: Unreadable, delivery: Delivery, error: UnknownTypeError) -> None:
        return None

    replace(Unreadable, "left", left)


async def without_reloading(server: Server, replace: Replace) -> None:
    def code_of(error: Exception) -> str:
        return "" if "NOSCRIPT" in str(error) else error_replies.code_of(error)

    replace(server_module, "code_of", code_of)


async def without_memory(server: Server, replace: Replace) -> None:
    replace(TopicRegistry, "_forgotten", nothing_forgotten)


async def without_repair(server: Server, replace: Replace) -> None:
    replace(Fetcher, "_repair", nothing)


async def without_counting(server: Server, replace: Replace) -> None:
    async def lend_again(self: Fetcher, topic: str) -> None:
        pass

    replace(Fetcher, "lend_again", lend_again)


async def dropping_when_full(server: Server, replace: Replace) -> None:
    def hold(self: Committer, settlement: Settlement, error: MessagingError) -> None:
        self.add(Settlement(settlement.delivery))

    replace(Committer, "_hold", hold)


async def doubting_always(server: Server, replace: Replace) -> None:
    replace(server.scripts, "commit", server.scripts.recommit)
    replace(server.scripts, "settle", server.scripts.resettle)


async def beating_by_the_clock(server: Server, replace: Replace) -> None:
    beat = RedisConsumer.beat

    async def beat_by_the_clock(self: RedisConsumer) -> Mapping[str, int]:
        beats, now = await beat(self), int(time.time() * 1000)
        await server.connection.call("HSET", server.keys.beats(self.group), self.incarnation, now)
        return beats

    def look(self: Watch, beats: Mapping[str, int], now_s: float) -> list[str]:
        oldest = (time.time() - self._lease_s) * 1000
        return [name for name, at in beats.items() if name != self._own and at < oldest]

    replace(RedisConsumer, "beat", beat_by_the_clock)
    replace(Watch, "look", look)


async def waiting_by_the_clock(server: Server, replace: Replace) -> None:
    for name in ("release", "commit", "recommit"):
        await mutate(server, name, lambda text: text.replace("if now < seen then", "if false then"))


async def counting_sleep(server: Server, replace: Replace) -> None:
    look = Watch.look

    def look_and_count(self: Watch, beats: Mapping[str, int], now_s: float) -> list[str]:
        replace(self, "_most_per_look_s", math.inf)
        return look(self, beats, now_s)

    replace(Watch, "look", look_and_count)


async def leaving_at_once(server: Server, replace: Replace) -> None:
    async def drain(self: Running) -> None:
        os._exit(0)

    replace(Running, "drain", drain)


async def leaving_unhurried(server: Server, replace: Replace) -> None:
    async def drain(self: Running) -> None:
        self._replica.stop()
        await self.wait()

    replace(Running, "drain", drain)


async def leaving_patiently(server: Server, replace: Replace) -> None:
    replace(task_scope, "LEAVE_S", 3600.0)
    replace(tail, "FAREWELL_S", 3600.0)


async def without_turns(server: Server, replace: Replace) -> None:
    replace(Contention, "_take", alone)
    replace(Contention, "_share", nothing)


MUTANTS: dict[str, Mutant] = {
    "no-fence": Mutant(
        "takes over without making the other powerless, and never doubts what it was lent",
        without_fence,
    ),
    "early-ack": Mutant(
        "acknowledges what it is lent, as at-most-once consumers do", acknowledging_early
    ),
    "no-retry": Mutant("acknowledges what failed, instead of trying it again", forgetting_failures),
    "count-lendings": Mutant(
        "takes what was lent so often for what was begun so often", counting_lendings
    ),
    "forget-starts": Mutant("records no start of a handler", forgetting_starts),
    "impatient": Mutant("gives up at once what it does not know", impatient_with_versions),
    "no-reload": Mutant(
        "takes a script that the server does not know for an error like any other",
        without_reloading,
    ),
    "no-memory": Mutant("does not notice that the server has forgotten the guild", without_memory),
    "no-repair": Mutant(
        "takes a group that is gone from its stream for one that is owed nothing", without_repair
    ),
    "no-count": Mutant(
        "does not compare what the server lends with what is in hand", without_counting
    ),
    "drop-when-full": Mutant("acknowledges what there was no room to answer", dropping_when_full),
    "doubting": Mutant(
        "refuses a commit of what the server does not say is lent, also when it surely was",
        doubting_always,
    ),
    "wall-clock": Mutant(
        "takes a worker for dead by the wall's clock, once its last beat is older than a lease",
        beating_by_the_clock,
    ),
    "waits-by-clock": Mutant(
        "keeps what waits until the hour that it was told, whatever became of the clock",
        waiting_by_the_clock,
    ),
    "counts-sleep": Mutant(
        "takes others for dead also for the time in which it could not look", counting_sleep
    ),
    "no-drain": Mutant("neither finishes nor gives back anything at a SIGTERM", leaving_at_once),
    "unhurried": Mutant(
        "waits for handlers after a second SIGTERM as after the first", leaving_unhurried
    ),
    "patient": Mutant("waits for a store that is away, also when leaving", leaving_patiently),
    "no-turns": Mutant("lets the version of the state decide, again and again", without_turns),
}

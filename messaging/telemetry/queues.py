"""Metrics for Prometheus of what waits on the bus, and of its dead letters; and how to show any.

What waits is the same wherever one looks, so one process of a guild is enough, the one with the
gateway if there is one: with several, Prometheus would add up what is there once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from messaging.backend import TopicInfo
from messaging.bus import Bus
from messaging.client.topics import EVERY_S
from messaging.errors import MessagingError
from messaging.telemetry.metrics import OTHER
from messaging.wire.topic import owner_of

MOST_QUEUES = 1_000


class QueueMetrics:
    """Shows depth and age of each agent's topics, and the number of dead letters.

    What is shown is as old as the last `refresh`: call that before a registry is rendered, or have
    `run` do it. The store is asked every 5 s at most, however often either is.

    Raises:
        ValueError: this registry shows them already.
    """

    def __init__(self, bus: Bus, registry: CollectorRegistry) -> None:
        self._bus = bus
        self._topics: Sequence[TopicInfo] | None = None
        self._dead_letters = 0
        try:
            registry.register(self)
        except ValueError as error:
            raise ValueError("this registry has the metrics of queues already") from error

    async def refresh(self) -> None:
        """Look at the bus. With the store away nothing is shown of it, but that it is away."""
        try:
            self._topics = await self._bus.topics()
            self._dead_letters = await self._bus.dead_letters.count()
        except MessagingError:
            self._topics = None

    async def run(self) -> None:
        """Refresh every 5 s until cancelled: for a host that renders its registry by itself."""
        while True:
            await self.refresh()
            await asyncio.sleep(EVERY_S)

    def describe(self) -> Iterable[Metric]:
        """Names, by which a registry knows that it has them already."""
        return _families()

    def collect(self) -> Iterator[Metric]:
        is_up, waiting, in_hand, oldest_s, dead_letters = families = _families()
        is_up.add_metric((), float(self._topics is not None))
        if self._topics is not None:
            counts: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
            for info in self._topics:
                _add(info, counts)
            for labels, (waits, held, age_s) in counts.items():
                waiting.add_metric(labels, waits)
                in_hand.add_metric(labels, held)
                oldest_s.add_metric(labels, age_s)
            dead_letters.add_metric((), self._dead_letters)
        yield from families


def render(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """The body of an answer to `GET /metrics`, and its content type.

    Args:
        registry: whose metrics; those of the process itself are in it where the host wants them.
        accept: the header of the request, by which the format is chosen; the usual one where the
            header makes no sense.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


def _add(info: TopicInfo, counts: dict[tuple[str, str], list[float]]) -> None:
    topic = info.topic
    if owner_of(topic):  # of retries or a partition, which belongs to one agent
        topic = topic.partition(".")[0]
    for agent in info.waiting.keys() | info.pending.keys():
        labels = (agent, topic)
        if labels not in counts and len(counts) >= MOST_QUEUES:
            labels = (OTHER, OTHER)
        queue = counts[labels]
        queue[0] += info.waiting.get(agent, 0)
        queue[1] += info.pending.get(agent, 0)
        queue[2] = max(queue[2], info.oldest_s.get(agent, 0.0))


def _families() -> tuple[GaugeMetricFamily, ...]:
    by_queue = ("agent", "topic")
    return (
        GaugeMetricFamily("guildbus_store_up", "Whether the store of the bus answered.", labels=()),
        GaugeMetricFamily(
            "guildbus_waiting", "Messages that no process was lent yet.", labels=by_queue
        ),
        GaugeMetricFamily(
            "guildbus_in_hand", "Messages that are lent and not settled.", labels=by_queue
        ),
        GaugeMetricFamily(
            "guildbus_oldest_seconds", "Age of the oldest message not settled.", labels=by_queue
        ),
        GaugeMetricFamily("guildbus_dead_letters", "Dead letters that are kept.", labels=()),
    )

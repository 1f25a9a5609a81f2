"""What is at hand: the highest priority first, in order of arrival among equals."""

from collections import deque
from collections.abc import Sequence

from messaging.backend import Delivery

MOST_PASSED = 8


class ReadyQueue:
    """Deliveries that wait for a worker.

    After `MOST_PASSED` deliveries in a row that others had to wait for, the one that was sent
    first gets its turn, whatever its priority: urgent work never starves the rest.

    Attributes:
        count: how many wait.
    """

    __slots__ = ("_others", "_passed", "_plain", "count")

    def __init__(self) -> None:
        self.count = 0
        self._plain: deque[Delivery] = deque()  # priority 0: nearly everything
        self._others: dict[int, deque[Delivery]] = {}  # the rest; no queue here is empty
        self._passed = 0

    def put(self, deliveries: Sequence[Delivery]) -> None:
        self.count += len(deliveries)
        for delivery in deliveries:
            if delivery.envelope.priority:
                self._queue_of(delivery).append(delivery)
            else:
                self._plain.append(delivery)

    def put_first(self, delivery: Delivery) -> None:
        """Put it before all of its priority."""
        self.count += 1
        self._queue_of(delivery).appendleft(delivery)

    def take(self) -> Delivery:
        """The next one to handle; there must be one."""
        self.count -= 1
        if not self._others:
            return self._plain.popleft()
        queues = self._others | {0: self._plain} if self._plain else self._others
        priority = max(queues)
        if len(queues) > 1 and self._passed >= MOST_PASSED:
            priority = min(queues, key=lambda each: queues[each][0].envelope.id)
            self._passed = 0
        else:
            self._passed = self._passed + 1 if len(queues) > 1 else 0
        delivery = queues[priority].popleft()
        if priority and not queues[priority]:
            del self._others[priority]
        return delivery

    def _queue_of(self, delivery: Delivery) -> deque[Delivery]:
        priority = delivery.envelope.priority
        return self._others.setdefault(priority, deque()) if priority else self._plain

"""What is at hand: by priority and then in order of arrival, the workers that wait for it, and how
much of it to hold.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from messaging.backend import Delivery

MOST_PASSED = 8
QUICK_S = 0.1
SLOW_S = 1.0


class ReadyQueue:
    """Deliveries that wait for a worker, or workers that wait for a delivery.

    After `MOST_PASSED` deliveries in a row that others had to wait for, the one that was sent
    first gets its turn, whatever its priority: urgent work never starves the rest.

    Attributes:
        count: how many deliveries wait.
        resting: the workers that wait; a future of each, which may be cancelled.
    """

    __slots__ = ("_is_waking", "_others", "_passed", "_plain", "_wakes", "count", "resting")

    def __init__(self) -> None:
        self.count = 0
        self.resting: list[asyncio.Future[None]] = []
        self._plain: deque[Delivery] = deque()  # priority 0: nearly everything
        self._others: dict[int, deque[Delivery]] = {}  # the rest; no queue here is empty
        self._passed = 0
        self._wakes = 0
        self._is_waking = False

    def put(self, deliveries: Sequence[Delivery]) -> None:
        self.count += len(deliveries)
        for delivery in deliveries:
            if delivery.envelope.priority:
                self._queue_of(delivery).append(delivery)
            else:
                self._plain.append(delivery)
        if self.count:
            self.wake(1)
            if self.count > 1:
                self._wake_more()

    def put_first(self, delivery: Delivery) -> None:
        """Put it before all of its priority."""
        self.count += 1
        self._queue_of(delivery).appendleft(delivery)
        self.wake(1)

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

    def rest(self) -> asyncio.Future[None]:
        """Done when there may be something for a worker to do, or `wake` says so."""
        sleeper = asyncio.get_running_loop().create_future()
        self.resting.append(sleeper)
        return sleeper

    def wake(self, count: int) -> None:
        """Wake as many workers, or all that rest."""
        while self.resting and count > 0:
            sleeper = self.resting.pop()
            if not sleeper.done():
                sleeper.set_result(None)
                count -= 1

    def forget_cancelled(self) -> None:
        """Workers that were cancelled while they rested rest no more."""
        self.resting = [sleeper for sleeper in self.resting if not sleeper.done()]

    def _wake_more(self) -> None:
        """Wake twice as many workers in each later tick while there is work for them.

        A worker whose handlers never wait empties the queue by itself, and waking the others for
        nothing would cost more than handling.
        """
        self._wakes = 1
        if self.resting and not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake_next)

    def _wake_next(self) -> None:
        self._wakes *= 2
        self.wake(min(self._wakes, self.count))
        self._is_waking = self.count > self._wakes and bool(self.resting)
        if self._is_waking:
            asyncio.get_running_loop().call_soon(self._wake_next)

    def _queue_of(self, delivery: Delivery) -> deque[Delivery]:
        priority = delivery.envelope.priority
        return self._others.setdefault(priority, deque()) if priority else self._plain


class Prefetch:
    """How many messages to hold: many for quick handlers, few for slow ones.

    A limit that doubles while it is used up quickly and halves while it is not.

    A slow agent that held hundreds of messages would keep them from idle replicas.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = min(least, most)
        self._most = most
        self._filled_at: float | None = None
        self.limit = self._least

    def room(self, held: int, blocked: int = 0) -> int:
        """How many more to ask for while `held` are; 0 as long as it is not worth a read.

        What is `blocked` waits for a predecessor, and keeps nothing else from being read.
        """
        room = self.limit - held + blocked
        if room < max(1, self.limit // 2):
            return 0
        return max(0, min(room, self._most - held)) if blocked else room

    def filled(self, now_s: float) -> None:
        """Take note that a read filled everything up to the limit."""
        since_s = QUICK_S if self._filled_at is None else now_s - self._filled_at
        self._filled_at = now_s
        if since_s < QUICK_S:
            self.limit = min(2 * self.limit, self._most)
        elif since_s > SLOW_S:
            self.limit = max(self.limit // 2, self._least)

"""What one consumer was lent, from the answer that brought it to the commit that settled it."""

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import attrgetter

from messaging.backend import Delivery, Place, Settlement
from messaging.backends.redis.claim_check import is_claimed
from messaging.backends.redis.connection.connection import Connection
from messaging.backends.redis.entries import position_key

# Applied by `map`: a batch costs one call then, not one for each delivery.
_place_of = attrgetter("place")
_settled_place_of = attrgetter("delivery.place")


class InFlight:
    """Each delivery is in one of three stages.

        lent by the server
               | add
               v       hand_on           begin_to_settle             settled
            fetched ------------> held -------------------> settling ------> forgotten
               ^                  |  ^                          |
               +------------------+  +--------------------------+
                    put_back           left out, or the commit failed

    It may be *unverified* besides, in any stage: it came by an earlier connection, and the server
    behind this one may not know of it. That ends when this server says that it lends it to us,
    when it lends it again, or when it is settled.

    Attributes:
        buffer: what is fetched, in the order in which it is handed on.
        ready: how many at the front of the buffer have their payload.
        lent_in: the connection by which all that is not unverified was lent.
        settling_lent_in: the same if nothing that is settling is unverified, else -1.
    """

    def __init__(self, connection: Connection) -> None:
        self.buffer: list[Delivery] = []
        self.ready = 0
        self.lent_in = self.settling_lent_in = connection.generation
        self.unverified: set[Place] = set()
        self._connection = connection
        self._held: set[Place] = set()
        self._settling: set[Place] = set()

    def add(self, deliveries: Sequence[Delivery], *, are_whole: bool = False) -> None:
        """These were lent; the caller may know that they have their payloads."""
        if are_whole and self.ready == len(self.buffer):
            self.ready += len(deliveries)
            self.buffer += deliveries
        else:
            self.buffer += deliveries
            self._count_ready()

    def redeemed(self, deliveries: Iterable[Delivery]) -> None:
        """Some payloads have come: these take the place of those that lacked them."""
        whole = {delivery.place: delivery for delivery in deliveries}
        self.buffer = [whole.get(delivery.place, delivery) for delivery in self.buffer]
        self._count_ready()

    def sort(self) -> None:
        """Have the oldest handed on first."""
        self.buffer.sort(key=lambda delivery: position_key(delivery.position))
        self.ready = 0
        self._count_ready()

    def hand_on(self, max_count: int) -> list[Delivery]:
        """What comes first and is ready."""
        count = min(max_count, self.ready)
        lent = self.buffer[:count]
        del self.buffer[:count]
        self.ready -= count
        self._held.update(map(_place_of, lent))
        return lent

    def hold(self, deliveries: Iterable[Delivery]) -> None:
        """These are handed on as they come."""
        self._held.update(map(_place_of, deliveries))

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """These were handed on to a reader that had left."""
        self._held.difference_update(map(_place_of, deliveries))
        self.add(deliveries)

    def take_buffer(self) -> list[Delivery]:
        """What was never handed on; it is not in flight any more."""
        buffer, self.buffer, self.ready = self.buffer, [], 0
        return buffer

    def begin_to_settle(self, settlements: Sequence[Settlement]) -> bool:
        """Whether each delivery is held, and settled only once; then it is settling.

        Until it is `settled` or another commit begins, it may be settled at the server or not.
        """
        if self.lent_in != self._connection.generation:
            self.mark_unverified()
        self._held |= self._settling
        self._settling = set()
        settling = set(map(_settled_place_of, settlements))
        if len(settling) != len(settlements) or not settling <= self._held:
            return False
        self._held -= settling
        self._settling = settling
        is_sure = not self.unverified or self.unverified.isdisjoint(settling)
        self.settling_lent_in = self.lent_in if is_sure else -1
        return True

    def settled(self, left_out: Sequence[Settlement] = ()) -> None:
        """What was settling is settled, and is forgotten; `left_out` is held as before."""
        settled, self._settling = self._settling, set()
        if left_out:
            back = set(map(_settled_place_of, left_out))
            settled -= back
            self._held |= back
        if self.unverified:
            self.unverified -= settled

    def mark_unverified(self) -> None:
        """On another connection: the server may be another one, behind the one that lent this."""
        if self.lent_in != self._connection.generation:
            self.lent_in = self._connection.generation
            self.unverified = self.places()

    def verify(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Those that are new; the others are here, were unverified, and are lent to us again."""
        if not self.unverified:
            return deliveries
        again = self.unverified.intersection(map(_place_of, deliveries))
        self.unverified -= again
        return [delivery for delivery in deliveries if delivery.place not in again]

    def places(self) -> set[Place]:
        """Where everything lies that is in flight."""
        return self._held.union(self._settling, map(_place_of, self.buffer))

    def surely_lent(self) -> set[Place]:
        """What the server must say that it lends to us, if it is asked now."""
        self.mark_unverified()
        return self.places() - self.unverified - self._settling

    def _count_ready(self) -> None:
        for delivery in islice(self.buffer, self.ready, None):
            if is_claimed(delivery.envelope):
                return
            self.ready += 1

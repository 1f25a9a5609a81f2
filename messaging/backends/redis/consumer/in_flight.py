"""Which of what a consumer was lent it has to settle yet, and how surely that is lent to it."""

from collections.abc import Iterable, Sequence

from messaging.backend import Delivery, Place, Settlement


class InFlight:
    """Places that were handed on and are not settled.

    Attributes:
        lent_in: the connection by which all that is not unverified was lent.
        unverified: came by an earlier one; the server behind this one may not know of it.
    """

    def __init__(self, generation: int) -> None:
        self.lent_in = generation
        self.unverified: set[Place] = set()
        self._held: set[Place] = set()
        self._perhaps_settled: set[Place] = set()

    def take(self, deliveries: Iterable[Delivery]) -> None:
        self._held.update([delivery.place for delivery in deliveries])

    def places_with(self, buffer: Iterable[Delivery]) -> set[Place]:
        """These and what has come and was not handed on yet."""
        return self._held.union([delivery.place for delivery in buffer])

    def mark_unverified(self, generation: int, buffer: Iterable[Delivery]) -> None:
        """On another connection: the server may be another one, behind the one that lent this."""
        if self.lent_in != generation:
            self.lent_in = generation
            self.unverified = self.places_with(buffer)

    def begin_to_settle(self, settlements: Sequence[Settlement]) -> bool:
        """Whether each delivery is held here, and settled only once."""
        settled = set(_settled_by(settlements))
        self._perhaps_settled = settled  # until an answer says so
        return len(settled) == len(settlements) and settled <= self._held

    def are_sure(self, settlements: Sequence[Settlement]) -> bool:
        """Whether none of these is unverified."""
        return not self.unverified or self.unverified.isdisjoint(_settled_by(settlements))

    def let_go(self, settlements: Iterable[Settlement]) -> None:
        settled = _settled_by(settlements)
        self._held.difference_update(settled)
        self._perhaps_settled.clear()
        if self.unverified:
            self.unverified.difference_update(settled)

    def surely_lent(self, buffer: Iterable[Delivery]) -> set[Place]:
        """What the server must say that it lends to us, if it is asked now."""
        return self.places_with(buffer) - self.unverified - self._perhaps_settled


def _settled_by(settlements: Iterable[Settlement]) -> list[Place]:
    return [settlement.delivery.place for settlement in settlements]

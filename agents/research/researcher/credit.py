"""Who may propose next: several proposers share the trials by what they have found.

Each has a chance of success that nobody knows; it is drawn from what was seen of it, and the
largest draw has the turn (Thompson sampling). A success is a candidate that went up a rung.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple


class Record(NamedTuple):
    """What came of the candidates of one proposer."""

    successes: int
    failures: int


def whose_turn(proposers: Sequence[str], records: Mapping[str, Record], random: Random) -> str:
    """The proposer that has the turn; one that was never tried has an even chance."""
    if len(proposers) == 1:
        return proposers[0]
    draws = {}
    for proposer in proposers:
        record = records.get(proposer, Record(0, 0))
        draws[proposer] = random.betavariate(1 + record.successes, 1 + record.failures)
    return max(draws, key=lambda proposer: draws[proposer])

"""Who may propose next: several proposers share the trials by what they have found.

Each has a chance of success that is not known; it is drawn from what was seen of it (Thompson
sampling), and the proposer has the turn that should have most successes in a second. A success is a
candidate that went up a rung.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple


class Record(NamedTuple):
    """What came of the candidates of one proposer.

    Attributes:
        seconds: that they took, to be proposed and to be trained for a first look.
    """

    successes: int = 0
    failures: int = 0
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        return self.successes + self.failures


def whose_turn(proposers: Sequence[str], records: Mapping[str, Record], random: Random) -> str:
    """The proposer that has the turn; one that was never tried is taken to cost what all do."""
    if len(proposers) == 1:
        return proposers[0]
    everything = [record for record in records.values() if record.tried]
    usual_s = _cost(sum(r.seconds for r in everything), sum(r.tried for r in everything))
    rates = {}
    for proposer in proposers:
        record = records.get(proposer, Record())
        chance = random.betavariate(1 + record.successes, 1 + record.failures)
        rates[proposer] = chance / (_cost(record.seconds, record.tried) or usual_s or 1.0)
    return max(rates, key=lambda proposer: rates[proposer])


def _cost(seconds: float, tried: int) -> float:
    return seconds / tried if tried else 0.0

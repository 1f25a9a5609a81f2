"""Which replica works at which partition: each comes to the same answer by itself.

They need not agree: a replica whose view is old works at a partition too long or too early, and
then one of the two leads it while the other stands by.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache, partial


def share_of(replica: str, replicas: Collection[str], count: int) -> set[int]:
    """The partitions, of `count`, that `replica` works at; all `replicas` together have them all.

    No share is larger than another by more than one. A replica that comes or goes moves few
    partitions besides those that it gets or leaves.
    """
    owners = _owners(tuple(sorted(replicas)), count)
    return {number for number, owner in enumerate(owners) if owner == replica}


@lru_cache(maxsize=64)  # asked for at every look; changes when a replica comes or goes
def _owners(replicas: Sequence[str], count: int) -> Sequence[str]:
    fewest, left_over = divmod(count, len(replicas))
    sizes = Counter[str]()
    owners = list[str]()
    for number in range(count):
        most = fewest + (left_over > 0)
        free = (name for name in replicas if sizes[name] < most)
        owner = max(free, key=partial(_rank, number))
        left_over -= sizes[owner] == fewest
        sizes[owner] += 1
        owners.append(owner)
    return owners


def _rank(number: int, replica: str) -> bytes:
    return hashlib.sha256(f"{number} {replica}".encode()).digest()

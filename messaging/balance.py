"""Who works at which partition: every replica comes to the same answer by itself.

Nobody has to agree on anything: whose view is old works at a partition too long or too early, and
then it is led by one of them while the other stands by.
"""

import hashlib
from collections import Counter
from collections.abc import Collection


def share_of(replica: str, replicas: Collection[str], count: int) -> set[int]:
    """The partitions, of `count`, that `replica` works at; all `replicas` together have them all.

    No share is larger than another by more than one. A replica that comes or goes moves few
    partitions besides those that it gets or leaves.
    """
    fewest, left_over = divmod(count, len(replicas))
    sizes = Counter[str]()
    share = set[int]()
    for number in range(count):
        most = fewest + (left_over > 0)
        owner = max(
            (name for name in replicas if sizes[name] < most), key=lambda name: _rank(name, number)
        )
        left_over -= sizes[owner] == fewest
        sizes[owner] += 1
        if owner == replica:
            share.add(number)
    return share


def _rank(replica: str, number: int) -> bytes:
    return hashlib.sha256(f"{number} {replica}".encode()).digest()

"""The groups of a guild, in a form that can be compared with an older or a newer one.

Each group has a stamp: when it was subscribed or unsubscribed last, by the server's clock and
always later than before. The server keeps the stamps beside the groups, and every process remembers
both. A server that comes back with less (emptied, restarted without a file, an older copy) is told
what it has forgotten, group by group; the later stamp wins, whichever process comes first. So no
group returns that was unsubscribed on purpose, as long as the server or a process remembers that.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from messaging.backend import Incident
from messaging.errors import BackendSetupError

MOST_LISTED = 20

_LOST = (
    "the server has lost this guild's data (restarted without persistence, or flushed); "
    "what was accepted and not yet handled is gone"
)
_OUTDATED = (
    "the server has come back with older data of this guild (a backup, a replica that lagged, or "
    "a file cut short); what was written since then is gone, and what was accepted too, unless its "
    "publisher still has it; what was handled since then is handled again"
)
_PAUSED = " paused"  # no group has a space in its name
_UNSTAMPED = 1  # a group that was subscribed by a version of the bus without stamps


class Subscriptions(NamedTuple):
    """The groups with their patterns, and which of them are paused.

    Attributes:
        stamps: of these and of those that are gone; also, under names of `paused_name`, of those
            that are paused and that were resumed.
    """

    groups: dict[str, list[str]]
    stamps: dict[str, int]
    paused: frozenset[str]

    def newer_than(self, other: "Subscriptions") -> list[str]:
        """Names that are newer here than in `other`; pauses come first."""
        known = other.stamps
        newer = [name for name, stamp in self.stamps.items() if stamp > known.get(name, 0)]
        return sorted(newer, key=group_paused_in, reverse=True)


def subscriptions_in(groups: Sequence[bytes], stamps: Sequence[bytes], key: bytes) -> Subscriptions:
    """What the server keeps.

    Args:
        groups: group, patterns as JSON, group, …
        stamps: name, stamp, …; below zero when that group is gone, or is not paused any more.
        key: where the groups are, for the error.

    Raises:
        BackendSetupError: the patterns of a group are not ours.
    """
    pairs = zip(groups[::2], groups[1::2], strict=True)
    patterns = {group.decode(): _patterns_in(group, text, key) for group, text in pairs}
    scores = zip(map(bytes.decode, stamps[::2]), map(float, stamps[1::2]), strict=True)
    signed = {name: int(score) for name, score in scores}
    since = dict.fromkeys(patterns, _UNSTAMPED)
    since |= {name: abs(stamp) for name, stamp in signed.items()}
    paused = (group_paused_in(name) for name, stamp in signed.items() if stamp > 0)
    return Subscriptions(patterns, since, frozenset(paused) - {""})


def paused_name(group: str) -> str:
    """Under which name there is a stamp of its pause."""
    return group + _PAUSED


def group_paused_in(name: str) -> str:
    """The group whose pause has its stamp under `name`, "" when it is the stamp of a group."""
    return name.removesuffix(_PAUSED) if name.endswith(_PAUSED) else ""


def loss(known: Subscriptions, forgotten: Sequence[str], *, is_whole: bool) -> Incident:
    """The incident of a server that has forgotten everything, or what came after some moment.

    Args:
        known: what this process knew before.
        forgotten: groups that the server is told of again.
        is_whole: nothing is left of what this process knew.
    """
    text = _LOST if is_whole else _OUTDATED
    again = sorted(group for group in forgotten if group in known.groups)
    pauses = {group for name in forgotten if (group := group_paused_in(name))}
    ended = sorted({*forgotten} - {*again} - {paused_name(group) for group in pauses})
    paused = sorted(pauses & known.paused)
    if again:
        text += f"; subscribed again, as this process remembers: {_listed(again)}"
    if ended:
        text += f"; unsubscribed before, and still so: {_listed(ended)}"
    if paused:
        text += f"; paused again: {_listed(paused)}"
    return Incident("bus.data_lost" if is_whole else "bus.data_outdated", text)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _patterns_in(group: bytes, text: bytes, key: bytes) -> list[str]:
    try:
        return [str(pattern) for pattern in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise BackendSetupError(
            f"the key {key.decode()} holds patterns of {group.decode(errors='replace')} that "
            "guildbus did not write: remove that field (HDEL), or use another guild id or database"
        ) from error

"""Finds the owners of the patterns that fit a topic, without a look at all patterns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from messaging.wire.topic import is_pattern


@dataclass(slots=True)
class _Node:
    """What patterns that begin alike have in common.

    Attributes:
        owners: owners of a pattern that ends here.
        next: by the segment that follows, `*` and `>` among them.
    """

    owners: dict[str, None] = field(default_factory=dict)
    next: dict[str, "_Node"] = field(default_factory=dict)


class PatternIndex:
    """Owners by their patterns; looking one topic up takes as long as the topic has segments."""

    def __init__(self) -> None:
        self._patterns: dict[str, Sequence[str]] = {}
        self._root = _Node()

    def put(self, owner: str, patterns: Iterable[str]) -> None:
        """Give `owner` these patterns, instead of those that it had."""
        self.drop(owner)
        self._patterns[owner] = tuple(patterns)
        for pattern in self._patterns[owner]:
            node = self._root
            for segment in pattern.split("."):
                node = node.next.setdefault(segment, _Node())
            node.owners[owner] = None

    def drop(self, owner: str) -> None:
        """Forget `owner`; nothing happens if it is not known."""
        for pattern in self._patterns.pop(owner, ()):
            self._cut(self._root, pattern.split("."), owner)

    def owners_of(self, topic: str) -> list[str]:
        """Owners of patterns that fit `topic`, by `messaging.wire.topic.matches`; each once."""
        found: dict[str, None] = {}
        segments = topic.split(".")
        nodes = [self._root]
        may_stand_for = () if topic.startswith("_") else ("*",)
        for segment in segments:
            if may_stand_for:
                for node in nodes:
                    if rest := node.next.get(">"):
                        found.update(rest.owners)
            nodes = [
                follower
                for node in nodes
                for name in {segment, *may_stand_for}
                if (follower := node.next.get(name)) is not None
            ]
        for node in nodes:
            found.update(node.owners)
        return list(found)

    def _cut(self, node: _Node, segments: Sequence[str], owner: str) -> None:
        if not segments:
            node.owners.pop(owner, None)
            return
        follower = node.next.get(segments[0])
        if follower is None:
            return
        self._cut(follower, segments[1:], owner)
        if not follower.owners and not follower.next:
            del node.next[segments[0]]


def plain_topics(patterns: Iterable[str]) -> Sequence[str] | None:
    """The only topics that these patterns fit; None if one of them stands for others."""
    topics = tuple(dict.fromkeys(patterns))
    return None if any(map(is_pattern, topics)) else topics

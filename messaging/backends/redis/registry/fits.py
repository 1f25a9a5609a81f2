"""Which topics each group reads by its patterns, kept as topics and groups come and go.

A topic that comes is looked up once in an index of patterns, and only the groups that it concerns
hear of it.
"""

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from messaging.wire.pattern_index import PatternIndex, plain_topics
from messaging.wire.topic import matches, owner_of

Watcher = Callable[[bool], None]
"""Called after a change, with whether there may have been more than can be seen from here."""


class Fit:
    """The topics of one group that is read here.

    Attributes:
        topics: those that its patterns fit, in order.
        version: counts the changes.
        patterns_version: counts the changes of its patterns.
        watchers: called after each change.
    """

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.version = 0
        self.patterns_version = 0
        self.watchers: set[Watcher] = set()


class Fits:
    """Patterns of all groups, all topics, and a `Fit` of each group that somebody asked for."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.groups: dict[str, list[str]] = {}
        self._index = PatternIndex()
        self._fits: dict[str, Fit] = {}

    def of(self, group: str) -> Fit:
        """What `group` reads, from now on kept up to date."""
        fit = self._fits.get(group)
        if fit is None:
            fit = self._fits[group] = Fit()
            fit.topics = self._topics_of(group)
        return fit

    def groups_for(self, topic: str) -> list[str]:
        """The groups that are owed the first entry of `topic`."""
        owner = owner_of(topic)
        if owner:
            return [owner] if owner in self.groups else []
        return self._index.owners_of(topic)

    def topics_for(self, patterns: Sequence[str]) -> list[str]:
        """Topics, all but those that one group owns, that the patterns fit."""
        return fitting(patterns, self.topics)

    def update(
        self,
        topics: Iterable[str],
        groups: Mapping[str, list[str]],
        *,
        all_topics: bool,
        all_groups: bool,
    ) -> list[Fit]:
        """Take in what came, or everything there is; returns the fits that changed by it."""
        names = set(topics)
        fresh = names - self.topics
        has_lost_some = all_topics and not self.topics <= names
        self.topics = names if all_topics else self.topics | fresh
        regrouped = self._regroup(groups, all_groups=all_groups)
        changed = dict.fromkeys(regrouped)
        if has_lost_some:
            changed |= dict.fromkeys(self._fits)
        else:
            changed |= self._place(fresh, skip=regrouped)
        for group in list(changed):
            fit = self._fits.get(group)
            if fit is None:
                del changed[group]
                continue
            fit.version += 1
            if has_lost_some or group in regrouped:
                fit.topics = self._topics_of(group)
            if group in regrouped:
                fit.patterns_version += 1
        return [self._fits[group] for group in changed]

    def all_fits(self) -> list[Fit]:
        return list(self._fits.values())

    def _topics_of(self, group: str) -> list[str]:
        return sorted(self.topics_for(self.groups.get(group, ())))

    def _regroup(self, groups: Mapping[str, list[str]], *, all_groups: bool) -> dict[str, None]:
        changed = {group: None for group, new in groups.items() if self.groups.get(group) != new}
        if all_groups:
            changed |= {group: None for group in self.groups if group not in groups}
        for group in changed:
            if group in groups:
                self.groups[group] = groups[group]
                self._index.put(group, groups[group])
            else:
                del self.groups[group]
                self._index.drop(group)
        return changed

    def _place(self, topics: Iterable[str], skip: Mapping[str, None]) -> dict[str, None]:
        changed: dict[str, None] = {}
        for topic in topics:
            if owner_of(topic):
                continue
            for group in self._index.owners_of(topic):
                if group in self._fits and group not in skip:
                    insort(self._fits[group].topics, topic)
                    changed[group] = None
        return changed


def fitting(patterns: Sequence[str], topics: Collection[str]) -> list[str]:
    """Those of the topics that the patterns fit, without any that one group owns."""
    names = plain_topics(patterns)
    if names is not None:
        return [name for name in names if name in topics]
    return [
        topic
        for topic in topics
        if not owner_of(topic) and any(matches(pattern, topic) for pattern in patterns)
    ]

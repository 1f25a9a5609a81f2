"""What the scripts promise, in plain Python: one group on one topic, its outputs, its state."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from messaging.backend import ANY_VERSION


@dataclass
class Member:
    """One consumer, as long as it counts and after.

    Attributes:
        held: text -> how often it had been lent before; in the order of the topic.
        sequence: of the last commit that was applied, and what that answered.
    """

    held: dict[str, int] = field(default_factory=dict)
    counts: bool = True
    sequence: int = 0
    answer: list[int] = field(default_factory=list)


@dataclass
class Model:
    order: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    returned: dict[str, int] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    producers: dict[str, int] = field(default_factory=dict)
    delayed: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    state: dict[str, int] = field(default_factory=dict)
    floor: int = 0
    turns: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    ephemeral: list[str] | None = None

    def append(self, producer: str, first: int, texts: Sequence[str], *, delayed: bool) -> int:
        last = self.producers.get(producer, 0)
        if first > last + 1:
            return -3
        fresh = list(texts[last + 1 - first :])
        if fresh:
            self.producers[producer] = first + len(texts) - 1
            if delayed:
                self.delayed += fresh
            else:
                self._accept(fresh)
        return 0 if delayed else len(fresh)

    def release(self) -> None:
        self._accept(self.delayed)
        self.delayed = []

    def read(self, name: str, count: int) -> list[str]:
        """A zombie is lent entries too; its commits are refused."""
        lent, self.waiting = self.waiting[:count], self.waiting[count:]
        self.members[name].held |= dict.fromkeys(lent, 0)
        return lent

    def commit(
        self,
        name: str,
        sequence: int,
        texts: Sequence[str],
        outputs: Sequence[str],
        *,
        dead: bool,
        write: tuple[str, int] | None,
    ) -> object:
        """Settle `texts`, all in one settlement with `outputs`."""
        member = self.members[name]
        if not member.counts:
            return "fenced"
        if sequence <= member.sequence:
            return member.answer if sequence == member.sequence else []
        if sequence > member.sequence + 1:
            return "gap"
        member.sequence, member.answer = sequence, []
        if write is not None and not self._write(name, *write):
            member.answer = [0]
            return [0]
        for text in texts:
            del member.held[text]
        self.outputs += outputs
        self.letters += texts if dead else ()
        return []

    def _write(self, name: str, key: str, expected: int) -> bool:
        """Whether it was written; a turn of this consumer is over in either case."""
        version, queue = self.state.get(key, 0), self.queue(key)
        is_anothers = bool(queue) and queue[0][0] != name
        if queue and not is_anothers:
            self.turns[key] = queue[1:]
        if is_anothers or expected not in (version, ANY_VERSION):
            return False
        self.state[key] = (version or self.floor) + 1
        return True

    def take_turn(self, name: str, message: str, keys: Sequence[str]) -> int:
        if not self.members[name].counts:
            return -1
        if not all((name, message) in self.queue(key) for key in keys):
            self.end_turn(name, message, keys)
            for key in keys:
                self.turns[key].append((name, message))
        return int(all(self.queue(key)[0] == (name, message) for key in keys))

    def end_turn(self, name: str, message: str, keys: Sequence[str]) -> int:
        if not self.members[name].counts:
            return -1
        for key in keys:
            self.turns[key] = [one for one in self.queue(key) if one != (name, message)]
        return 1

    def queue(self, key: str) -> list[tuple[str, str]]:
        """Those that still count."""
        return [one for one in self.turns.get(key, []) if self.members[one[0]].counts]

    def take_over(self, heir: str, victim: str, most: int) -> list[tuple[str, int]] | None:
        if not self.members[heir].counts:
            return None
        old, new = self.members[victim], self.members[heir]
        old.counts = False
        taken = [(text, old.held[text] + 1) for text in self._in_order(old.held)[:most]]
        for text, lent in taken:
            del old.held[text]
            new.held[text] = lent
        return taken

    def leave(self, name: str, back: Sequence[str]) -> None:
        member = self.members[name]
        if member.counts:
            for text in back:
                self.returned[text] = member.held.pop(text)
            member.counts = False

    def take_returned(self, name: str, most: int) -> list[tuple[str, int]] | None:
        member = self.members[name]
        if not member.counts:
            return None
        taken = [(text, self.returned.pop(text)) for text in self._in_order(self.returned)[:most]]
        member.held |= dict(taken)
        return taken

    def emit(self, texts: Sequence[str]) -> int:
        if self.ephemeral is None:
            return 0
        self.ephemeral += texts
        return 1

    def owed(self) -> set[str]:
        held = (text for member in self.members.values() for text in member.held)
        return {*held, *self.waiting, *self.returned}

    def _accept(self, texts: Sequence[str]) -> None:
        self.order += texts
        self.waiting += texts

    def _in_order(self, texts: dict[str, int]) -> list[str]:
        return sorted(texts, key=self.order.index)

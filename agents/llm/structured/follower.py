"""Follows an answer byte by byte, and knows how many tokens its shortest end still takes.

A state is a set of places in the grammar; a place is a node, how far it has been read, and the
place that follows it. Places and states are shared by the answers that one follower serves, so
that each step is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.llm.structured.errors import ConstraintError
from agents.llm.structured.program import All, AnyOf, Bytes, Named, Node, Program, Times
from agents.llm.structured.vocabulary import INFINITE, TextTokens, byte_mask

MAX_PLACES = 50_000
_MANY_TOKENS = 1_000  # for which an array is smaller than a dictionary
_COSTS_A_PLACE = 50  # of an array take as much memory as a place
_UNKNOWN = -1


class Place:
    """Where an answer may stand.

    Attributes:
        node: what is being read; None for the end of the answer.
        at: how many bytes, items or repetitions of it have been read.
        after: where it goes on.
        cost: tokens of the shortest end from here, at most.
    """

    __slots__ = ("after", "at", "cost", "node", "opened")

    def __init__(self, node: Node | None, at: int, after: "Place | None", cost: int) -> None:
        self.node = node
        self.at = at
        self.after = after
        self.cost = cost
        self.opened: Opened | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that may come one after the other.

    Attributes:
        tokens: those that are made of such characters alone.
        high: how many characters; None for any number.
        cost: tokens of the shortest end now.
        missing: characters that must come; each brings the end nearer by `step` tokens.
    """

    tokens: TextTokens
    high: int | None
    cost: int
    missing: int
    step: int

    def within(self, left: int) -> NDArray[np.bool_]:
        """For each token whether it is such text and the end then takes at most `left` tokens."""
        lengths = self.tokens.lengths
        fits = lengths > 0
        if self.high is not None:
            fits &= lengths <= self.high
        if self.cost > left:
            fits &= self.cost - np.minimum(lengths, self.missing) * self.step <= left
        return fits


@dataclass(frozen=True, slots=True)
class Opened:
    """What a place comes to.

    Attributes:
        places: the bytes it waits for, and the end of the answer.
        texts: the strings it may go on with.
        other_bytes: the bytes that may come next outside of those strings, as bits.
    """

    places: list[Place]
    texts: list[Text]
    other_bytes: int


class State:
    """All the places where an answer may stand.

    Attributes:
        cost: tokens of the shortest end, at most.
        is_accepting: the answer may end here.
        is_final: it must.
        texts: the strings that it may go on with.
        other_bytes: the bytes that may come next outside of those strings, as bits.
    """

    __slots__ = (
        "all_costs",
        "cost",
        "is_accepting",
        "is_final",
        "next",
        "other_bytes",
        "places",
        "texts",
        "token_costs",
    )

    def __init__(self, places: frozenset[Place], opened: list[Opened]) -> None:
        self.places = [place for place in places if place.node is not None]
        self.cost = min((place.cost for place in places), default=INFINITE)
        self.is_accepting = len(self.places) < len(places)
        self.is_final = not self.places
        self.texts = [text for o in opened for text in o.texts]
        self.other_bytes = 0
        for o in opened:
            self.other_bytes |= o.other_bytes
        self.next: dict[int, State | None] = {}
        self.token_costs: dict[int, int] = {}
        self.all_costs: NDArray[np.int32] | None = None


class Follower:
    """The states of a grammar, made when an answer first reaches them.

    Several threads may use it at once: what two of them make at the same time is equal.

    Attributes:
        size: how much it keeps.
    """

    def __init__(self, program: Program) -> None:
        self._places: dict[tuple[int, int, int], Place] = {}
        self._states: dict[frozenset[Place], State] = {}
        self.size = 0
        self._end = Place(None, 0, None, 0)
        self.start = self._state([self._place(program.start, 0, self._end)])

    def step(self, state: State, data: bytes) -> State | None:
        """The state after these bytes, or None where they are not allowed."""
        current: State | None = state
        for byte in data:
            if byte in state.next:
                current = state.next[byte]
            else:
                current = state.next[byte] = self._after(state, byte)
            if current is None:
                return None
            state = current
        return current

    def cost_after(self, state: State, token_id: int, data: bytes) -> int:
        """Tokens of the shortest end after this token; INFINITE where it is not allowed."""
        cost = state.token_costs.get(token_id)
        if cost is None:
            after = self.step(state, data)
            cost = state.token_costs[token_id] = INFINITE if after is None else after.cost
            self.size += 1
        return cost

    def costs_after(
        self, state: State, token_ids: NDArray[np.int64], tokens: Sequence[bytes]
    ) -> NDArray[np.int32]:
        """The same for each of these tokens."""
        if len(token_ids) < _MANY_TOKENS:
            costs = [self.cost_after(state, i, tokens[i]) for i in token_ids.tolist()]
            return np.array(costs, np.int32)
        if state.all_costs is None:
            state.all_costs = np.full(len(tokens), _UNKNOWN, np.int32)
            self.size += len(tokens) // _COSTS_A_PLACE
        known = state.all_costs
        for i in token_ids[known[token_ids] == _UNKNOWN].tolist():
            after = self.step(state, tokens[i])
            known[i] = INFINITE if after is None else after.cost
        return known[token_ids]

    def _after(self, state: State, byte: int) -> State | None:
        reached = []
        for place in state.places:
            node = place.node
            assert isinstance(node, Bytes)
            low, high = node.ranges[place.at]
            if low <= byte <= high:
                assert place.after is not None
                if place.at + 1 < len(node.ranges):
                    reached.append(self._place(node, place.at + 1, place.after))
                else:
                    reached.append(place.after)
        return self._state(reached) if reached else None

    def _state(self, places: list[Place]) -> State:
        opened = [self._open(place) for place in places]
        key = frozenset(place for o in opened for place in o.places)
        state = self._states.get(key)
        if state is None:
            if len(key) > MAX_PLACES:
                raise ConstraintError("the grammar is too ambiguous to be followed")
            state = self._states[key] = State(key, opened)
        return state

    def _place(self, node: Node, at: int, after: Place) -> Place:
        key = (id(node), at, id(after))
        place = self._places.get(key)
        if place is None:
            cost = min(INFINITE, _cost_from(node, at) + after.cost)
            place = self._places[key] = Place(node, at, after, cost)
            self.size += 1
        return place

    def _open(self, place: Place) -> Opened:
        if place.opened is None:
            place.opened = self._opened(place)
        return place.opened

    def _opened(self, place: Place) -> Opened:
        first = (place, False)
        seen = {first}
        todo = [first]
        found: dict[Place, None] = {}
        texts: list[Text] = []
        other_bytes = 0
        while todo:
            here, is_in_text = todo.pop()
            if here.node is None or isinstance(here.node, Bytes):
                found[here] = None
                if not is_in_text:
                    other_bytes |= _bytes_of(here)
                continue
            text = _text(here)
            if text is not None:
                texts.append(text)
            for inner in self._inner(here):
                # What follows the string is outside of it again.
                is_inside = is_in_text or (text is not None and inner is not here.after)
                if (inner, is_inside) not in seen:
                    seen.add((inner, is_inside))
                    todo.append((inner, is_inside))
            if len(seen) > MAX_PLACES:
                raise ConstraintError("the grammar is too ambiguous to be followed")
        return Opened(list(found), texts, other_bytes)

    def _inner(self, place: Place) -> list[Place]:
        node, at, after = place.node, place.at, place.after
        assert after is not None
        if isinstance(node, All):
            if at == len(node.items):
                return [after]
            rest = after if at + 1 == len(node.items) else self._place(node, at + 1, after)
            return [self._place(node.items[at], 0, rest)]
        if isinstance(node, AnyOf):
            return [self._place(item, 0, after) for item in node.items]
        if isinstance(node, Named):
            return [self._place(node.target, 0, after)]
        assert isinstance(node, Times)
        found = [after] if at >= node.low else []
        if node.high is None or at < node.high:
            done = at + 1 if node.high is not None else min(at + 1, node.low)
            found.append(self._place(node.item, 0, self._place(node, done, after)))
        return found


def _text(place: Place) -> Text | None:
    node = place.node
    if not isinstance(node, Times) or node.text is None:
        return None
    high = None if node.high is None else node.high - place.at
    missing = max(0, node.low - place.at)
    return Text(node.text, high, place.cost, missing, min(node.item.cost, INFINITE))


def _bytes_of(place: Place) -> int:
    return byte_mask(*place.node.ranges[place.at]) if isinstance(place.node, Bytes) else 0


def _cost_from(node: Node, at: int) -> int:
    if isinstance(node, Bytes):
        return node.costs[at]
    if isinstance(node, All):
        return node.rests[at]
    if isinstance(node, Times):
        return max(node.low - at, 0) * node.item.cost if at < node.low else 0
    return node.cost

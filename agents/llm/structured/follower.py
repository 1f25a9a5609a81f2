"""Follows an answer byte by byte, and knows how many tokens its shortest end still takes.

A state is a set of places in the grammar; a place is a node, how far it has been read, and the
place that follows it. Places and states are shared within one follower, so that each step is
computed once; they go with their request.
"""

from agents.llm.structured.errors import ConstraintError
from agents.llm.structured.program import All, AnyOf, Bytes, Named, Node, Program, Times
from agents.llm.structured.vocabulary import INFINITE

MAX_PLACES = 50_000


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


class Opened:
    """What a place comes to: the bytes it waits for, and the strings it may go on with.

    Attributes:
        places: of `Bytes`, and the end.
        texts: for repetitions of plain characters, how many may come (None: any number) and what
            the end costs while they do.
    """

    __slots__ = ("places", "texts")

    def __init__(self, places: list[Place], texts: list[tuple[int | None, int]]) -> None:
        self.places = places
        self.texts = texts


class State:
    """All the places where an answer may stand.

    Attributes:
        cost: tokens of the shortest end, at most.
        is_accepting: the answer may end here.
        is_final: it must.
    """

    __slots__ = ("cost", "is_accepting", "is_final", "next", "places", "texts", "token_costs")

    def __init__(self, places: frozenset[Place], texts: list[tuple[int | None, int]]) -> None:
        self.places = [place for place in places if place.node is not None]
        self.cost = min((place.cost for place in places), default=INFINITE)
        self.is_accepting = len(self.places) < len(places)
        self.is_final = not self.places
        self.texts = texts
        self.next: dict[int, State | None] = {}
        self.token_costs: dict[int, int] = {}


class Follower:
    """The states of one answer."""

    def __init__(self, program: Program) -> None:
        self._places: dict[tuple[int, int, int], Place] = {}
        self._states: dict[frozenset[Place], State] = {}
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
        return cost

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
            texts = [text for o in opened for text in o.texts]
            state = self._states[key] = State(key, texts)
        return state

    def _place(self, node: Node, at: int, after: Place) -> Place:
        key = (id(node), at, id(after))
        place = self._places.get(key)
        if place is None:
            cost = min(INFINITE, _cost_from(node, at) + after.cost)
            place = self._places[key] = Place(node, at, after, cost)
        return place

    def _open(self, place: Place) -> Opened:
        if place.opened is None:
            seen = {place}
            todo = [place]
            found: list[Place] = []
            texts: list[tuple[int | None, int]] = []
            while todo:
                here = todo.pop()
                if here.node is None or isinstance(here.node, Bytes):
                    found.append(here)
                    continue
                if isinstance(here.node, Times) and here.node.is_text:
                    high = here.node.high
                    texts.append((None if high is None else high - here.at, here.cost))
                for inner in self._inner(here):
                    if inner not in seen:
                        seen.add(inner)
                        todo.append(inner)
                if len(seen) > MAX_PLACES:
                    raise ConstraintError("the grammar is too ambiguous to be followed")
            place.opened = Opened(found, texts)
        return place.opened

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


def _cost_from(node: Node, at: int) -> int:
    if isinstance(node, Bytes):
        return node.costs[at]
    if isinstance(node, All):
        return node.rests[at]
    if isinstance(node, Times):
        return max(node.low - at, 0) * node.item.cost if at < node.low else 0
    return node.cost

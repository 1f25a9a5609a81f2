"""Tool calls as servers stream them: in pieces, with indexes, ids and names where they like."""

import json
from dataclasses import dataclass, field
from typing import Any

from agents.llm.engines.generation import CalledTool


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a call; what it does not tell is empty, and `index` None."""

    index: int | None
    id: str
    name: str
    arguments: str


def call_pieces(given: Any) -> tuple[CallPiece, ...]:
    """The pieces in a delta.

    Raises:
        TypeError: they are not of that form.
    """
    if given is None:
        return ()
    if not isinstance(given, list):
        raise TypeError("the tool calls are no list")
    return tuple(map(_piece, given))


def _piece(given: Any) -> CallPiece:
    function = given.get("function") or {}
    arguments = function.get("arguments")
    if isinstance(arguments, dict):  # some servers give them read already
        arguments = json.dumps(arguments, ensure_ascii=False)
    index, texts = given.get("index"), (given.get("id"), function.get("name"), arguments)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("a tool call has something else than text")
    for text in texts:
        (text or "").encode()  # a lone surrogate is no character
    call_id, name, arguments = (text or "" for text in texts)
    return CallPiece(index if isinstance(index, int) else None, call_id, name, arguments)


@dataclass(slots=True)
class _Growing:
    index: int | None
    id: str
    name: str
    arguments: list[str]


@dataclass(slots=True)
class Calls:
    """Puts the pieces together, in the order in which their calls began."""

    _calls: list[_Growing] = field(default_factory=list)

    def add(self, piece: CallPiece) -> None:
        call = self._call_of(piece)
        if call is None:
            call = _Growing(piece.index, piece.id, piece.name, [])
            self._calls.append(call)
        call.id = call.id or piece.id
        call.name = call.name or piece.name  # some servers repeat it in each piece
        call.arguments.append(piece.arguments)

    @property
    def whole(self) -> tuple[CalledTool, ...]:
        return tuple(CalledTool(c.id, c.name, "".join(c.arguments)) for c in self._calls)

    def _call_of(self, piece: CallPiece) -> _Growing | None:
        """The call that a piece belongs to; None where a new one begins.

        Another id begins a call even under the index of another one: some servers give 0 to all.
        """
        same = [c for c in self._calls if piece.index is None or c.index == piece.index]
        last = same[-1] if same else None
        if last is None or (piece.id and last.id and piece.id != last.id):
            return next((c for c in self._calls if piece.id and c.id == piece.id), None)
        if piece.index is None and piece.name and not piece.id:
            return None
        return last

"""What was said in earlier turns, by session."""

from collections import OrderedDict
from collections.abc import Sequence

from agents.llm.chat.messages import ChatMessage
from agents.llm.chat.window import turns

DEFAULT_MAX_SESSIONS = 1000
DEFAULT_MAX_ENTRIES = 200


class SessionMemory:
    """Remembers conversations in this process.

    When there are too many sessions, the one that was used least recently is forgotten. When one
    has too many messages, its oldest turns are forgotten; its newest one is always kept.
    """

    def __init__(
        self,
        max_sessions: int = DEFAULT_MAX_SESSIONS,
        max_entries: int = DEFAULT_MAX_ENTRIES,
    ) -> None:
        if max_sessions < 1 or max_entries < 1:
            raise ValueError("a memory holds at least one session of at least one message")
        self._max_sessions = max_sessions
        self._max_entries = max_entries
        self._sessions: OrderedDict[str, tuple[ChatMessage, ...]] = OrderedDict()

    def __len__(self) -> int:
        """How many sessions are remembered."""
        return len(self._sessions)

    def recall(self, session_id: str) -> tuple[ChatMessage, ...]:
        """What was said in the session; nothing for an unknown one."""
        if session_id in self._sessions:
            self._sessions.move_to_end(session_id)
        return self._sessions.get(session_id, ())

    def remember(self, session_id: str, messages: Sequence[ChatMessage]) -> None:
        """Add what was said; an empty `session_id` is no session. System messages are not kept."""
        if not session_id:
            return
        said = [message for message in messages if message.role != "system"]
        self._sessions[session_id] = self._newest([*self.recall(session_id), *said])
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)

    def forget(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    def _newest(self, messages: list[ChatMessage]) -> tuple[ChatMessage, ...]:
        if len(messages) <= self._max_entries:
            return tuple(messages)
        starts = [group[0] for group in turns(messages)]
        fitting = [at for at in starts if len(messages) - at <= self._max_entries]
        return tuple(messages[fitting[0] if fitting else starts[-1] :])

"""What becomes of a message on a topic: whether an agent handles it, and whether one is there."""

from collections.abc import Sequence
from typing import Literal

from guild.operations.view import View


class Reception(View):
    """What becomes of a message on a topic, as things are now.

    Attributes:
        type: wire name of the message.
        handlers: agents of the spec that handle it there.
        subscribed: those of them for which it is kept, as they have run at some time or other.
        paused: those of the subscribed ones that are paused.
        is_running: whether a replica of a subscribed one lives, as `AgentInfo.running` counts.
    """

    guild: str
    type: str
    topic: str
    handlers: tuple[str, ...]
    subscribed: tuple[str, ...]
    paused: tuple[str, ...]
    is_running: bool

    @property
    def state(self) -> Literal["handled", "waits", "paused", "lost", "unhandled"]:
        """It is `handled` soon; it `waits` for agents that do not run, or all are `paused`; it is
        `lost`, as no agent that handles it has run yet; or it goes `unhandled`, as none does.
        """
        if not self.handlers:
            return "unhandled"
        if not self.subscribed:
            return "lost"
        if self.paused == self.subscribed:
            return "paused"
        return "handled" if self.is_running else "waits"

    @property
    def reason(self) -> str:
        """Why it is not handled soon, "" if it is; without what to do about it."""
        match self.state:
            case "unhandled":
                return f"no agent of {self.guild} handles {self.type} on {self.topic}"
            case "lost":
                return f"{_are(self.handlers)} not running"
            case "paused":
                return f"{_are(self.paused)} paused"
            case "waits":
                return f"{_are(self.subscribed)} not running"
            case "handled":
                return ""

    @property
    def warning(self) -> str:
        """What becomes of it instead, and why; "" if it is handled soon."""
        if self.state == "handled":
            return ""
        is_kept = self.state in ("waits", "paused")
        return f"{'it waits' if is_kept else 'nobody will get it'}: {self.reason}"


def _are(agents: Sequence[str]) -> str:
    return f"{', '.join(agents)} {'is' if len(agents) == 1 else 'are'}"

"""What the agents of a guild do, told by their processes while somebody watches."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from guild.live.messages import Activity, LiveHandling, LiveHandlings, LiveSummary, Spread

__all__ = ["Activity", "LiveHandling", "LiveHandlings", "LiveSummary", "Spread"]

__getattr__ = lazily(
    __name__,
    {
        "guild.live.messages": (
            "Activity",
            "LiveHandling",
            "LiveHandlings",
            "LiveSummary",
            "Spread",
        ),
    },
)

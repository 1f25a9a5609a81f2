"""Every read and act of an operator, typed: for the command line, for HTTP, and for your code."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from guild.operations.agents import AgentInfo
    from guild.operations.conversation import Conversation, ConversationStep, StepHandling
    from guild.operations.letters import LetterDetail, LetterGroup, LetterInfo
    from guild.operations.operations import Operations
    from guild.operations.passing import EventSeen, MessageSeen
    from guild.operations.schemas import MessageInfo
    from guild.operations.talking import Answered, Reception, Sent
    from guild.operations.view import (
        AgentNode,
        GraphReport,
        GuildOverview,
        MessageEdge,
        TopicReport,
    )

__all__ = [
    "AgentInfo",
    "AgentNode",
    "Answered",
    "Conversation",
    "ConversationStep",
    "EventSeen",
    "GraphReport",
    "GuildOverview",
    "LetterDetail",
    "LetterGroup",
    "LetterInfo",
    "MessageEdge",
    "MessageInfo",
    "MessageSeen",
    "Operations",
    "Reception",
    "Sent",
    "StepHandling",
    "TopicReport",
]

__getattr__ = lazily(
    __name__,
    {
        "guild.operations.agents": ("AgentInfo",),
        "guild.operations.conversation": ("Conversation", "ConversationStep", "StepHandling"),
        "guild.operations.letters": ("LetterDetail", "LetterGroup", "LetterInfo"),
        "guild.operations.operations": ("Operations",),
        "guild.operations.passing": ("EventSeen", "MessageSeen"),
        "guild.operations.schemas": ("MessageInfo",),
        "guild.operations.talking": ("Answered", "Reception", "Sent"),
        "guild.operations.view": (
            "AgentNode",
            "GraphReport",
            "GuildOverview",
            "MessageEdge",
            "TopicReport",
        ),
    },
)

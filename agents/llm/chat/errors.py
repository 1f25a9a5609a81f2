"""What can be wrong with a conversation.

InvalidRequestError
├── InvalidChatError      the messages make no conversation
└── ChatTemplateError     the model's own template cannot be used
"""

from agents.llm.engines.errors import InvalidRequestError


class InvalidChatError(InvalidRequestError):
    """The messages make no conversation that a model could answer."""


class ChatTemplateError(InvalidRequestError):
    """The template that came with the model cannot be used with these messages."""

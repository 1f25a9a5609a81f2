"""What can be wrong with a tool, or with what a model asks of it.

LLMError
├── ToolDefinitionError   the function cannot be a tool
└── ToolArgumentsError    the arguments of a call do not fit; the model is told
"""

from agents.llm.engines.errors import LLMError


class ToolDefinitionError(LLMError):
    """The function cannot be a tool, or two tools have one name."""


class ToolArgumentsError(LLMError):
    """The arguments do not fit the tool; the message names each one that does not."""

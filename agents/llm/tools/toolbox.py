"""Tools, and what is asked before one of them runs."""

from collections.abc import Callable, Iterable
from typing import Any, Self

from agents.llm.tools.execution import Approve
from agents.llm.tools.tool import Tool, as_tools


class Toolbox:
    """What agents are given where a spec names tools.

    Args:
        tools: functions with annotations, or `Tool`s.
        approve: asked before each call; see `execute`.

    Raises:
        ToolDefinitionError: a function cannot be a tool.
    """

    def __init__(
        self, tools: Iterable[Tool | Callable[..., Any]], *, approve: Approve | None = None
    ) -> None:
        self.tools = as_tools(tools)
        self.approve = approve

    @classmethod
    def of(cls, given: "Toolbox | Iterable[Tool | Callable[..., Any]] | None") -> "Self | Toolbox":
        """A box as it is; tools in one of their own."""
        return given if isinstance(given, Toolbox) else cls(given or ())

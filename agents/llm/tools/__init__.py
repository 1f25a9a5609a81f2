"""Functions that a model may call, and the loop that calls them. Knows no bus and no engine."""

from agents.llm.tools.errors import ToolArgumentsError, ToolDefinitionError
from agents.llm.tools.execution import Approval, Approve, ToolResult, execute
from agents.llm.tools.loop import Ask, ToolRun, run_tools
from agents.llm.tools.tool import Tool, as_tools
from agents.llm.tools.toolbox import Toolbox

__all__ = [
    "Approval",
    "Approve",
    "Ask",
    "Tool",
    "ToolArgumentsError",
    "ToolDefinitionError",
    "ToolResult",
    "ToolRun",
    "Toolbox",
    "as_tools",
    "execute",
    "run_tools",
]

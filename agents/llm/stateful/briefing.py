"""What a model is told of the states that it goes through."""

import json
from collections.abc import Mapping, Sequence

from agents.llm.stateful.config import MachineConfig, StateConfig, ToolConfig
from agents.llm.tools import Tool

_FORM = "Answer step by step. A step is one of these, with its text between the tags:"


def briefing(system: str, machine: MachineConfig, tools: Mapping[str, Tool]) -> str:
    """The system message: what the spec says, then every state, and the tools that it may call."""
    states = "\n".join(_state(name, state, tools) for name, state in machine.states.items())
    told = f"{_FORM}\n{states}"
    return f"{system}\n\n{told}" if system else told


def next_states(allowed: Sequence[str]) -> str:
    """What is said before each step."""
    return f"Next: {' or '.join(f'<{name}>' for name in allowed)}"


def _state(name: str, state: StateConfig, tools: Mapping[str, Tool]) -> str:
    told = f"<{name}></{name}> {_instruction(state)}".rstrip()
    called = [_tool(tool, tools.get(tool.name)) for tool in state.tools or ()]
    return "\n".join([told, *called])


def _instruction(state: StateConfig) -> str:
    form = ""
    if state.choice is not None:
        form = f"one of: {', '.join(state.choice)}"
    elif state.json_schema is not None:
        form = f"JSON: {json.dumps(state.json_schema, ensure_ascii=False)}"
    elif state.tools is not None:
        form = 'a call {"name": ..., "arguments": {...}} of one of these tools:'
    return f"{state.instruction} {form}".strip()


def _tool(config: ToolConfig, tool: Tool | None) -> str:
    arguments = json.dumps(config.arguments or {}, ensure_ascii=False)
    described = f": {tool.description}" if tool is not None and tool.description else ""
    return f"- {config.name}{described}; arguments: {arguments}"

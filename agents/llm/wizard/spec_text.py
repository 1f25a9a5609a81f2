"""The spec that the wizard writes."""

import json
import re
import shlex
from pathlib import Path

from agents.llm.wizard.found import Found
from guild.checking.loader import load_yaml
from guild.checking.plan import Plan

# Small models answer a question better than a greeting.
QUESTION_TEXT = "What is the capital of Japan?"
QUESTION = json.dumps([{"role": "user", "content": QUESTION_TEXT}])
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,99}")

_SPEC = """\
# {about}
#
#   {run}
#   {ask}
id: {id}
name: Chat guild
description: Talks with a language model
bus: ${{GUILDBUS_URL:-embedded}}

resources:
  models:
    type: llm.models
    properties:
      idle_unload_s: 600

agents:
  - id: chat
    type: llm.chat
    name: Chat
    description: Answers conversations
    concurrency: {max_active}
    timeout_s: 600
    properties:
{properties}
"""


def spec_text(found: Found, backend: str, device: str, max_active: int, output: Path) -> str:
    """A spec for the model, checked as `guildbus validate` does.

    Raises:
        SpecError: it would not be valid.
    """
    properties: dict[str, object] = {"model": found.model, "backend": backend}
    if device != "auto":
        properties["device"] = device
    if found.context_window is not None:
        properties["context_window"] = found.context_window
    if backend != "openai":  # its server knows how many, and how long they are
        properties |= {"max_active": max_active, "overflow": "drop_oldest"}
    if found.temperature is not None:
        properties["temperature"] = found.temperature
    if found.options:
        properties["options"] = found.options
    run, ask = next_commands(output)
    text = _SPEC.format(
        about=f"{_plain(found.about)}; {backend} runs it.",
        run=_plain(run),
        ask=_plain(ask),
        id=output.stem if _ID.fullmatch(output.stem) else "chat",
        max_active=max_active,
        properties="\n".join(f"      {key}: {_value(value)}" for key, value in properties.items()),
    )
    Plan.of(load_yaml(text))
    return text


def next_commands(output: Path) -> tuple[str, str]:
    """What to type to run the spec, and to ask it."""
    shown = shlex.quote(str(output))
    return f"guildbus run {shown}", f"guildbus request {shown} ChatRequest messages:='{QUESTION}'"


def _value(value: object) -> str:
    """JSON is YAML; a text of the user's is no reference."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${")


def _plain(text: str) -> str:
    """On one line of a comment, without what YAML refuses."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())

"""The notations in which models are taught to write tool calls, and which one a model knows."""

from dataclasses import dataclass
from typing import Any

from agents.llm.parsing import FORMATS, ToolCall, ToolFormat
from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import Tools
from agents.llm.parsing.values import read_value


@dataclass(frozen=True)
class Notation:
    """How calls are written: opening, before, call, close; for each other one reopen, call, close.

    Attributes:
        opening: the text that says that calls begin; nothing else may say it.
        format: reads them again.
        arguments: what the arguments are called in a call.
        end: what stands behind the last call.
    """

    opening: str
    format: ToolFormat
    before: str = ""
    close: str = ""
    reopen: str = ", "
    end: str = ""
    arguments: str = "arguments"

    @property
    def texts(self) -> str:
        """All that it writes around calls."""
        return f"{self.opening}{self.before}{self.close}{self.reopen}{self.end}"


def _read_envelope(source: Source, _tools: Tools) -> Reading[list[ToolCall]]:
    return calls_in((yield from read_value(source)))


_ENVELOPE = '{"tool_calls"'
JSON = Notation(
    _ENVELOPE, ToolFormat(_ENVELOPE, _read_envelope), before=": [", reopen=", ", end="]}"
)
"""What models are told to write whose template knows no tools."""

HERMES = Notation(
    "<tool_call>",
    FORMATS["hermes"],
    before="\n",
    close="\n</tool_call>",
    reopen="\n<tool_call>\n",
)
NOTATIONS = (
    HERMES,
    Notation("<tool_calls>", FORMATS["hunyuan"], before="\n[", end="]\n</tool_calls>"),
    Notation("[TOOL_CALLS]", FORMATS["mistral"], before="[", end="]"),
    Notation("<|tool_call_start|>", FORMATS["lfm2"], before="[", end="]<|tool_call_end|>"),
    Notation("<|python_tag|>", FORMATS["llama"], reopen="; ", arguments="parameters"),
)

MARKERS = frozenset({
    *(notation.opening for notation in NOTATIONS),
    "</tool_call>", "</tool_calls>", "<|tool_call_end|>", "<think>", "</think>",
})  # fmt: skip
"""Texts of notations and of reasoning for which tokenizers may have tokens of their own."""


def notation_of(tokenizer: Any) -> Notation:
    """The notation that the chat template of `tokenizer` teaches."""
    written = _template(tokenizer)
    return next((n for n in NOTATIONS if n.opening in written), JSON)


def can_think(tokenizer: Any) -> bool:
    """Whether the chat template of `tokenizer` knows reasoning."""
    return "<think>" in _template(tokenizer)


def special_markers(tokenizer: Any, notation: Notation) -> tuple[str, ...]:
    """The markers for which `tokenizer` has special tokens, which are no text elsewhere."""
    wanted = {marker for marker in MARKERS if marker in notation.texts or "think" in marker}
    return tuple(sorted(wanted & _special_texts(tokenizer)))


def _special_texts(tokenizer: Any) -> set[str]:
    if getattr(tokenizer, "token_bytes", None) is not None:  # of a GGUF file
        return set(tokenizer.special_texts.values())
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
    return {token.content for token in added if token.special}


def _template(tokenizer: Any) -> str:
    template = getattr(tokenizer, "chat_template", None) or ""
    texts = template.values() if isinstance(template, dict) else [template]
    return "\n".join(map(str, texts))

"""Blocks of code in an answer."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)")


@dataclass(frozen=True)
class CodeBlock:
    """`language` is what the fence says, often nothing."""

    language: str
    code: str


def code_blocks(text: str) -> list[CodeBlock]:
    """The fenced blocks; one without an end reaches to the end of the text."""
    blocks: list[CodeBlock] = []
    lines: list[str] | None = None
    fence = language = indent = ""
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line.rstrip("\r"))
        if lines is None:
            if match:
                lines, fence, language = [], match[1], match[2].strip()
                indent = line[: len(line) - len(line.lstrip())]
        elif match and match[1].startswith(fence) and not match[2].strip():
            blocks.append(CodeBlock(language, "\n".join(lines)))
            lines = None
        else:
            lines.append(line.removeprefix(indent))
    if lines is not None:
        blocks.append(CodeBlock(language, "\n".join(lines)))
    return blocks

"""The tokens of a grammar in Lark's notation."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.llm.structured.errors import GrammarSyntaxError

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+|//[^\n]*|\#[^\n]*|\\\n)
  | (?P<line>\n\s*(?=[?!]*[A-Za-z_%])|\n\s*\Z)
  | (?P<newline>\n)
  | (?P<string>"(?:\\.|[^"\\\n])*"i?)
  | (?P<regex>/(?!/)(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+/[imslux]*)
  | (?P<directive>%[a-z]+)
  | (?P<special><[^>\n]*>|@[A-Za-z_]\w*)
  | (?P<name>[?!]*[A-Za-z_][\w-]*)
  | (?P<repeat>\{\s*\d*\s*(?:,\s*\d*\s*)?\}|~\s*\d+\s*(?:\.\.\s*\d+)?)
  | (?P<sign>\.\.|->|[:|()\[\].?*+,=&~{}])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            line = text.count("\n", 0, at) + 1
            raise GrammarSyntaxError(f"line {line}: {text[at : at + 20]!r} is not understood")
        kind = str(found.lastgroup)
        if kind == "directive" and found.group() == "%json":
            value, end = _json_at(text, found.end())
            yield Token("json", json.dumps(value), at)
            at = end
            continue
        if kind not in ("space", "newline"):
            yield Token(kind, found.group(), at)
        at = found.end()


def _json_at(text: str, at: int) -> tuple[object, int]:
    start = at + len(text[at:]) - len(text[at:].lstrip())
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError as error:
        raise GrammarSyntaxError(f"%json is not followed by JSON: {error}") from error
    return value, end

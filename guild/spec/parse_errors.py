"""What a parser stumbled over, said with the remedy: parsers name their rule, not the slip."""

import codecs
import re
from collections.abc import Mapping
from json import JSONDecodeError

import yaml

from guild.spec.references import REFERENCE

_UTF_8 = "save it as UTF-8"
_MARKS = (  # the longest first: that of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_FLOW: Mapping[str, str] = {
    "while parsing a flow mapping": "{",
    "while parsing a flow sequence": "[",
}


class UndecodableError(Exception):
    """Bytes that are no UTF-8 text; says in which line and column, and what they may be."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column, self.text = line, column, text


def decoded(content: bytes) -> str:
    """The text of a file, without the mark that some editors put before it.

    Raises:
        UndecodableError: it is not UTF-8.
    """
    found = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not found and b"\0" in content[:2]:
        found = "UTF-16"  # without a mark; every other byte of what it is for is 0
    if found:
        raise UndecodableError(1, 1, f"the file is {found} text: {_UTF_8}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode()) + 1
        text = (
            f"the byte 0x{content[error.start]:02X} is not UTF-8 text; the file may be Latin-1 or "
            f"Windows-1252: {_UTF_8}"
        )
        raise UndecodableError(before.count(b"\n") + 1, column, text) from None


def unmarked(text: str) -> str:
    """`text` without the byte order mark that may stand before it."""
    return text.removeprefix("\ufeff")


def yaml_slip(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong where `error` points, and what to do about it."""
    told = error.problem or error.context or "not valid YAML"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return told
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    before, here = line[: mark.column], line[mark.column : mark.column + 1]
    indent = line[: len(line) - len(line.lstrip())]
    if here == "\t" or ("\t" in indent and mark.column <= len(indent)):
        return "a tab: YAML is indented with spaces alone; write spaces instead of the tab"
    if before.endswith("$") and here == "{":
        written = REFERENCE.match(line, mark.column - 1)
        reference = written[0] if written else "${…}"
        return f'inside {{…}} and […] text with a reference stands in quotes: write "{reference}"'
    above = next((each for each in reversed(lines[: mark.line]) if each.strip()), "")
    return told + _remedy(error, told, before, here, above)


def _remedy(error: yaml.MarkedYAMLError, told: str, before: str, here: str, above: str) -> str:
    opened = error.context_mark.line + 1 if error.context_mark else 0
    opening = _FLOW.get(error.context or "", "")
    remedies = {
        "alphabetic or numeric": f"text that begins with {before[-1:]} stands in quotes",
        "cannot start any token": f"text that begins with {here} stands in quotes",
        "mapping values are not allowed": _second_colon(before, above),
        "could not find expected ':'": f"line {opened} has no ': '",
        "did not find expected ','": (
            f"the {opening} of line {opened} is not closed, or a comma is missing"
        ),
        "unexpected end of stream": f"the quote of line {opened} is not closed",
        "expected key": _not_a_key(before),
        "expected '-'": _not_a_key(before),
        "unknown escape": r"within double quotes \ is written \\, within single quotes as it is",
        "expected node content": "a value is missing, or a bracket is one too many",
        "expected <document start>": "nothing may follow; is a bracket one too many?",
    }
    return next((f": {remedy}" for part, remedy in remedies.items() if part in told), "")


def _second_colon(before: str, above: str) -> str:
    """A second `: ` in one value, or a line that belongs to a value that is complete."""
    if ": " in before.strip().removeprefix("- "):
        return "text that holds ': ' stands in quotes"
    if ": " not in above and not above.rstrip().endswith(":"):
        return "the line above has no ': '"
    return "the line is indented more than those that it belongs to"


def _not_a_key(before: str) -> str:
    """Something behind a value that is complete, or a line that is out of line."""
    last = before.rstrip()[-1:]
    if last and last in "'\"":
        other = "'" if last == '"' else '"'
        twice = "''" if last == "'" else '\\"'
        return (
            f"the text ends with that {last}; within the text write {twice}, or put all of it in "
            f"{other}…{other}"
        )
    if last not in ("", "-"):
        return "nothing may follow what is closed here"
    return "the line is not indented as those that it belongs to"


def json_slip(error: JSONDecodeError) -> str:
    """As `yaml_slip`, for JSON."""
    here, before = error.doc[error.pos :], error.doc[: error.pos].rstrip()
    if here.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if here.startswith("'"):
        return "text stands in double quotes in JSON"
    if here.startswith(("}", "]")) and before.endswith(","):
        return "JSON has no comma before a closing bracket"
    if not before and re.match(r"[\w-]", here):
        return "this is not JSON; a file of YAML is named .yaml"
    return f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"

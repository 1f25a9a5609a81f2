"""Strings, regexes and repeats of a Lark grammar, and the terminals that it may import."""

import json
import re

from agents.llm.structured.errors import GrammarSyntaxError, UnsupportedKeywordError
from agents.llm.structured.expression import Expression
from agents.llm.structured.regex import read_regex

COMMON = {
    "DIGIT": r"[0-9]",
    "HEXDIGIT": r"[0-9a-fA-F]",
    "INT": r"[0-9]+",
    "SIGNED_INT": r"[+-]?[0-9]+",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "FLOAT": r"[0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "NUMBER": r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?",
    "SIGNED_NUMBER": r"[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)",
    "LCASE_LETTER": r"[a-z]",
    "UCASE_LETTER": r"[A-Z]",
    "LETTER": r"[A-Za-z]",
    "WORD": r"[A-Za-z]+",
    "CNAME": r"[A-Za-z_][A-Za-z0-9_]*",
    "ESCAPED_STRING": r'"([^"\\\n]|\\["\\/bfnrt])*"',
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(\r?\n)+",
}


def bounds(sign: str) -> tuple[int, int | None]:
    if sign in ("?", "*", "+"):
        return (1, None) if sign == "+" else (0, 1 if sign == "?" else None)
    numbers = re.findall(r"\d+", sign)
    if sign.startswith("~"):
        return int(numbers[0]), int(numbers[-1])
    low, comma, high = sign.strip("{} ").partition(",")
    least = int(low) if low.strip() else 0
    if not comma:
        return least, least
    return least, int(high) if high.strip() else None


def regex(pattern: str, flags: str = "") -> Expression:
    known = "".join(flag for flag in flags if flag in "is")
    if len(known) < len(flags.replace("u", "")):
        raise UnsupportedKeywordError("pattern", f"/{pattern}/{flags} has flags that are not read")
    parts = read_regex(f"(?{known}){pattern}" if known else pattern)
    if len(parts) > 1:
        raise UnsupportedKeywordError("pattern", f"/{pattern}/ has lookaheads")
    return parts[0][0]


def unquoted(text: str) -> tuple[str, bool]:
    ignores_case = text.endswith("i")
    try:
        return str(json.loads(text.removesuffix("i").replace("\\'", "'"))), ignores_case
    except ValueError as error:
        raise GrammarSyntaxError(f"{text} is no string: {error}") from error
